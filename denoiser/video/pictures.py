"""When pictures are shown, where their container never had such times.

AVI has a place for every picture in the order of decoding, and no times; a stream that shows its
pictures in another order (B-frames) then seems to show them in that of decoding. MPEG-PS gives
times to some pictures only. What was copied from there into another container has the same fault.
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

JUMP_SECONDS = 1.0  # back in time: a recording that begins again, not pictures out of order
_UNKNOWN = np.iinfo(np.int64).min


def unpacked(stream: Stream) -> Callable[[av.Packet | None], list[av.Packet]]:
    """A function packet -> packets with one picture each; None gives what is still held back.

    DivX and XviD put a P- and a B-frame into one packet of an AVI, and nothing into the next.
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


def times(path: StrPath, index: int) -> Generator[None, None, np.ndarray | None]:
    """Times `(pictures, 2)` of showing and decoding for the stream `index`, in its time base.

    None where those of the container can be trusted: it is read up to the first picture that is
    shown before the one that precedes it, which is soon there unless something is wrong. Yields
    None as a sign of progress.
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
    else:  # FFmpeg's times of showing in AVI are those of decoding and a picture more
        shown = decoded[ranks]
    if 0 < len(known) < len(given):  # some times are real: those of all are as much later
        shown = shown + given[known[0], 0] - shown[known[0]]
    return np.stack((shown, decoded - max(0, (decoded - shown).max())), axis=1)


def _stream(container: InputContainer, index: int) -> VideoStream:
    return next(stream for stream in container.streams.video if stream.index == index)


def _given(
    container: InputContainer, stream: VideoStream, back: float
) -> Generator[None, None, np.ndarray | None]:
    """The container's times `(pictures, 2)`, or None if they show pictures out of order.

    Less than `back`, in its time base, is out of order; more is a recording that begins again.
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
        yield
    return np.array(given, np.int64).reshape(-1, 2)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """Packets with one picture each, as far as the file goes."""
    single = unpacked(stream)
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield from single(packet)
        yield from single(None)
    except DAMAGE:
        return


def _duration(stream: VideoStream, unit: Fraction) -> int:
    """Of a picture, in the time base of the stream, which is `unit` seconds."""
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(1, round(1 / (rate * unit)))


def _places(decoded: np.ndarray, duration: int) -> np.ndarray:
    """Rising times of decoding; where there is none, a picture later than the one before."""
    places, last = np.empty(len(decoded), np.int64), -duration
    for n, time in enumerate(decoded):
        last = places[n] = time if time != _UNKNOWN and (time > last or n == 0) else last + duration
    return places


def _ranks(path: StrPath, index: int, count: int) -> Generator[None, None, np.ndarray]:
    """The places `(count,)` of the pictures in the order of showing, in which a decoder gives them.

    One that cannot be decoded follows the one before it.
    """
    order, shown = np.full(count, -1.0), 0
    with audio.opened(path) as (container, _):
        stream = _stream(container, index)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.options = {"skip_loop_filter": "all"}  # nobody looks at them
        for n, packet in enumerate(chain(_packets(container, stream), [None])):
            yield
            if packet is not None:
                packet.pts = packet.dts = n
            with suppress(*DAMAGE):
                for frame in stream.codec_context.decode(packet):
                    if frame.pts is not None and 0 <= frame.pts < count:
                        order[frame.pts], shown = shown, shown + 1
    lost = order < 0
    order[lost] = (np.maximum.accumulate(order) + 0.5)[lost]
    return np.argsort(np.argsort(order, kind="stable"))
