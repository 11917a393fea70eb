"""Metadata of a recording: reading tags, chapters, cue points and cover, and writing them.

From WAV to WAV, chunks are copied byte for byte; between other formats, everything that both can
hold is carried over. `Tags.lost` names the rest.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from denoiser.audio import containers, riff, sandbox, timing
from denoiser.audio.damage import DAMAGE
from denoiser.audio.decode import Notify
from denoiser.errors import AudioError
from denoiser.files import StrPath

MOST_CHAPTERS = 999  # the limit of Vorbis comments, which have three digits
# Codecs in which a cover is copied unchanged, and a pixel format to open the stream
_COVERS = {"mjpeg": "yuvj420p", "png": "rgb24", "bmp": "bgr24", "tiff": "rgb24", "webp": "yuv420p"}
# Tags that describe the original file, its encoder or its loudness
_OUTDATED = {"encoder", "duration", "bps", "number_of_frames", "number_of_bytes", "major_brand"}
_OUTDATED |= {"minor_version", "compatible_brands", "vendor_id", "handler_name", "itunsmpb"}
_OUTDATED |= {"itunnorm", "tlen", "timecode"}
_OUTDATED_STARTS = ("replaygain_", "r128_", "_statistics", "accuraterip", "acoustid_fingerprint")
# Chunks of a WAV that other formats can hold, and irrelevant ones
_HELD = {b"bext", b"cue ", b"LIST", b"id3 ", b"ID3 ", b"afsp", b"DISP", b"umid"}


@dataclass(frozen=True)
class Chapter:
    """A named part of a recording."""

    start: float  # seconds
    end: float
    title: str


@dataclass(frozen=True)
class Cover:
    """A picture in a file's metadata."""

    codec: str  # FFmpeg's name
    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class Tags:
    """The contents of a file besides its audio."""

    name: str = ""  # of the file
    sample_rate: int = 0  # Hz, of the sample positions in tags and chunks
    metadata: tuple[tuple[str, str], ...] = ()  # FFmpeg's names, in lower case
    chapters: tuple[Chapter, ...] = ()
    cover: Cover | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()  # of a WAV
    skipped: tuple[str, ...] = ()  # names of parts that are too large or damaged

    def lost(self, ending: str) -> str | None:
        """A sentence on what a .wav, .flac or .mp3 cannot hold; None if it can hold everything."""
        lost = [*self.skipped]
        if ending != ".wav":
            names = dict.fromkeys(name for name, _ in self.chunks if name not in _HELD)
            lost += [riff.text_of(name).strip() for name in names]
        if ending != ".wav" and len(self.chapters) > MOST_CHAPTERS:
            lost.append(f"more than {MOST_CHAPTERS} chapters")
        if not lost:
            return None
        return f"{ending[1:].upper()} cannot hold metadata of {self.name}: {', '.join(lost)}."

    def into(self, container: OutputContainer, ending: str) -> None:
        """Writes tags and header of a .flac or .mp3, after its audio stream has been added."""
        if ending == ".wav":
            return
        rate = container.streams.audio[0].rate
        container.metadata.update(self._converted(rate))
        if ending == ".flac":
            container.metadata.update(_as_comments(self.chapters[:MOST_CHAPTERS]))
        else:
            container.set_chapters(_as_ffmpeg(self.chapters[:MOST_CHAPTERS]))
        if not self.cover:
            return
        picture = container.add_stream(self.cover.codec, rate=1)
        assert isinstance(picture, VideoStream)  # true of all _COVERS
        picture.width, picture.height = self.cover.width, self.cover.height
        picture.pix_fmt = _COVERS[self.cover.codec]
        picture.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        packet = av.Packet(self.cover.data)
        packet.stream, packet.time_base, packet.pts, packet.dts = picture, Fraction(1, 1), 0, 0
        container.mux(packet)

    def append(self, path: StrPath, ending: str) -> None:
        """Appends the chunks to a closed .wav."""
        if ending != ".wav":
            return
        if self.chunks:
            riff.append(path, self.chunks)
        elif self.metadata or self.chapters or self.cover:
            tags, rate = dict(self.metadata), self.sample_rate
            cue = riff.cue(
                riff.Marker(round(each.start * rate), 0, each.title) for each in self.chapters
            )
            riff.append(path, [*riff.bext(tags), *riff.info(tags), *cue, (b"id3 ", self._id3())])

    def _converted(self, rate: int) -> dict[str, str]:
        """The tags for audio at another rate: `time_reference` counts samples."""
        tags = dict(self.metadata)
        if tags.get("time_reference", "").isdecimal() and self.sample_rate:
            tags["time_reference"] = str(int(tags["time_reference"]) * rate // self.sample_rate)
        return tags

    def _id3(self) -> bytes:
        """An ID3v2 tag with everything: the beginning of an MP3 without audio."""
        mp3 = io.BytesIO()
        with av.open(mp3, "w", "mp3", options={"write_xing": "0"}) as container:
            container.add_stream("libmp3lame", rate=48_000, layout="mono")
            replace(self, sample_rate=48_000).into(container, ".mp3")
            container.start_encoding()
        data = mp3.getvalue()
        size = sum(
            (byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=False)
        )
        return data[: 10 + size]


def carried(source: StrPath, target: StrPath, notify: Notify | None = None) -> Tags:
    """`read`, with a sentence to `notify` about what the format of `target` cannot hold."""
    tags = read(source)
    if notify and (lost := tags.lost(Path(target).suffix.lower())):
        notify(lost)
    return tags


def read(path: StrPath) -> Tags:
    """The metadata of any audio or video file, without damaged parts."""
    try:
        found = sandbox.one(_read, path)
    except AudioError:  # reading the audio reports the error
        return Tags(Path(path).name)
    cover = None
    if found["cover"]:
        codec, width, height, data = found["cover"]
        cover = Cover(codec, width, height, base64.b64decode(data))
    return Tags(
        Path(path).name,
        found["rate"],
        tuple(map(tuple, found["metadata"])),
        tuple(Chapter(*each) for each in found["chapters"]),
        cover,
        tuple((base64.b64decode(n), base64.b64decode(data)) for n, data in found["chunks"]),
        tuple(found["skipped"]),
    )


def _read(path: Path, notify: Notify) -> Iterator[dict[str, Any]]:
    kept, skipped = riff.chunks(path)
    with containers.opened(path) as (container, stream):
        rate = stream.codec_context.sample_rate
        duration = max(0, container.duration or 0) / av.time_base
        markers = riff.markers(kept) or riff.aiff_markers(path)
        cover = _cover(container)
        if cover and not _can_be_written(Cover(*cover)):
            cover, skipped = None, [*skipped, "the cover"]
        yield {
            "rate": rate,
            "metadata": _metadata(container, stream),
            "chapters": _marked(markers, rate, duration) or _chapters(container),
            "cover": cover and [*cover[:3], base64.b64encode(cover[3]).decode()],
            "chunks": [[base64.b64encode(part).decode() for part in chunk] for chunk in kept],
            "skipped": skipped,
        }


def _metadata(container: InputContainer, stream: AudioStream) -> list[tuple[str, str]]:
    """Tags of the container; in Ogg, the stream has them."""
    tags = dict(container.metadata)
    if container.format.name == "ogg":
        tags.update(stream.metadata)
    kept = {}
    for key, value in tags.items():
        key = key.lower()
        outdated = key in _OUTDATED or key.startswith(_OUTDATED_STARTS)
        if key and value and not outdated and not (key == "language" and value == "und"):
            kept[key] = value
    while sum(map(len, kept.values())) > riff.MOST_BYTES // 4:  # up to four bytes per character
        kept.pop(max(kept, key=lambda key: len(kept[key])))
    return list(kept.items())


def _chapters(container: InputContainer) -> list[tuple[float, float, str]]:
    zero, found = timing.zero(container), []
    zero = zero if zero == zero else 0.0  # NaN: no time stamps
    for each in container.chapters():
        start, end = (
            float(each[side] * (each["time_base"] or 0)) - zero for side in ("start", "end")
        )
        title = {key.lower(): value for key, value in each["metadata"].items()}.get("title", "")
        if 0 <= start < 1e6:
            found.append((start, min(max(start, end), 1e6), title))
    return sorted(found)


def _marked(found: list[riff.Marker], rate: int, duration: float) -> list[tuple[float, float, str]]:
    """Chapters from cue points: each lasts as long as its region, or until the next one."""
    starts = [each.start / rate for each in found]
    ends = [after for _, after in pairwise([*starts, max([duration, *starts[-1:]])])]
    return [
        (start, start + each.length / rate if each.length else end, each.text)
        for each, start, end in zip(found, starts, ends, strict=True)
    ]


def _cover(container: InputContainer) -> tuple[str, int, int, bytes] | None:
    """The first attached picture."""
    for stream in container.streams.video:
        if stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context:
            packet = next(container.demux(stream), None)
            if packet is not None and 0 < packet.size < riff.MOST_BYTES:
                codec = stream.codec_context
                return codec.name, codec.width, codec.height, bytes(packet)
    return None


def _can_be_written(cover: Cover) -> bool:
    """Whether a cover can be written, by trial: any codec and size can occur."""
    try:
        return cover.codec in _COVERS and bool(Tags(cover=cover)._id3())
    except DAMAGE:
        return False


def _as_ffmpeg(chapters: Iterable[Chapter]) -> list[av.container.Chapter]:
    return [
        {
            "id": number,
            "start": round(1000 * each.start),
            "end": round(1000 * each.end),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": each.title},
        }
        for number, each in enumerate(chapters, 1)
    ]


def _as_comments(chapters: Iterable[Chapter]) -> dict[str, str]:
    """Chapters as Vorbis comments."""
    comments: dict[str, str] = {}
    for number, each in enumerate(chapters):
        minutes, ms = divmod(round(1000 * each.start), 60_000)
        time = f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
        comments |= {f"CHAPTER{number:03}": time, f"CHAPTER{number:03}NAME": each.title}
    return comments
