"""The exceptions of this package; the message of each is one sentence for the user."""

from collections.abc import Iterator
from contextlib import contextmanager


class DenoiserError(ValueError):
    """An error that the user can correct; its message says what is wrong and what to do."""


class AudioError(DenoiserError):
    """A file cannot be read or written."""


class CheckpointError(DenoiserError):
    """A checkpoint cannot be used."""


class FetchError(DenoiserError):
    """A file cannot be fetched."""


class MissingExtra(DenoiserError):
    """An optional package is not installed."""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Wraps imports that need an extra of this package. Raises MissingExtra, which names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"This needs {error.name}, which is not installed: "
            f"pip install 'speech-denoiser[{extra}]'."
        ) from error
