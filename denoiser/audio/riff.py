"""Reading the chunks of a WAV file (RF64 and BW64 too), and appending them to another.

Cue points, labels and tags are copied as raw bytes. Sizes in a file are not trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from denoiser.files import StrPath

MOST_BYTES = 15 << 20  # of all chunks besides the audio
MOST_CHUNKS = 1000
UNKNOWN = 0xFFFFFFFF  # the actual size is in ds64
# Audio and its format, padding, and measurements of the original samples
NOT_KEPT = {
    b"fmt ",
    b"fact",
    b"data",
    b"ds64",
    b"JUNK",
    b"junk",
    b"PAD ",
    b"FLLR",
    b"PEAK",
    b"levl",
}
NOT_KEPT |= {b"MD5 ", b"minf", b"elm1", b"regn", b"LGWV", b"ovwf", b"wavl", b"slnt"}


class Marker(NamedTuple):
    """A cue point or a region."""

    start: int  # samples
    length: int  # samples; 0 for a point
    text: str


def chunks(path: StrPath) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Names and contents of a WAV's chunks besides the audio, and the names of those too large.

    Both lists are empty if the file is not a WAV. A truncated chunk is skipped.
    """
    kept: list[tuple[bytes, bytes]] = []
    skipped: list[str] = []
    left = MOST_BYTES
    with open(path, "rb") as file:
        for name, start, size in _walk(file):
            if name in NOT_KEPT:
                continue
            file.seek(start)
            if size > left:
                skipped.append(text_of(name).strip())
            elif (data := file.read(size))[:4] != b"wavl":
                left -= size
                kept.append((name, data))
    return kept, skipped


def _walk(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and size in bytes of every complete chunk."""
    head, end, position = file.read(12), file.seek(0, 2), 12
    sizes: dict[bytes, int] = {}  # sizes from ds64
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        header = file.read(8)
        name, start = header[:4], position + 8
        size = int.from_bytes(header[4:], "little")
        size = sizes.get(name, size) if size == UNKNOWN else size
        if not _is_name(name) or start + size > end or (name == b"data" and not size):
            return
        if name == b"ds64":
            sizes[b"data"] = int.from_bytes(file.read(16)[8:], "little")
        yield name, start, size
        position = start + size
        if size % 2:  # some programs omit the padding
            file.seek(position)
            after = file.read(5)
            position += _is_name(after[1:]) or not _is_name(after[:4])


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def append(path: StrPath, more: Iterable[tuple[bytes, bytes]]) -> None:
    """Appends chunks to a WAV. Beyond 4 GiB it becomes an RF64, as FFmpeg's do."""
    with open(path, "r+b") as file:
        places = {name: (start, size) for name, start, size in _walk(file)}
        file.seek(0, 2)
        file.write(b"\0" * (file.tell() % 2))
        for name, data in more:
            file.write(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))
        size = file.tell() - 8
        if b"ds64" in places:
            file.seek(places[b"ds64"][0])
            file.write(struct.pack("<Q", size))
        elif size < UNKNOWN:
            file.seek(4)
            file.write(struct.pack("<I", size))
        else:
            _enlarge(file, places, size)


def _enlarge(file: BinaryIO, places: dict[bytes, tuple[int, int]], size: int) -> None:
    """Turns RIFF into RF64, in the space that FFmpeg reserves for it."""
    data, length = places[b"data"]
    file.seek(places[b"fmt "][0] + 12)
    samples = length // max(1, int.from_bytes(file.read(2), "little"))
    file.seek(places[b"JUNK"][0] - 8)
    file.write(b"ds64" + struct.pack("<IQQQI", 28, size, length, samples, 0))
    file.seek(data - 4)
    file.write(struct.pack("<I", UNKNOWN))
    file.seek(0)
    file.write(b"RF64" + struct.pack("<I", UNKNOWN))


# ---- cue points


