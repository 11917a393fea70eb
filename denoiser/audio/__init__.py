"""Audio and video files <-> float32 waves `(channels, samples)`, full scale 1.0."""

from denoiser.audio.containers import opened
from denoiser.audio.decode import (
    HIGHEST_RATE,
    LOWEST_RATE,
    Info,
    Notify,
    blocks,
    info,
    read,
)
from denoiser.audio.encode import Writer, fitting_gain, write, write_fitting
from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.resample import MOST_CHANNELS, Resampler, check_shape, check_wave, resample
from denoiser.audio.search import find, search
from denoiser.errors import AudioError

__all__ = [
    "HIGHEST_RATE",
    "LAYOUTS",
    "LOWEST_RATE",
    "MOST_CHANNELS",
    "AudioError",
    "Info",
    "Notify",
    "Resampler",
    "Writer",
    "blocks",
    "check_shape",
    "check_wave",
    "find",
    "fitting_gain",
    "info",
    "opened",
    "read",
    "resample",
    "search",
    "write",
    "write_fitting",
]
