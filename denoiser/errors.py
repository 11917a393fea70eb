"""What goes wrong for a user, each with one sentence."""


class AudioError(ValueError):
    """A file cannot be read or written; the text is one sentence for the user."""


class FetchError(ValueError):
    """A file cannot be fetched; the text is one sentence for the user."""
