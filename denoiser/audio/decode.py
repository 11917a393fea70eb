"""Containers -> float32 waves: what can be decoded of a file, in order and in time.

A wave is float32 `(channels, samples)`, full scale is 1.0, its rate in Hz stands beside it. What is
here runs in a process of its own: see `sandbox`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from denoiser.audio import containers, sandbox, timing
from denoiser.audio.damage import Damage, cut_off_seconds
from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.timing import Piece
from denoiser.errors import AudioError
from denoiser.files import StrPath

_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta", "ape")
LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000  # Hz; beyond them the header lies
_CONTENTS = (13, 15, 21, 23, 36, 38)  # where MP3 names its contents, behind header and side info
MOST_NEW_STREAMS = 10_000  # packets of streams that appear in the middle of a file

Notify = Callable[[str], None]  # takes one sentence for whoever waits for the result


@dataclass(frozen=True)
class Info:
    sample_rate: int  # Hz
    channels: int
    seconds: float  # what the container says, an estimate; 0.0 if it says nothing
    subtype: str  # of a WAV that keeps the bit depth: PCM_16, PCM_24 or FLOAT
    layout: str  # FFmpeg's name: stereo, 5.1(side), 4 channels (FL+BL+TFL+TFR), 6 channels


def info(path: StrPath) -> Info:
    """Rate, channels, layout, length and bit depth; decodes the first frames only.

    24 and 32 bit integers give PCM_24, as a float32 wave carries 24 bits; lossy formats, which
    have no bit depth, give PCM_16. Raises AudioError in one sentence.
    """
    return Info(*sandbox.one(_info, path))


def read(path: StrPath) -> tuple[np.ndarray, int]:
    """The whole file: wave `(channels, samples)` and its rate in Hz. Raises AudioError."""
    return np.concatenate(list(blocks(path)), axis=1), info(path).sample_rate


def blocks(
    path: StrPath, seconds: float = 10.0, notify: Notify | None = None
) -> Iterator[np.ndarray]:
    """The samples of `read` as waves `(channels, n)` of `seconds` each, the last one shorter.

    Rate, channels and layout are those of the first part, whatever comes later. Sample n is heard
    n / rate seconds after the beginning of the file: where a film's sound starts late or has holes
    there is silence. Memory does not grow with the length. What a damaged file still holds is kept;
    then `notify` gets one sentence at the end. Raises AudioError in one sentence.
    """
    return sandbox.run(_whole, path, seconds, notify=notify)


def _info(path: Path, notify: Notify) -> Iterator[tuple[int, int, float, str, str]]:
    with containers.opened(path) as (container, stream):
        # The container's word is not enough: HE-AAC decodes to twice the rate it names.
        first = _first(path, _pieces(path, container, stream, Damage()), stream)
        codec, seconds = stream.codec_context, timing.claimed_seconds(container, stream)
        subtype = _subtype(codec.name, codec.format)
        yield first.rate, len(first.wave), seconds, subtype, first.layout


def _whole(path: Path, seconds: float, notify: Notify | None) -> Iterator[np.ndarray]:
    damage = Damage()
    containers.check_file(path)
    given = 0  # samples
    for rate, block in _blocks(timing.conformed(_all_pieces(path, damage)), seconds):
        bad = ~np.isfinite(block).all(axis=0)
        if bad.any():
            raise AudioError(
                f"{path.name} has samples that are not numbers (NaN or infinity) at "
                f"{(given + bad.argmax()) / rate:.2f} s: export it again from the program it is "
                "from."
            )
        given += block.shape[1]
        yield block
    cut = cut_off_seconds(path)
    damage.missing, damage.claimed = damage.missing + cut, damage.claimed + cut
    sentence = damage.sentence(path.name)
    if notify and sentence:
        notify(sentence)


def _blocks(
    waves: Iterable[tuple[int, np.ndarray]], seconds: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Waves of any length -> waves of `seconds`, with their rate in Hz."""
    held: list[np.ndarray] = []
    count = 0  # samples
    for rate, wave in waves:
        held.append(wave)
        count += wave.shape[1]
        size = max(1, round(seconds * rate))
        while count >= size:
            joined = np.concatenate(held, axis=1)
            yield rate, joined[:, :size]
            held, count = [joined[:, size:]], count - size
    if count:
        yield rate, np.concatenate(held, axis=1)


def _all_pieces(path: Path, damage: Damage) -> Iterator[Piece]:
    """The sound of every link of a file, with silence where nothing was recorded.

    One link of several that holds no sound is left out.
    """
    addresses, found = containers.links(path), False
    refused: AudioError | None = None
    for address in addresses:
        try:
            with containers.opened_link(path, address) as (container, stream):
                pieces = _pieces(path, container, stream, damage)
                pieces, found = chain([_first(path, pieces, stream)], pieces), True
                yield from timing.in_time(pieces, damage, container)
                if damage.wrong_decoder:
                    raise containers.unknown_codec(path, stream.codec_context.name)
        except AudioError as error:
            if len(addresses) == 1:
                raise
            damage.broken_off, refused = True, error
    if refused and not found:
        raise refused


# ---- frames


