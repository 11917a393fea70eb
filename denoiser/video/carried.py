"""Copying the other tracks of a video, or reporting which are lost.

Further audio tracks, subtitles, fonts, covers and data are copied packet by packet, with their
names, languages and flags; chapters and tags belong to the container.
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
_KINDS = {"audio": "audio track", "subtitle": "subtitle track", "video": "video track"}
_KINDS |= {"data": "data track", "unknown": "unknown track"}
# Tags about the original file or its packets, which a new file sets itself
_OUTDATED = {"bps", "number_of_bytes", "number_of_frames", "duration", "encoder", "vendor_id"}
_TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "creation_time", *_OUTDATED}
# QuickTime's language codes that differ from ISO 639-2/T
_QUICKTIME = {"deu": "ger", "swe": "sve", "ell": "gre", "isl": "ice", "sqi": "alb", "mkd": "mac"}


@dataclass
class Tracks:
    """The tracks of a new video, by the index of their source stream, and what is lost."""

    written: OutputContainer
    copies: dict[int, Stream] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def copy(self, stream: Stream, *, needed: bool = False) -> None:
        """Adds a track for a stream. Raises ValueError if it is `needed` but not supported."""
        if _is_chapters(stream):
            return
        if stream.type == "video" and stream.disposition & COVER:
            self._copy_cover(stream)
            return
        if not needed and not _holds(self.written, stream):
            self._lose(stream)
            return
        # opaque: FFmpeg may lack an encoder for the codec
        copy = self.written.add_stream_from_template(stream, opaque=True)
        describe(copy, stream)
        if stream.type != "attachment":
            self.copies[stream.index] = copy

    def _copy_cover(self, stream: Stream) -> None:
        """Copies a cover: Matroska stores an attachment, MP4 a picture, others nothing."""
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
    """Copies name, language and flags of a stream to the track that replaces it."""
    tags = {
        key: value
        for key, value in stream.metadata.items()
        if key.lower().split("-")[0] not in _OUTDATED and not key.startswith("_STATISTICS")
    }
    if "name" in tags:  # MP4's key for the title
        tags.setdefault("title", tags.pop("name"))
    if track.container.format.name == "mov" and tags.get("language") in _QUICKTIME:
        tags["language"] = _QUICKTIME[tags["language"]]
    track.metadata.update(tags)
    track.disposition = stream.disposition


def named(stream: Stream) -> str:
    """Title and language of a stream, if it has them."""
    tags = stream.metadata
    title = tags.get("title") or tags.get("name") or tags.get("filename")
    language = tags.get("language")
    return ", ".join(filter(None, (title, language if language != "und" else None)))


def missing_tags(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Names of tags that a container did not keep."""
    there = {key.lower() for key in after}
    return [
        key
        for key in before
        if key.lower() not in there | _TECHNICAL
        and key.lower().rsplit("-", 1)[0] not in there  # "title-eng": the same with a language
        and not key.startswith(("com.android.", "_STATISTICS"))
    ]


def packets(
    container: InputContainer,
    copies: dict[int, Stream],
    times: dict[int, np.ndarray | None],
    zero: float,
) -> Iterator[tuple[float, av.Packet]]:
    """Times in seconds, ascending, and packets of the copied streams, shifted by -`zero` seconds.

    `copies` and `times` are indexed by stream; `times` (packets, 2), presentation and decoding,
    replace those of a stream whose own are wrong. In a damaged file the packets end early, as its
    audio does.
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
    """Corrects the times of a stream's packets: ascending from the video's start."""

    def __init__(self, stream: Stream, zero: float, times: np.ndarray | None):
        self._base = stream.time_base or Fraction(1, av.time_base)
        self._times: Iterator[list[int]] = iter(() if times is None else times.tolist())
        self._continuous = stream.type in ("audio", "video")
        self._codec = stream.codec_context.name if stream.codec_context else ""
        self._single = unpacked(stream)
        self._shift = -round(zero / self._base)
        self._due: int | None = None  # time of the next packet
        self._last: int | None = None  # decoding time of the last packet

    def timed(self, packet: av.Packet) -> list[tuple[float, av.Packet]]:
        """Packets made from a packet, with times in seconds; an empty one flushes the rest."""
        ready = self._single(packet if packet.size else None)
        if self._codec == "mov_text":  # the muxer inserts its own pauses
            ready = [each for each in ready if bytes(each) != b"\0\0"]
        times = [self._move(each, *self._given(each)) for each in ready]
        return [(float(time * self._base), each) for time, each in zip(times, ready, strict=True)]

    def _given(self, packet: av.Packet) -> tuple[int, int | None]:
        """Presentation and decoding time; None leaves the latter to the muxer."""
        times = next(self._times, None)
        if times is not None:
            shown, decoded = times
            return shown, decoded
        if packet.pts is not None:
            return packet.pts, packet.dts
        due = packet.dts if packet.dts is not None else (self._due or 0) - self._shift
        return due, due

    def _move(self, packet: av.Packet, pts: int, dts: int | None) -> int:
        """Shifts a packet to the start of the video, and past jumps in a concatenated recording.

        Returns the decoding time, or the presentation time if the muxer sets the other.
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
    """Whether a stream is an MP4's chapter track, which the muxer creates anew."""
    chapters = len(stream.container.chapters())
    return stream.type == "data" and bool(chapters) and stream.frames == chapters


def _only_packet(stream: Stream) -> bytes | None:
    """The image data of a cover."""
    name = stream.container.name
    with suppress(*DAMAGE), av.open(name, metadata_errors="replace") as container:
        for packet in container.demux(container.streams[stream.index]):
            return bytes(packet)
    return None


def _holds(written: OutputContainer, stream: Stream) -> bool:
    """Whether a container format supports a stream, by trial."""
    into = written.format.name
    if into == "webm" and stream.type in ("attachment", "data"):
        return False  # FFmpeg would drop it silently
    try:
        with av.open(io.BytesIO(), "w", into) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (*DAMAGE, AttributeError):
        return False
    return True
