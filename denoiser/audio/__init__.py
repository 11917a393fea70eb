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
from denoiser.audio.encode import Writer, write, write_fitting
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
    "info",
    "opened",
    "read",
    "resample",
    "write",
    "write_fitting",
]


EXTENSIONS = frozenset([
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf",
    ".flac", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".tta", ".w64", ".wav",
    ".webm", ".wma", ".wmv", ".wv",
])  # fmt: skip


def find(folder):
    """Audio and video files in a folder and those below it, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")  # macOS keeps ._name.wav beside name.wav
        and path.is_file()
    )
