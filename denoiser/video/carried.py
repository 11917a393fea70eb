"""What a film holds beside its pictures and the cleaned track: copied as it is, or said to be lost.

Other sound tracks, subtitles, fonts, covers and data go over packet by packet, with their names,
languages and flags; chapters and tags with the container.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from denoiser.audio.damage import DAMAGE
from denoiser.audio.decode import MOST_NEW_STREAMS
from denoiser.audio.timing import LONGEST_HOLE_SECONDS
from denoiser.video.pictures import JUMP_SECONDS, unpacked

COVER = av.stream.Disposition.attached_pic
_KINDS = {"audio": "sound track", "subtitle": "subtitle track", "video": "picture track"}
_KINDS |= {"data": "data track", "unknown": "unknown track"}
# Tags about the file or the packets as they were, which the new ones make themselves
_OUTDATED = {"bps", "number_of_bytes", "number_of_frames", "duration", "encoder", "vendor_id"}
_TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "creation_time", *_OUTDATED}
# QuickTime's own names of languages, where they are not those of ISO 639-2/T
_QUICKTIME = {"deu": "ger", "swe": "sve", "ell": "gre", "isl": "ice", "sqi": "alb", "mkd": "mac"}


@dataclass
class Tracks:
    """The tracks of a new film, by the index of what they were made from, and what it lacks."""

    written: OutputContainer
    copies: dict[int, Stream] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def copy(self, stream: Stream, *, needed: bool = False) -> None:
        """A track for the packets of a stream; ValueError if it is needed and cannot be held."""
        if _is_chapters(stream):
            return
        if stream.type == "video" and stream.disposition & COVER:
            self._copy_cover(stream)
            return
        if not needed and not _holds(self.written, stream):
            self._lose(stream)
            return
        # opaque: a codec that is read here need not be one that can be written
        copy = self.written.add_stream_from_template(stream, opaque=True)
        describe(copy, stream)
        if stream.type != "attachment":
            self.copies[stream.index] = copy

    def _copy_cover(self, stream: Stream) -> None:
        """Matroska holds covers as attachments, MP4 as pictures; the others do not."""
        into = self.written.format.name
        data = _only_packet(stream) if into == "matroska" else None
        if data:
            kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
            name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
            self.written.add_attachment(name, f"image/{kind}", data)
        elif into == "mp4" and _holds(self.written, stream):
            copy = self.written.add_stream_from_template(stream, opaque=True)
            copy.disposition = stream.disposition
            self.copies[stream.index] = copy
        else:
            self.lost.append("the cover")

    def _lose(self, stream: Stream) -> None:
        what = _KINDS.get(stream.type, stream.type)
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else None
        title = ", ".join(filter(None, (named(stream), codec)))
        suffix = f" ({title})" if title else ""
        self.lost.append(f"the {what} {stream.index + 1}{suffix}")


def describe(track: Stream, stream: Stream) -> None:
    """Name, language and flags of a stream for the track that takes its place."""
    tags = {
        key: value
        for key, value in stream.metadata.items()
        if key.lower().split("-")[0] not in _OUTDATED and not key.startswith("_STATISTICS")
    }
    if "name" in tags:  # as MP4 calls it
        tags.setdefault("title", tags.pop("name"))
    if track.container.format.name == "mov" and tags.get("language") in _QUICKTIME:
        tags["language"] = _QUICKTIME[tags["language"]]
    track.metadata.update(tags)
    track.disposition = stream.disposition


def named(stream: Stream) -> str:
    """Title and language of a stream, as far as it has them."""
    tags = stream.metadata
    title = tags.get("title") or tags.get("name") or tags.get("filename")
    language = tags.get("language")
    return ", ".join(filter(None, (title, language if language != "und" else None)))


def missing_tags(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Names of tags that a container did not take over."""
    there = {key.lower() for key in after}
    return [
        key
        for key in before
        if key.lower() not in there | _TECHNICAL
        and key.lower().rsplit("-", 1)[0] not in there  # "title-eng", the same in a language
        and not key.startswith(("com.android.", "_STATISTICS"))
    ]


