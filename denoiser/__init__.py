"""Takes the noise out of recorded speech: load() a model, denoise() a waveform."""

__all__ = ["denoise", "load"]


def __getattr__(name: str):
    """Public names, imported when they are first used: PyTorch takes seconds to load."""
    if name == "denoise":
        from denoiser.offline import denoise

        return denoise
    if name == "load":
        from denoiser.hub.download import load

        return load
    raise AttributeError(f"module 'denoiser' has no attribute {name!r}")
