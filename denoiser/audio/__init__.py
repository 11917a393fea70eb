"""Audio and video files <-> float32 waves `(channels, samples)`, full scale 1.0."""

from denoiser.audio.decode import (
    EXTENSIONS,
    HIGHEST_RATE,
    LOWEST_RATE,
    Info,
    Notify,
    blocks,
    find,
    frames,
    info,
    opened,
    read,
)
from denoiser.audio.encode import Writer, write
from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.resample import Resampler, check_shape, resample
from denoiser.errors import AudioError

__all__ = [
    "EXTENSIONS",
    "HIGHEST_RATE",
    "LAYOUTS",
    "LOWEST_RATE",
    "AudioError",
    "Info",
    "Notify",
    "Resampler",
    "Writer",
    "blocks",
    "check_shape",
    "find",
    "frames",
    "info",
    "opened",
    "read",
    "resample",
    "write",
]
