"""The same video with another sound: pictures copied packet by packet, never encoded again."""

import heapq
import math
import os
import uuid
from bisect import bisect
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from denoiser import audio
from denoiser.audio import decode
from denoiser.audio.damage import Damage
from denoiser.audio.encode import LOUDEST

BIT_RATE = 96_000  # of sound, a channel and second
AAC_RATES = (44_100, 48_000, 88_200, 96_000)  # it knows lower ones, in frames of up to 128 ms
OPUS_RATE = 48_000
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # the others' pictures go into .mkv
HOLE = 0.02  # seconds that a sound may be off its clock; more is a hole in the recording


def has_picture(path) -> bool:
    """Whether a file is a video; a cover is no picture."""
    with audio.opened(path) as (container, _):
        return _picture(container) is not None


def suffix(source) -> str:
    """The ending of `source` with another sound."""
    ending = Path(source).suffix.lower()
    return ending if ending in KEPT else ".mkv"


def replace_sound(source, sound, target) -> None:
    """Write the video `source` with the audio file `sound` as its only sound.

    `sound` is as long as the decoded sound of `source`, and is heard when that was. It becomes AAC,
    in .webm Opus. Memory does not grow with the length. Raises AudioError in one sentence; the
    target is whole or not there.
    """
    target, clock = Path(target), _clock(source)
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with audio.opened(source) as (container, stream):
            picture = _picture(container)
            if picture is None:
                raise audio.AudioError(f"{Path(source).name} has no picture: choose a video.")
            with _create(temporary, suffix(target), picture) as written:
                shown = _shown(written, picture)
                heard = _heard(written, sound, suffix(target) == ".webm")
                heard.metadata["language"] = stream.language or "und"
                written.start_encoding()
                both = _pictures(picture, shown), _sounds(heard, sound, clock)
                for _, packet in heapq.merge(*both, key=lambda each: each[0]):
                    written.mux(packet)
        os.replace(temporary, target)
    except (av.FFmpegError, OSError) as error:
        why = (error.strerror or "FFmpeg failed").lower()
        raise audio.AudioError(f"{target.name} cannot be written: {why}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _picture(container):
    """The stream of moving pictures, or None."""
    cover = av.stream.Disposition.attached_pic
    videos = (stream for stream in container.streams.video if not stream.disposition & cover)
    return next((stream for stream in videos if stream.codec_context), None)


def _clock(source) -> list[tuple[float, float]]:
    """Seconds of decoded sound, and how much later what follows is heard.

    One entry for the start and one for every hole in the recording: decoded sound has none.
    """
    clock, position = [(0.0, -math.inf)], 0.0
    with audio.opened(source) as (container, stream):
        for frame in decode.frames(container, stream, Damage()):
            if frame.time is not None and abs(frame.time - position - clock[-1][1]) > HOLE:
                clock.append((position, frame.time - position))
            position += frame.samples / frame.sample_rate
    return clock[1:] or [(0.0, 0.0)]


def _create(path, ending: str, picture):
    """A container for the pictures, with what theirs says about itself."""
    name, options = {".mkv": "matroska", ".m4v": "mp4"}.get(ending, ending[1:]), {}
    if name == "webm" and picture.codec_context.codec.canonical_name not in ("vp8", "vp9", "av1"):
        name = "matroska"  # browsers record H.264 into .webm
    if name == "mov":
        options["movflags"] = "use_metadata_tags"  # where and with what a phone filmed
    if "mpeg" in picture.container.format.name:
        options["avoid_negative_ts"] = "make_zero"  # a broadcast begins at any time
    container = av.open(f"file:{path}", "w", name, container_options=options)
    container.metadata.update(picture.container.metadata)
    return container


def _shown(container, picture):
    codec, into = picture.codec_context, container.format.name
    try:  # opaque: a codec that is read here need not be one that can be written
        stream = container.add_stream_from_template(picture, opaque=True)
    except ValueError:
        raise audio.AudioError(
            f"Pictures in {codec.name} cannot be put into {into}: convert the video to MP4 first."
        ) from None
    if codec.codec_tag == "hvc1" and into in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"  # Apple plays no other HEVC
    stream.metadata.update(picture.metadata)
    return stream


def _heard(container, sound, opus: bool):
    about = audio.info(sound)
    codec, rate, layout = "aac", about.sample_rate, audio.LAYOUTS[about.channels - 1]
    if opus:
        codec, rate, layout = "libopus", OPUS_RATE, layout.replace("4.0", "quad")
    elif rate not in AAC_RATES:
        rate = next((known for known in AAC_RATES if known % rate == 0), AAC_RATES[1])
    stream = container.add_stream(codec, rate=rate, layout=layout)
    stream.bit_rate = BIT_RATE * about.channels
    return stream


def _pictures(source, target) -> Iterator[tuple[float, av.Packet]]:
    """Times and packets; where a file is damaged its pictures end, as its sound does."""
    time = 0.0
    with suppress(av.FFmpegError):
        for packet in source.container.demux(source):
            if packet.size:  # the last one only says that there are no more
                if packet.dts is not None:  # Matroska has none for the first B-frames
                    time = float(packet.dts * packet.time_base)
                packet.stream = target
                yield time, packet


def _sounds(stream, path, clock) -> Iterator[tuple[float, av.Packet]]:
    """Times and packets, moved from one after the other to when `clock` says."""
    latest = -math.inf
    for packet in _encoded(stream, path):
        entry = bisect(clock, (packet.pts / stream.rate, math.inf)) - 1
        time = packet.pts + round(clock[max(0, entry)][1] * stream.rate)
        packet.pts = packet.dts = latest = max(time, latest + 1)
        yield latest / stream.rate, packet


def _encoded(stream, path) -> Iterator[av.Packet]:
    rate, layout = stream.rate, stream.codec_context.layout
    nothing = np.zeros((layout.nb_channels, 0), np.float32)
    resampler = audio.Resampler(audio.info(path).sample_rate, rate, layout.nb_channels)
    position = 0  # samples
    for block in chain(audio.blocks(path, seconds=1.0), [nothing]):
        wave = resampler.push(block, last=not block.size)
        if np.abs(wave).max(initial=0) > LOUDEST:
            name = Path(path).name
            raise audio.AudioError(f"{name} is over {LOUDEST:,.0f} times full scale: take .wav.")
        if wave.size:
            packed = np.ascontiguousarray(wave.T.reshape(1, -1), np.float32)  # (C, n) -> (1, n C)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout.name)
            frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
            position += wave.shape[1]
            yield from stream.encode(frame)
    yield from stream.encode(None)
