"""Removes noise from recorded speech: load() a model, denoise() a waveform."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from denoiser.audio import read, write
    from denoiser.errors import DenoiserError
    from denoiser.hub.download import load
    from denoiser.offline import denoise, denoise_file
    from denoiser.stream import Stream

__version__ = "1.0.0"
__all__ = [
    "DenoiserError",
    "Stream",
    "__version__",
    "denoise",
    "denoise_file",
    "load",
    "read",
    "write",
]

_PLACES = {
    "DenoiserError": "denoiser.errors",
    "Stream": "denoiser.stream",
    "denoise": "denoiser.offline",
    "denoise_file": "denoiser.offline",
    "load": "denoiser.hub.download",
    "read": "denoiser.audio",
    "write": "denoiser.audio",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, because PyTorch takes seconds to load."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'denoiser' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
