"""Files written beside their target and then put in its place, and names that a disk can hold."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

StrPath = str | os.PathLike[str]

MOST_BYTES = 255  # of one name: ext4, XFS, Btrfs, APFS; NTFS has 255 units of 2 bytes


def beside(path: StrPath) -> Path:
    """A new name in the folder of `path`, which nobody else writes to."""
    return Path(path).with_name(f".{uuid.uuid4().hex}.part")


@contextmanager
def replacing(path: StrPath) -> Iterator[Path]:
    """A new path in the same folder; what is written there takes the place of `path` at the end.

    Whoever reads `path` sees the old file or the whole new one. If the block raises, nothing is
    left of the new one. Two writers of one target do not meet: each has a path of its own.
    """
    temporary = beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fitting(stem: str, ending: str) -> str:
    """stem + ending as a file name of at most MOST_BYTES bytes: the stem is cut, no character is.

    Names are measured as UTF-8; the escapes with which Python holds the other bytes of a name
    (surrogates from U+DC80) count as the one byte that each stands for.
    """
    return _cut(_cut(stem, MOST_BYTES - len(_encoded(ending))) + ending, MOST_BYTES)


def _cut(text: str, most: int) -> str:
    """The longest beginning of a text that has at most so many bytes."""
    size = 0
    for position, character in enumerate(text):
        size += len(_encoded(character))
        if size > most:
            return text[:position]
    return text


def _encoded(text: str) -> bytes:
    """A name as a file system stores it."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other lone surrogates, which Windows takes
        return text.encode("utf-8", "surrogatepass")