def markers(kept: Iterable[tuple[bytes, bytes]]) -> list[Marker]:
    """Cue points with their labels, in order of time."""
    points: dict[int, int] = {}  # by number, as below
    texts: dict[int, str] = {}
    lengths: dict[int, int] = {}
    for name, data in kept:
        if name == b"cue ":
            for place in range(4, len(data) - 23, 24):
                number, _, _, _, _, start = struct.unpack_from("<II4sIII", data, place)
                points[number] = start
        if name == b"LIST" and data[:4] == b"adtl":
            for kind, note in _notes(data[4:]):
                number = int.from_bytes(note[:4], "little")
                if kind == b"ltxt" and len(note) >= 8:
                    lengths[number] = int.from_bytes(note[4:8], "little")
                elif kind == b"labl" or (kind == b"note" and number not in texts):
                    texts[number] = text_of(note[4:])
    return sorted(
        Marker(start, lengths.get(number, 0), texts.get(number, ""))
        for number, start in points.items()
    )


def aiff_markers(path: StrPath) -> list[Marker]:
    """Markers of an AIFF file, in order of time; none if the file is not an AIFF."""
    found = []
    with open(path, "rb") as file:
        head, end, position = file.read(12), file.seek(0, 2), 12
        if head[:4] != b"FORM" or head[8:] not in (b"AIFF", b"AIFC"):
            return []
        for _ in range(MOST_CHUNKS):
            file.seek(position)
            name, size = file.read(4), int.from_bytes(file.read(4), "big")
            if not _is_name(name) or position + 8 + size > end:
                break
            data = file.read(size) if name == b"MARK" and size < MOST_BYTES else b""
            place = 2
            while place + 7 <= len(data):
                length = data[place + 6]
                text = text_of(data[place + 7 : place + 7 + length])
                found.append(Marker(int.from_bytes(data[place + 2 : place + 6], "big"), 0, text))
                place += 7 + length + (length + 1) % 2
            position += 8 + size + size % 2
    return sorted(found)


def _notes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def cue(found: Iterable[Marker]) -> list[tuple[bytes, bytes]]:
    """The chunks for markers; positions beyond 32 bits are left out."""
    found = [each for each in found if 0 <= each.start < UNKNOWN]
    if not found:
        return []
    points, notes = struct.pack("<I", len(found)), b"adtl"
    for number, each in enumerate(found, 1):
        points += struct.pack("<II4sIII", number, each.start, b"data", 0, 0, each.start)
        label = struct.pack("<I", number) + each.text.encode() + b"\0"
        notes += _packed(b"labl", label)
        if each.length:
            about = struct.pack("<II4sHHHH", number, each.length, b"rgn ", 0, 0, 0, 0)
            notes += _packed(b"ltxt", about)
    return [(b"cue ", points), (b"LIST", notes)]


def _packed(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def text_of(data: bytes) -> str:
    """Text up to the first zero byte, in UTF-8 or Windows-1252."""
    data = data.split(b"\0")[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


# ---- tags

_INFO = {"title": "INAM", "artist": "IART", "album": "IPRD", "genre": "IGNR", "date": "ICRD"}
_INFO |= {"comment": "ICMT", "copyright": "ICOP", "track": "ITRK", "language": "ILNG"}
_INFO |= {"encoded_by": "ITCH", "location": "IARL", "keywords": "IKEY"}


def info(tags: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The chunk LIST INFO for tags with FFmpeg's names in lower case; others are left out."""
    fields = b"".join(
        _packed(name.encode(), tags[key].encode() + b"\0")
        for key, name in _INFO.items()
        if tags.get(key)
    )
    return [(b"LIST", b"INFO" + fields)] if fields else []


# Alternative names of a tag, and its size in bytes
_BEXT = (
    (("description", "comment"), 256),
    (("originator", "encoded_by"), 32),
    (("originator_reference",), 32),
    (("origination_date", "date"), 10),
    (("origination_time", "creation_time"), 8),
)


def bext(tags: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The chunk bext (EBU Tech 3285), for tags with the time at which a recording began."""
    if not tags.get("time_reference", "").isdecimal():
        return []
    values = [next(filter(None, map(tags.get, keys)), "") for keys, _ in _BEXT]
    values[-1] = values[-1].split("T")[-1]  # a date may precede it
    fields = [
        value.encode()[:size].ljust(size, b"\0")
        for value, (_, size) in zip(values, _BEXT, strict=True)
    ]
    time = min(int(tags["time_reference"]), 2**64 - 1)
    history = tags.get("coding_history", "").encode()
    return [(b"bext", b"".join(fields) + struct.pack("<QH254x", time, 1) + history)]
