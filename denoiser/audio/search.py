"""Finding the recordings in a folder: by file name ending, and otherwise by trying to decode.

FFmpeg opens a file only if neither its ending nor its first bytes identify it, so that a folder of
100,000 recordings or photographs is searched without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av

from denoiser.audio import sandbox
from denoiser.audio.containers import opened
from denoiser.audio.decode import Notify
from denoiser.errors import AudioError
from denoiser.files import StrPath

# Always included: if one cannot be decoded, the user should get the error. Without .ts and .mts,
# which TypeScript uses, too.
_KNOWN = frozenset([
    ".3g2", ".3ga", ".3gp", ".3gpp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape",
    ".asf", ".au", ".avi", ".awb", ".bwf", ".caf", ".dts", ".eac3", ".ec3", ".f4v", ".flac", ".flv",
    ".m2ts", ".m4a", ".m4b", ".m4r", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpc",
    ".mpeg", ".mpg", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".qta", ".ra", ".rf64", ".spx",
    ".tta", ".vob", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wmv", ".wv",
])  # fmt: skip
# First bytes of other kinds of file: pictures, archives, documents, programs, arrays
_FOREIGN = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0", b"8BPS",
    b"PK\3\4", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"(\xb5/\xfd",
    b"%PDF", b"\xd0\xcf\x11\xe0", b"SQLite format 3\0", b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe",
    b"\x93NUMPY", b"\x89HDF", b"\0asm", b"wOF", b"\0\1\0\0\0", b"OTTO",
)  # fmt: skip
_TEXT = bytes(range(32, 256)) + b"\t\n\v\f\r\x1b"
_HEAD = 4096  # bytes to read to recognise text
_PACKETS = 16  # to decode
# Formats without a signature: random bytes can look like one frame, but not like many
_UNMARKED = ("aac", "ac3", "eac3", "mp3", "mpeg", "mpegts")
_ENOUGH = 8  # frames required of such a file
_TOGETHER = 1000  # files per child process


class Found(NamedTuple):
    """The files in a folder and its subfolders, without hidden ones."""

    files: list[Path]  # audio and video, sorted
    others: list[Path]  # not recordings
    closed: list[OSError]  # errors for unreadable folders and files


def find(folder: StrPath) -> list[Path]:
    """Audio and video files in a folder and its subfolders, sorted."""
    return search(folder).files


def search(folder: StrPath) -> Found:
    """The same as `find`, with the files and folders that were passed over."""
    found = Found([], [], [])
    doubtful: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=found.closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            try:
                if not os.path.isfile(path):
                    continue
                if path.suffix.lower() in _KNOWN:
                    found.files.append(path)
                else:
                    (found.others if _is_foreign(path) else doubtful).append(path)
            except OSError as error:
                found.closed.append(error)
    for path, has_sound in zip(doubtful, _have_sound(doubtful), strict=True):
        (found.files if has_sound else found.others).append(path)
    found.files.sort()
    found.others.sort()
    return found


def _is_foreign(path: Path) -> bool:
    """Whether the first bytes are text or identify another kind of file."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return head.startswith(_FOREIGN) or not head.translate(None, _TEXT)


def _have_sound(paths: list[Path]) -> Iterator[bool]:
    """For each file, whether it can be decoded; one child process checks many files."""
    places = [os.path.abspath(path) for path in paths]
    while places:
        asked = places[:_TOGETHER]
        try:
            for answer in sandbox.run(_decode, *asked):
                places.pop(0)
                yield answer
        except AudioError:
            places.pop(0)
            yield False


def _decode(path: Path, *arguments: str | Notify) -> Iterator[bool]:
    """For `path` and the paths in `arguments`, whether they contain audio; then `notify`."""
    for place in (path, *arguments):
        if isinstance(place, (str, Path)):
            yield _decodes(Path(place))


def _decodes(path: Path) -> bool:
    """Whether most of the first packets can be decoded to audio."""
    good = bad = 0
    needed = 1
    # Whatever error these bytes cause, the file is not a recording
    with suppress(Exception), opened(path) as (container, stream):
        needed = _ENOUGH if container.format.name in _UNMARKED else 1
        for packet in islice(container.demux(stream), _PACKETS):
            try:
                good += len(packet.decode())
            except av.FFmpegError:
                bad += 1
    return good >= needed and bad <= good // 4
