"""Presentation times of video frames, for containers that do not store them.

AVI stores frames in decoding order, without times; a stream with another presentation order
(B-frames) then seems to be shown in decoding order. MPEG-PS stores times for some frames only.
Copies of such files in other containers have the same fault.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from denoiser import audio
from denoiser.audio.damage import DAMAGE
from denoiser.files import StrPath

JUMP_SECONDS = 1.0  # back in time: the recording starts again, frames are not reordered
_UNKNOWN = np.iinfo(np.int64).min


def unpacked(stream: Stream) -> Callable[[av.Packet | None], list[av.Packet]]:
    """A function that splits a packet into packets of one frame each; None flushes the rest.

    DivX and XviD store a P- and a B-frame in one packet of an AVI, and an empty packet after it.
    """
    if not stream.codec_context or stream.codec_context.name != "mpeg4":
        return lambda packet: [packet] if packet is not None else []
    filtering = BitStreamFilterContext("mpeg4_unpack_bframes", stream)

    def single(packet: av.Packet | None) -> list[av.Packet]:
        try:
            return filtering.filter(packet)
        except DAMAGE:
            return []

    return single


def times(path: StrPath, index: int) -> Generator[float, None, np.ndarray | None]:
    """Presentation and decoding times (frames, 2) of the stream `index`, in its time base.

    None if the container's times can be trusted. To find out, the file is read up to the first
    frame that is presented before its predecessor, which comes soon in a correct file; only for an
    incorrect one are all frames decoded. Yields the shares of them that are decoded, 0 to 1. Raises
    AudioError.
    """
    with audio.opened(path) as (container, _):
        stream, avi = _stream(container, index), container.format.name == "avi"
        unit = stream.time_base
        if not stream.codec_context.has_b_frames or not unit:
            return None
        given = yield from _given(container, stream, JUMP_SECONDS / unit)
        duration = _duration(stream, unit)
    if given is None or not len(given):
        return None
    ranks = yield from _ranks(path, index, len(given))
    known = np.flatnonzero(given[:, 0] != _UNKNOWN)
    if len(known) == len(given) and (ranks == np.arange(len(given))).all():
        return None
    decoded = _places(given[:, 1], duration)
    if len(known) == len(given) and not avi:
        shown = _places(given[:, 0], duration)[ranks]
    else:  # in AVI, FFmpeg's presentation times are decoding times plus one frame
        shown = decoded[ranks]
    if 0 < len(known) < len(given):  # some times are known: they give the offset of all
        shown = shown + given[known[0], 0] - shown[known[0]]
    return np.stack((shown, decoded - max(0, (decoded - shown).max())), axis=1)


def _stream(container: InputContainer, index: int) -> VideoStream:
    return next(stream for stream in container.streams.video if stream.index == index)


def _given(
    container: InputContainer, stream: VideoStream, back: float
) -> Generator[float, None, np.ndarray | None]:
    """The container's times (frames, 2), or None if they reorder frames.

    A step back by less than `back`, in the stream's time base, is reordering; a longer one means
    that the recording starts again.
    """
    given = array("q")
    latest: int | None = None
    for packet in _packets(container, stream):
        pts, dts = packet.pts, packet.dts
        if pts is not None:
            if latest is not None and 0 < latest - pts < back:
                return None
            latest = pts
        given.extend((_UNKNOWN if pts is None else pts, _UNKNOWN if dts is None else dts))
        yield 0.0
    return np.array(given, np.int64).reshape(-1, 2)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """Packets of one frame each, as far as the file is readable."""
    single = unpacked(stream)
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield from single(packet)
        yield from single(None)
    except DAMAGE:
        return


def _duration(stream: VideoStream, unit: Fraction) -> int:
    """The duration of a frame in the stream's time base, which is `unit` seconds."""
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(1, round(1 / (rate * unit)))


def _places(decoded: np.ndarray, duration: int) -> np.ndarray:
    """Ascending decoding times; an unknown one is a frame later than its predecessor."""
    places, last = np.empty(len(decoded), np.int64), -duration
    for n, time in enumerate(decoded):
        last = places[n] = time if time != _UNKNOWN and (time > last or n == 0) else last + duration
    return places


def _ranks(path: StrPath, index: int, count: int) -> Generator[float, None, np.ndarray]:
    """The positions (frames,) of the frames in presentation order, as the decoder outputs them.

    Yields the shares decoded. A frame that cannot be decoded follows its predecessor.
    """
    order, shown = np.full(count, -1.0), 0
    with audio.opened(path) as (container, _):
        stream = _stream(container, index)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.options = {"skip_loop_filter": "all"}  # the images are not used
        for n, packet in enumerate(chain(_packets(container, stream), [None])):
            yield min(n / count, 1.0)
            if packet is not None:
                packet.pts = packet.dts = n
            with suppress(*DAMAGE):
                for frame in stream.codec_context.decode(packet):
                    if frame.pts is not None and 0 <= frame.pts < count:
                        order[frame.pts], shown = shown, shown + 1
    lost = order < 0
    order[lost] = (np.maximum.accumulate(order) + 0.5)[lost]
    return np.argsort(np.argsort(order, kind="stable"))
