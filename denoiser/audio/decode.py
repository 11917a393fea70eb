"""Decoding files to float32 waves, with every sample at its time.

A wave is float32 (channels, samples), full scale 1.0, with its rate in Hz beside it. The decoding
itself runs in a child process: see `sandbox`.
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
LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000  # Hz; beyond them the header must be wrong
# Offsets at which an MP3's table of contents may stand, after header and side info
_CONTENTS = (13, 15, 21, 23, 36, 38)
MOST_NEW_STREAMS = 10_000  # streams that may appear in the middle of a file

Notify = Callable[[str], None]  # receives one sentence for the user


@dataclass(frozen=True)
class Info:
    """Properties of a recording."""

    sample_rate: int  # Hz
    channels: int
    seconds: float  # an estimate from the container; 0.0 if unknown
    subtype: str  # the WAV bit depth that keeps all bits: PCM_16, PCM_24 or FLOAT
    layout: str  # FFmpeg's name: stereo, 5.1(side), 4 channels (FL+BL+TFL+TFR), 6 channels


def info(path: StrPath) -> Info:
    """Rate, channels, layout, length and bit depth; decodes only the first frames.

    24 and 32-bit integers give PCM_24, because a float32 carries 24 bits; lossy formats, which have
    no bit depth, give PCM_16. Raises AudioError.
    """
    return Info(*sandbox.one(_info, path))


def read(path: StrPath) -> tuple[np.ndarray, int]:
    """The whole file: a float32 wave (channels, samples) and its rate in Hz. Raises AudioError."""
    return np.concatenate(list(blocks(path)), axis=1), info(path).sample_rate


def blocks(
    path: StrPath, seconds: float = 10.0, notify: Notify | None = None
) -> Iterator[np.ndarray]:
    """The samples of `read` as waves (channels, n) of `seconds` each, the last one shorter.

    Rate, channels and layout are those of the first part of the file, even if they change later.
    Sample n belongs n / rate seconds after the start of the file: silence fills gaps and a late
    start, as they occur in videos. Memory use does not depend on the length. Damaged files are read
    as far as possible; then `notify` receives one sentence at the end. Raises AudioError.
    """
    return sandbox.run(_whole, path, seconds, notify=notify)


def _info(path: Path, notify: Notify) -> Iterator[tuple[int, int, float, str, str]]:
    with containers.opened(path) as (container, stream):
        # The container may be wrong: HE-AAC decodes to twice the nominal rate.
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
                f"{path.name} contains NaN or infinite samples at "
                f"{(given + bad.argmax()) / rate:.2f} s: export it again from the program that "
                "made it."
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
    """The audio of all links of a file, with silence in the gaps.

    A link without audio is skipped if there are others.
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
    """The decoded frames of a track, without the encoder's delay and padding."""
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
    """Decoded frames; skips damaged packets and ends where a file is cut off."""
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
        except Exception:  # a decoder can fail in any way
            damage.count(whole=False)
        else:
            damage.count(whole=True)
            yield from decoded
    timing.check_length(container, furthest, damage)


def _packets(container: InputContainer, damage: Damage) -> Iterator[av.Packet]:
    """Packets of all streams, to the end or until the container becomes unreadable."""
    packets = container.demux()
    for _ in range(MOST_NEW_STREAMS):
        try:
            yield from packets
            return
        except IndexError:  # a stream that appears in the middle of a broadcast is unknown to PyAV
            packets = container.demux()
        except MemoryError:
            raise
        except Exception:
            break
    damage.broken_off = True


def _is_contents(packet: av.Packet) -> bool:
    """Whether a packet is an MP3's table of contents; concatenated files have one in the middle."""
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
    """A frame as float32 (channels, samples); integers of b bits are divided by 2^(b-1).

    PyAV counts a frame's planes up to the first null pointer, and there is none after eight: so
    this reads only as many as the layout has channels.
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
    return wave / 2.0 ** (8 * dtype.itemsize - 1)  # 24-bit samples are left-justified in 32 bits


def _first(path: Path, pieces: Iterator[Piece], stream: AudioStream) -> Piece:
    """The first piece. Raises AudioError if there is none, or if its rate is not supported."""
    first = next(pieces, None)
    if first is None:
        if stream.codec_context.name.startswith("adpcm") or not stream.codec_context.channels:
            raise containers.unknown_codec(path, stream.codec_context.name)
        raise AudioError(f"{path.name} contains no sound (zero samples): choose another file.")
    if not LOWEST_RATE <= first.rate <= HIGHEST_RATE:
        raise _refusal(path, len(first.wave), first.rate)
    return first


def _refusal(path: Path, channels: int, rate: int) -> AudioError:
    return AudioError(
        f"{path.name} is {channels}-channel audio at {rate} Hz, but only 1 to {len(LAYOUTS)} "
        f"channels at {LOWEST_RATE} to {HIGHEST_RATE} Hz are supported: export it as stereo "
        "at 48000 Hz."
    )


def _subtype(codec: str, sample_format: av.AudioFormat) -> str:
    if not codec.startswith(_LOSSLESS) or sample_format.bytes < 4:
        return "PCM_16"
    return "FLOAT" if sample_format.name.startswith(("flt", "dbl")) else "PCM_24"