def _pieces(
    path: Path, container: InputContainer, stream: AudioStream, damage: Damage
) -> Iterator[Piece]:
    """What a track holds, without the delay and padding of the encoder."""
    zero, total = 0.0, 0
    last: av.AudioFrame | None = None
    for frame in frames(container, stream, damage):
        if last is None:
            zero = timing.zero(container) + timing.decoder_delay(container, stream, frame)
        if damage.wrong_decoder or timing.too_long(container, stream, total / frame.sample_rate):
            raise containers.unknown_codec(path, stream.codec_context.name)
        if last is not None:
            yield _piece(path, last, zero)
        last, total = frame, total + frame.samples
    if last is not None:
        extra = timing.padding(container, stream, last, total)
        piece = _piece(path, last, zero)
        wave = piece.wave[:, : last.samples - max(0, extra)]
        yield piece._replace(wave=np.pad(wave, ((0, 0), (0, max(0, -extra)))))


def frames(
    container: InputContainer, stream: AudioStream, damage: Damage
) -> Iterator[av.AudioFrame]:
    """Decoded frames; a damaged packet is left out, a cut-off file ends where it was cut."""
    furthest = 0.0  # seconds, of all streams
    for packet in _packets(container, damage):
        if packet.pts is not None and packet.time_base:
            furthest = max(
                furthest, float((packet.pts + (packet.duration or 0)) * packet.time_base)
            )
        if packet.stream.index != stream.index or _is_contents(packet):
            continue
        try:
            decoded = [frame for frame in stream.decode(packet) if frame.samples]
        except MemoryError:
            raise
        except Exception:  # a decoder may raise anything
            damage.count(whole=False)
        else:
            damage.count(whole=True)
            yield from decoded
    timing.check_length(container, furthest, damage)


def _packets(container: InputContainer, damage: Damage) -> Iterator[av.Packet]:
    """Packets of all streams, until the end or until the container cannot be read any further."""
    packets = container.demux()
    for _ in range(MOST_NEW_STREAMS):
        try:
            yield from packets
            return
        except IndexError:  # PyAV does not know a stream that appears in the middle of a broadcast
            packets = container.demux()
        except MemoryError:
            raise
        except Exception:
            break
    damage.broken_off = True


def _is_contents(packet: av.Packet) -> bool:
    """Whether a packet is the table of contents of an MP3: joined files have one in the middle."""
    if packet.stream.codec_context.name not in ("mp3", "mp3float"):
        return False
    head = bytes(packet)[: max(_CONTENTS) + 4]
    return any(head[start : start + 4] in (b"Xing", b"Info", b"VBRI") for start in _CONTENTS)


def _piece(path: Path, frame: av.AudioFrame, zero: float) -> Piece:
    if frame.layout.nb_channels > len(LAYOUTS):
        raise _refusal(path, frame.layout.nb_channels, frame.sample_rate)
    time = math.nan if frame.time is None else frame.time - zero
    return Piece(_wave(frame), frame.sample_rate, frame.layout.name, time)


def _wave(frame: av.AudioFrame) -> np.ndarray:
    """A frame as float32 `(channels, samples)`; integers of b bits are divided by 2^(b-1).

    PyAV counts a frame's planes until it meets a null pointer, and there is none behind eight:
    only as many are read as the layout has channels.
    """
    channels, kind = frame.layout.nb_channels, frame.format.name.rstrip("p")
    dtype = np.dtype({"u8": "u1", "flt": "f4", "dbl": "f8"}.get(kind) or f"i{int(kind[1:]) // 8}")
    if frame.format.is_planar:
        planes = frame.planes[:channels]
        data = np.stack([np.frombuffer(memoryview(each), dtype, frame.samples) for each in planes])
    else:
        data = np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples * channels)
        data = data.reshape(-1, channels).T  # (n C) -> (C, n)
    wave = data.astype(np.float32, order="C")
    if dtype.kind == "f":
        return wave
    if dtype.kind == "u":
        return (wave - 128) / 128
    return wave / 2.0 ** (8 * dtype.itemsize - 1)  # 24 bits stand in the upper part of 32


def _first(path: Path, pieces: Iterator[Piece], stream: AudioStream) -> Piece:
    """The first piece, if it can be worked with."""
    first = next(pieces, None)
    if first is None:
        if stream.codec_context.name.startswith("adpcm") or not stream.codec_context.channels:
            raise containers.unknown_codec(path, stream.codec_context.name)
        raise AudioError(f"{path.name} holds no sound (zero samples): choose another file.")
    if not LOWEST_RATE <= first.rate <= HIGHEST_RATE:
        raise _refusal(path, len(first.wave), first.rate)
    return first


def _refusal(path: Path, channels: int, rate: int) -> AudioError:
    return AudioError(
        f"{path.name} is {channels}-channel sound at {rate} Hz, but only 1 to {len(LAYOUTS)} "
        f"channels at {LOWEST_RATE} to {HIGHEST_RATE} Hz can be read: export it as stereo "
        "at 48000 Hz."
    )


def _subtype(codec: str, sample_format: av.AudioFormat) -> str:
    if not codec.startswith(_LOSSLESS) or sample_format.bytes < 4:
        return "PCM_16"
    return "FLOAT" if sample_format.name.startswith(("flt", "dbl")) else "PCM_24"
