"""Times of decoded audio: the container's clock, gaps, encoder delays, concatenated parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from denoiser.audio.damage import MISSING_SECONDS, Damage
from denoiser.audio.layouts import convert
from denoiser.audio.resample import Resampler

# Formats without times and length: FFmpeg estimates them from the bit rate
_CLOCKLESS = ("mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb")
_GUESSING = (*_CLOCKLESS, "mpeg", "mpegts")
# Formats whose clock starts with the recording, and formats whose clock starts at any time
_FROM_ZERO = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi", "flv")
_FROM_ANY_TIME = ("mpeg", "mpegts", "ogg", "asf", "mxf")
_COUNTED = ("wav", "w64", "aiff", "au", "caf")  # length from the number of bytes, never too short
HOLE_SECONDS = 0.02  # tolerance of times; a larger difference is a gap
LONGEST_HOLE_SECONDS = 3600.0  # beyond this the clock must be wrong


class Piece(NamedTuple):
    """Decoded audio with its time."""

    wave: np.ndarray
    rate: int  # Hz
    layout: str
    time: float  # seconds from the start of its link; NaN if unknown


def in_seconds(count: int, unit: Fraction | None) -> Fraction:
    """A time in FFmpeg's units as seconds; 0 if the unit is unknown."""
    return count * unit if unit else Fraction(0)


def claimed_seconds(container: InputContainer, stream: AudioStream) -> float:
    """The length of a track according to the container; 0.0 if unknown."""
    if stream.duration is not None:
        return max(0.0, float(in_seconds(stream.duration, stream.time_base)))
    return max(0, container.duration or 0) / av.time_base


def check_length(container: InputContainer, furthest: float, damage: Damage) -> None:
    """Adds to `damage` what is missing of the container's length, if all its tracks end early.

    `furthest` is the end of the last packet of any track, in seconds; a single track may be
    shorter.
    """
    if container.format.name in _GUESSING or not container.duration:
        return
    damage.claimed += container.duration / av.time_base
    short = container.duration / av.time_base - furthest
    if furthest and short > MISSING_SECONDS:
        damage.missing += short


def _claimed_end(container: InputContainer) -> float:
    """The end of a container in seconds, according to its header; infinite if unknown.

    Matroska stores no length of a track: where FFmpeg names one, it has estimated the container's
    length from the bit rate, as for recordings of a browser.
    """
    tracks = container.streams.audio if container.format.name == "matroska,webm" else ()
    if not container.duration or any(track.duration is not None for track in tracks):
        return math.inf
    return (max(0, container.start_time or 0) + container.duration) / av.time_base


def zero(container: InputContainer) -> float:
    """The start of the recording on the container's clock, in seconds; NaN without a clock."""
    if container.format.name in _CLOCKLESS:
        return math.nan
    start = (container.start_time or 0) / av.time_base
    if container.format.name in _FROM_ZERO and start < LONGEST_HOLE_SECONDS:
        return 0.0
    return start


def decoder_delay(container: InputContainer, stream: AudioStream, first: av.AudioFrame) -> float:
    """Seconds by which the first frame's time is late: it has that of a later packet."""
    if container.format.name != "asf" or first.time is None or stream.start_time is None:
        return 0.0
    return max(0.0, first.time - float(in_seconds(stream.start_time, stream.time_base)))


def too_long(container: InputContainer, stream: AudioStream, seconds: float) -> bool:
    """Whether there is far more audio than the file can contain, so that it cannot be audio."""
    if container.format.name not in _COUNTED or not stream.duration:
        return False
    return seconds > 1.2 * claimed_seconds(container, stream) + 1.0


def padding(container: InputContainer, stream: AudioStream, last: av.AudioFrame, total: int) -> int:
    """Samples to cut off the last frame, or, if negative, to append. FFmpeg has handled most cases.

    MP4 and MOV store the end in the duration of the last packet (FFmpeg's muxer) or in the edit
    list (Apple's), which is `stream.duration`, rounded to the movie's time base: hence the 2 ms. In
    Ogg Vorbis, FFmpeg's start can be off by a block, and then it cuts the end wrongly, too.
    """
    if not stream.duration or not last.duration:
        return 0
    beyond = total - round(in_seconds(stream.duration, stream.time_base) * last.sample_rate)
    if stream.codec_context.name == "vorbis" and container.format.name == "ogg":
        return beyond if -2048 < beyond < last.samples else 0
    if container.format.name == "caf":
        return min(0, beyond)  # FFmpeg cuts more than a short last packet had
    if "mov" in container.format.name:
        named = round(in_seconds(last.duration, last.time_base) * last.sample_rate)
        extra = max(0, last.samples - named)
        return beyond if extra + 0.002 * last.sample_rate < beyond < last.samples else extra
    return 0


def in_time(pieces: Iterator[Piece], damage: Damage, container: InputContainer) -> Iterator[Piece]:
    """Pieces, with silence in the gaps between their times.

    The silence counts as missing audio after damaged packets, and if the container's clock merely
    counts samples.
    """
    end, counted = _claimed_end(container), container.format.name not in _FROM_ZERO + _FROM_ANY_TIME
    position, shift, bad = 0.0, 0.0, damage.bad  # seconds yielded so far; error of the clock
    for piece in pieces:
        hole = piece.time - shift - position  # comparisons with NaN are false
        if HOLE_SECONDS < hole <= LONGEST_HOLE_SECONDS and piece.time <= end + 1:
            damage.missing += hole if counted or damage.bad > bad else 0.0
            yield from _silence(piece, hole)
            position += hole
        elif hole > HOLE_SECONDS or hole < -1:
            shift = piece.time - position
        bad = damage.bad
        position += piece.wave.shape[1] / piece.rate
        yield piece


def _silence(like: Piece, seconds: float) -> Iterator[Piece]:
    """Zeros in the format of a piece, one second at a time."""
    left = round(seconds * like.rate)
    while left > 0:
        count = min(left, like.rate)
        yield like._replace(wave=np.zeros((len(like.wave), count), np.float32))
        left -= count


def conformed(pieces: Iterator[Piece]) -> Iterator[tuple[int, np.ndarray]]:
    """Waves with their rate, all at the rate and in the layout of the first piece.

    Concatenated files, radio recordings and calls change in the middle.
    """
    first = next(pieces)
    nothing = np.zeros((len(first.wave), 0), np.float32)
    resampler = Resampler(first.rate, first.rate, len(first.wave))
    for piece in chain([first], pieces):
        if piece.rate != resampler.from_rate:
            yield first.rate, resampler.push(nothing, last=True)
            resampler = Resampler(piece.rate, first.rate, len(first.wave))
        yield first.rate, resampler.push(convert(piece.wave, piece.layout, first.layout))
    yield first.rate, resampler.push(nothing, last=True)
