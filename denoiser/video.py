"""The same video with another sound: pictures copied packet by packet, never encoded again."""

import heapq
import os
import uuid
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from denoiser import audio

BIT_RATE = 96_000  # of sound, a channel and second
# AAC knows lower rates, but counts in frames of 1024 samples: at 8 kHz, 128 ms more at the end.
AAC_RATES = (44_100, 48_000, 88_200, 96_000)
OPUS_RATE = 48_000
# FFmpeg's Opus encoder swaps the channels of 5.0 and 6.1, and knows no other four than these.
OPUS_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 6: "5.1", 8: "7.1"}
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # the others' pictures go into .mkv
TAGS = ("hvc1", "apch", "apcn", "apcs", "apco", "ap4h", "ap4x")  # what Apple's players look for
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
            picture, ending = _picture(container), suffix(target)
            if picture is None:
                raise audio.AudioError(f"{Path(source).name} has no picture: choose a video.")
            with _create(temporary, ending, picture) as written:
                both = (
                    _pictures(picture, _picture_stream(written, picture, Path(source).name)),
                    _sounds(_sound_stream(written, sound, stream.language), sound, clock),
                )
                written.start_encoding()
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
    return next(videos, None)


def _clock(source) -> list[tuple[float, float]]:
    """Seconds of decoded sound, and how much later what follows is heard.

    The start, and every hole in the recording: decoded sound has none.
    """
    clock, position = [], 0.0
    with audio.opened(source) as (container, stream):
        for frame in audio._frames(container, stream):
            later = (frame.time or 0.0) - position
            if not clock or abs(later - clock[-1][1]) > HOLE:
                clock.append((position, later))
            position += frame.samples / frame.sample_rate
    return clock or [(0.0, 0.0)]


def _create(path, ending: str, picture):
    """A container for the pictures, with what theirs says about itself."""
    name = {".mkv": "matroska", ".m4v": "mp4"}.get(ending, ending[1:])
    if name == "webm" and picture.codec_context.codec.canonical_name not in ("vp8", "vp9", "av1"):
        name = "matroska"  # browsers record H.264 into .webm
    options = {}
    if name == "mov":
        options["movflags"] = "use_metadata_tags"  # where and with what a phone filmed
    if "mpeg" in picture.container.format.name:
        options["avoid_negative_ts"] = "make_zero"  # a broadcast begins at any time
    container = av.open(f"file:{path}", "w", name, container_options=options)
    brands = ("major_brand", "minor_version", "compatible_brands")
    told = picture.container.metadata.items()
    container.metadata.update({key: value for key, value in told if key not in brands})
    return container


def _picture_stream(container, picture, name: str):
    try:  # opaque: the codec of the decoder, as not every codec has an encoder here
        stream = container.add_stream_from_template(picture, opaque=True)
    except ValueError:
        raise audio.AudioError(
            f"{name} has pictures ({picture.codec_context.name}) that cannot be put into "
            f"{container.format.name}: convert it to MP4 first."
        ) from None
    stream.metadata.update(picture.metadata)
    tag = picture.codec_context.codec_tag
    if tag in TAGS and container.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = tag
    return stream


def _sound_stream(container, sound, language: str | None):
    about = audio.info(sound)
    codec, rate, layout = "aac", about.sample_rate, audio.LAYOUTS[about.channels - 1]
    ...
