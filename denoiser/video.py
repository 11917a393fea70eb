"""The same video with another sound: pictures copied packet by packet, never encoded again."""

from __future__ import annotations

import heapq
import os
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from denoiser import audio

BIT_RATE = 96_000  # of sound, a channel and second
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)
OPUS_RATE = 48_000
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # the others' pictures go into .mkv
FORMATS = {".mkv": "matroska", ".m4v": "mp4"}  # where the ending is not FFmpeg's name


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

    `sound` begins where the sound of `source` began. It becomes AAC, in .webm Opus. Memory does not
    grow with the length. Raises AudioError in one sentence; the target is whole or not there.
    """
    target = Path(target)
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    ending = suffix(target)
    try:
        with (
            audio.opened(source) as (container, stream),
            av.open(f"file:{temporary}", "w", FORMATS.get(ending, ending[1:])) as written,
        ):
            picture, start = _picture(container), _start(stream)
            if picture is None:
                raise audio.AudioError(f"{Path(source).name} has no picture: choose a video.")
            written.metadata.update(container.metadata)
            shown = written.add_stream_from_template(picture)
            heard = _sound_stream(written, sound, ending)
            written.start_encoding()
            container.seek(0)
            pictures, sounds = _pictures(container, picture, shown), _sounds(heard, sound, start)
            for _, packet in heapq.merge(pictures, sounds, key=lambda each: each[0]):
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
    return next(videos, None)


def _start(stream) -> float:
    """When the sound begins, in seconds, as the decoder says: behind what the encoder put first."""
    frame = next(stream.container.decode(stream), None)
    return float(frame.time or 0.0) if frame is not None else 0.0


def _sound_stream(container, sound, ending: str):
    about = audio.info(sound)
    codec, rate, channels = "aac", about.sample_rate, about.channels
    if ending == ".webm":
        codec, rate, channels = "libopus", OPUS_RATE, min(channels, 2)
    elif rate not in AAC_RATES:
        rate = next((known for known in AAC_RATES if known >= rate), AAC_RATES[-1])
    stream = container.add_stream(codec, rate=rate, layout=audio.LAYOUTS[channels - 1])
    stream.bit_rate = BIT_RATE * channels
    return stream


def _pictures(container, source, target) -> Iterator[tuple[float, av.Packet]]:
    """Times and packets of the pictures, for another container."""
    for packet in container.demux(source):
        if packet.dts is not None:  # the last one only says that there are no more
            time = float(packet.dts * packet.time_base)
            packet.stream = target
            yield time, packet


def _sounds(stream, path, start: float) -> Iterator[tuple[float, av.Packet]]:
    """Times and packets of the encoded sound, which begins at `start` seconds."""
    about = audio.info(path)
    channels, rate = stream.codec_context.layout.nb_channels, stream.rate
    resampler, position = audio.Resampler(about.sample_rate, rate, channels), round(start * rate)

    def encoded(wave: np.ndarray | None) -> Iterator[tuple[float, av.Packet]]:
        frame = None
        if wave is not None:
            wave = np.ascontiguousarray(wave, np.float32)
            frame = av.AudioFrame.from_ndarray(wave, "fltp", audio.LAYOUTS[channels - 1])
            frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
        for packet in stream.encode(frame):
            yield float(packet.dts * packet.time_base), packet

    for block in audio.blocks(path, seconds=1.0):
        if len(block) > channels:
            block = np.repeat(block.mean(axis=0, keepdims=True), channels, axis=0)
        wave = resampler.push(block)
        if wave.shape[1]:
            yield from encoded(wave)
            position += wave.shape[1]
    wave = resampler.push(np.zeros((channels, 0), np.float32), last=True)
    if wave.shape[1]:
        yield from encoded(wave)
    yield from encoded(None)
