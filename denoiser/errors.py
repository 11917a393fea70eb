"""What a user can be told about: every error of this package, each with one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class DenoiserError(ValueError):
    """Something a user can mend; the text is one sentence that says what and how."""


class AudioError(DenoiserError):
    """A file cannot be read or written."""


class CheckpointError(DenoiserError):
    """A checkpoint cannot be used."""


class FetchError(DenoiserError):
    """A file cannot be fetched."""


class MissingExtra(DenoiserError):
    """A package is missing that an optional part needs."""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Imports that only an extra of this package brings. Raises MissingExtra, which names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"This needs {error.name}, which is not installed: "
            f"pip install 'speech-denoiser[{extra}]'."
        ) from error