def packets(
    container: InputContainer,
    copies: dict[int, Stream],
    times: dict[int, np.ndarray | None],
    zero: float,
) -> Iterator[tuple[float, av.Packet]]:
    """Times in s, never falling, and packets of the copied streams, `zero` seconds earlier.

    `copies` and `times` go by the index of a stream; `times` `(packets, 2)`, of showing and of
    decoding, are for one whose packets have none that are right. Where the file is damaged the
    packets end, as its sound does.
    """
    tracks = {index: _Track(container.streams[index], zero, times.get(index)) for index in copies}
    latest = 0.0
    for packet in _demuxed(container, list(tracks)):
        index = packet.stream_index
        for time, each in tracks[index].timed(packet):
            each.stream = copies[index]
            latest = max(latest, time)
            yield latest, each


def _demuxed(container: InputContainer, indices: list[int]) -> Iterator[av.Packet]:
    streams = [container.streams[index] for index in indices]
    for _ in range(MOST_NEW_STREAMS):
        try:
            yield from container.demux(streams)
            return
        except IndexError:  # a stream that appears in the middle of a broadcast
            continue
        except DAMAGE:
            return


class _Track:
    """Puts right the times of one stream's packets: they rise, and begin at the film's zero."""

    def __init__(self, stream: Stream, zero: float, times: np.ndarray | None):
        self._base = stream.time_base or Fraction(1, av.time_base)
        self._times: Iterator[list[int]] = iter(() if times is None else times.tolist())
        self._continuous = stream.type in ("audio", "video")
        self._codec = stream.codec_context.name if stream.codec_context else ""
        self._single = unpacked(stream)
        self._shift = -round(zero / self._base)
        self._due: int | None = None  # when the next packet is,
        self._last: int | None = None  # and when the last was decoded

    def timed(self, packet: av.Packet) -> list[tuple[float, av.Packet]]:
        """What becomes of a packet, with its time in s; the empty one at the end gives the rest."""
        ready = self._single(packet if packet.size else None)
        if self._codec == "mov_text":  # the muxer makes the pauses between them anew
            ready = [each for each in ready if bytes(each) != b"\0\0"]
        times = [self._move(each, *self._given(each)) for each in ready]
        return [(float(time * self._base), each) for time, each in zip(times, ready, strict=True)]

    def _given(self, packet: av.Packet) -> tuple[int, int | None]:
        """Times of showing and decoding; the latter may be left to the muxer."""
        times = next(self._times, None)
        if times is not None:
            shown, decoded = times
            return shown, decoded
        if packet.pts is not None:
            return packet.pts, packet.dts
        due = packet.dts if packet.dts is not None else (self._due or 0) - self._shift
        return due, due

    def _move(self, packet: av.Packet, pts: int, dts: int | None) -> int:
        """To the film's zero, and on where a joined recording begins again or leaps ahead.

        Returns the time of decoding, or of showing where the other is left to the muxer.
        """
        decoded = (pts if dts is None else dts) + self._shift
        if self._due is not None and self._continuous:
            leap = float((decoded - self._due) * self._base)
            if leap < -JUMP_SECONDS or leap > LONGEST_HOLE_SECONDS:
                self._shift += self._due - decoded
        pts += self._shift
        if dts is not None:
            dts += self._shift
            if self._continuous and self._last is not None:
                dts = max(dts, self._last + 1)
            self._last, pts = dts, max(pts, dts)
        packet.time_base, packet.pts, packet.dts = self._base, pts, dts
        time = pts if dts is None else dts
        self._due = time + (packet.duration or 0)
        return time


def _is_chapters(stream: Stream) -> bool:
    """MP4 keeps chapters as a track, too; the muxer makes it anew."""
    chapters = len(stream.container.chapters())
    return stream.type == "data" and bool(chapters) and stream.frames == chapters


def _only_packet(stream: Stream) -> bytes | None:
    """The picture of a cover."""
    name = stream.container.name
    with suppress(*DAMAGE), av.open(name, metadata_errors="replace") as container:
        for packet in container.demux(container.streams[stream.index]):
            return bytes(packet)
    return None


def _holds(written: OutputContainer, stream: Stream) -> bool:
    """Whether a container of this kind takes a stream, by trial."""
    into = written.format.name
    if into == "webm" and stream.type in ("attachment", "data"):
        return False  # it would be left out without a word
    try:
        with av.open(io.BytesIO(), "w", into) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (*DAMAGE, AttributeError):
        return False
    return True
