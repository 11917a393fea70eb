"""What goes wrong for whoever trains."""

from denoiser.errors import DenoiserError


class TrainingError(DenoiserError):
    """A run cannot begin or go on; the text is one sentence."""
