"""Atomic writes (a temporary file replaces the target) and file names that fit a disk."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

StrPath = str | os.PathLike[str]

MOST_BYTES = 255  # of one name: ext4, XFS, Btrfs, APFS; NTFS has 255 units of 2 bytes


def beside(path: StrPath) -> Path:
    """A new, unique path in the folder of `path`."""
    return Path(path).with_name(f".{uuid.uuid4().hex}.part")


@contextmanager
def replacing(path: StrPath) -> Iterator[Path]:
    """A temporary path in the same folder; on success the file there replaces `path`.

    A reader of `path` sees either the old file or the complete new one. If the block raises, the
    temporary file is deleted. Two writers of one target do not collide, because each has its own
    temporary path.
    """
    temporary = beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fitting(stem: str, ending: str) -> str:
    """stem + ending as a file name of at most MOST_BYTES bytes: cuts the stem between characters.

    The length is counted in UTF-8; the surrogates from U+DC80, with which Python represents
    undecodable bytes, count as one byte each.
    """
    return _cut(_cut(stem, MOST_BYTES - len(_encoded(ending))) + ending, MOST_BYTES)


def _cut(text: str, most: int) -> str:
    """The longest prefix of a text that has at most `most` bytes."""
    size = 0
    for position, character in enumerate(text):
        size += len(_encoded(character))
        if size > most:
            return text[:position]
    return text


def _encoded(text: str) -> bytes:
    """A name in the encoding of the file system."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other lone surrogates, which Windows allows
        return text.encode("utf-8", "surrogatepass")
