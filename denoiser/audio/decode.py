"""Any audio or video file -> float32 waves.

A wave is float32 `(channels, samples)`, full scale is 1.0, its rate in Hz stands beside it.
Everything goes through PyAV, which carries FFmpeg in its wheel.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np

from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.resample import Resampler
from denoiser.errors import AudioError

# Endings worth opening when a folder is searched; what a file is, its content says.
EXTENSIONS = frozenset([
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf",
    ".flac", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".tta", ".w64", ".wav",
    ".webm", ".wma", ".wmv", ".wv",
])  # fmt: skip

# Only containers that hold sound themselves. FFmpeg also opens playlists (HLS, DASH, concat),
# with which an uploaded text file could make it read other files and addresses.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,flac,flv,matroska,"
    "mov,mp3,mpeg,mpegts,mxf,ogg,tta,w64,wav,wv",
}
_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta", "ape")
MISSING_SECONDS = 0.05  # of what a container promises: then a file is cut off
MISCOUNTED_BYTES = 100  # of a WAV's header at most
# These hold no length: FFmpeg guesses it from the bit rate
_GUESSING = ("mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "mpeg", "mpegts")
LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000  # Hz; beyond them the header lies

Notify = Callable[[str], None]  # takes one sentence for whoever waits for the result


@dataclass(frozen=True)
class Info:
    sample_rate: int  # Hz
    channels: int
    seconds: float  # what the container says, an estimate; 0.0 if it says nothing
    subtype: str  # of a WAV that keeps the bit depth: PCM_16, PCM_24 or FLOAT


def find(folder: Path) -> list[Path]:
    """Audio and video files in a folder and those below it, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")  # macOS keeps ._name.wav beside name.wav
        and path.is_file()
    )


# ---- reading


def info(path) -> Info:
    """Rate, channels, length and bit depth; decodes the first frames only.

    24 and 32 bit integers give PCM_24, as a float32 wave carries 24 bits; lossy formats, which
    have no bit depth, give PCM_16.
    """
    with opened(path) as (container, stream):
        # The container's word is not enough: HE-AAC decodes to twice the rate it names.
        (wave, sample_rate), _ = _first(path, _decoded(container, stream, []))
        codec, seconds = stream.codec_context, _claimed_seconds(container, stream)
        return Info(sample_rate, len(wave), seconds, _subtype(codec.name, codec.format))


def read(path) -> tuple[np.ndarray, int]:
    """The whole file: wave `(channels, samples)` and its rate in Hz."""
    return np.concatenate(list(blocks(path)), axis=1), info(path).sample_rate


def blocks(path, seconds: float = 10.0, notify: Notify | None = None) -> Iterator[np.ndarray]:
    """The samples of `read` as waves `(channels, n)` of `seconds` each, the last one shorter.

    Memory does not grow with the length of the file. What a damaged file still holds is kept; then
    `notify` gets one sentence at the end.
    """
    damage: list[str] = []
    with opened(path) as (container, stream):
        (_, rate), decoded = _first(path, _decoded(container, stream, damage))
        size = max(1, round(seconds * rate))
        waves, held, given = [], 0, 0  # held and given in samples
        for wave in _steady(decoded):
            bad = ~np.isfinite(wave).all(axis=0)
            if bad.any():
                raise AudioError(
                    f"{Path(path).name} has samples that are not numbers (NaN or infinity) at "
                    f"{(given + held + bad.argmax()) / rate:.2f} s: export it again from the "
                    "program it is from."
                )
            waves.append(wave)
            held += wave.shape[1]
            while held >= size:
                joined = np.concatenate(waves, axis=1)
                yield joined[:, :size]
                waves, held, given = [joined[:, size:]], held - size, given + size
        if held:
            yield np.concatenate(waves, axis=1)
        if notify and (damage or _cut_off(path)):
            notify(f"{Path(path).name} is damaged or cut off: what could be read of it is kept.")


def _cut_off(path) -> bool:
    """Whether a WAV is shorter than its header says; FFmpeg corrects that without a word.

    The sizes 0 and 2 GiB or more stand for "not known" in a stream's header. Careless programs
    count their own header twice.
    """
    with open(path, "rb") as file:
        kind, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
    return kind == b"RIFF" and os.path.getsize(path) + MISCOUNTED_BYTES < size + 8 < 2**31


@contextmanager
def opened(path):
    """PyAV's container and its main audio stream, or the sentence that says why not."""
    path = Path(path)
    if os.path.isdir(path):
        raise AudioError(f"{path.name} is a folder: choose an audio or video file.")
    if not os.path.exists(path):
        raise AudioError(f"{path.name} does not exist: check the name and the folder.")
    if not os.path.isfile(path):
        raise AudioError(f"{path.name} is no file: choose an audio or video file.")
    if os.path.getsize(path) == 0:
        raise AudioError(f"{path.name} is empty (0 bytes): record or download it again.")
    try:
        # "file:" because FFmpeg takes "a:b.wav" for a protocol a; tags may be in any encoding
        container = av.open(f"file:{path}", options=_OPEN_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise AudioError(f"{path.name} may not be read: check its permissions.") from None
        raise AudioError(
            f"{path.name} is not audio or video that can be read, or it is damaged: "
            "choose another file, or export it as WAV or MP3."
        ) from None
    with container:
        if not container.streams.audio:
            raise AudioError(f"{path.name} has no sound in it: choose a file that has.")
        yield container, container.streams.best("audio") or container.streams.audio[0]


def _decoded(container, stream, damage: list) -> Iterator[tuple[np.ndarray, int]]:
    """Waves `(channels, n)` with their rates, without the delay and padding of the encoder.

    `damage` gets an entry for everything that could not be read.
    """
    total, last = 0, None
    for frame in frames(container, stream, damage):
        if last is not None:
            yield _wave(last), last.sample_rate
        last, total = frame, total + frame.samples
    if last is not None:
        extra = _padding(container, stream, last, total)
        wave = _wave(last)[:, : last.samples - max(0, extra)]
        yield np.pad(wave, ((0, 0), (0, max(0, -extra)))), last.sample_rate
        if container.format.name not in _GUESSING:
            seconds = total / last.sample_rate
            if seconds < _claimed_seconds(container, stream) - MISSING_SECONDS:
                damage.append("short")


def _claimed_seconds(container, stream) -> float:
    """The length as the container says it; 0.0 if it says nothing."""
    if stream.duration is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0, container.duration or 0) / av.time_base


def _padding(container, stream, last: av.AudioFrame, total: int) -> int:
    """Samples of the last frame to cut off; negative: missing. FFmpeg has done most by itself.

    MP4 and MOV name their end in the duration of the last packet (FFmpeg's muxer) or in the edit
    list (Apple's), which is `stream.duration`, rounded to the clock of the movie: hence the 2 ms.
    In Ogg Vorbis, FFmpeg can err on the start by a block, and then cuts the end wrongly, too.
    """
    if not stream.duration or not last.duration:
        return 0
    beyond = total - round(stream.duration * stream.time_base * last.sample_rate)
    if stream.codec_context.name == "vorbis" and container.format.name == "ogg":
        return beyond if -2048 < beyond < last.samples else 0
    if "mov" in container.format.name:
        extra = max(0, last.samples - round(last.duration * last.time_base * last.sample_rate))
        return beyond if extra + 0.002 * last.sample_rate < beyond < last.samples else extra
    return 0


def frames(container, stream, damage: list) -> Iterator[av.AudioFrame]:
    """Decoded frames; a damaged packet is left out, a cut-off file ends where it was cut.

    What was wrong is added to `damage`: "packet" or "end".
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            damage.append("end")
            return
        if packet is None:
            return
        try:
            yield from (frame for frame in packet.decode() if frame.samples)
        except av.FFmpegError:
            damage.append("packet")


def _first(path, decoded):
    """The first wave and rate, if they can be worked with, and the iterator with them back in."""
    name = Path(path).name
    wave, rate = first = next(decoded, (None, 0))
    if wave is None:
        raise AudioError(f"{name} holds no sound (zero samples): choose another file.")
    if len(wave) > len(LAYOUTS) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"{name} is {len(wave)}-channel sound at {rate} Hz, but only 1 to {len(LAYOUTS)} "
            f"channels at {LOWEST_RATE} to {HIGHEST_RATE} Hz can be read: export it as stereo "
            "at 48000 Hz."
        )
    return first, chain([first], decoded)


def _steady(decoded) -> Iterator[np.ndarray]:
    """Waves `(channels, n)` at the rate and channels of the first, whatever comes later.

    Joined MP3s, radio recordings and calls change in the middle.
    """
    resampler = None
    for wave, rate in decoded:
        if resampler is None:
            target, channels = rate, len(wave)
            resampler = Resampler(rate, target, channels)
        if rate != resampler.from_rate:
            yield resampler.push(np.zeros((channels, 0), np.float32), last=True)
            resampler = Resampler(rate, target, channels)
        if len(wave) != channels:
            wave = np.repeat(wave.mean(axis=0, keepdims=True), channels, axis=0)
        yield resampler.push(wave)
    yield resampler.push(np.zeros((channels, 0), np.float32), last=True)


def _wave(frame: av.AudioFrame) -> np.ndarray:
    """A frame as float32 `(channels, samples)`; integers of b bits are divided by 2^(b-1)."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T  # (1, n C) -> (C, n)
    wave = data.astype(np.float32, order="C")
    if data.dtype == np.uint8:
        return (wave - 128) / 128
    if data.dtype.kind == "i":  # 24 bits stand in the upper part of 32
        return wave / 2.0 ** (8 * data.dtype.itemsize - 1)
    return wave


def _subtype(codec: str, sample_format) -> str:
    if not codec.startswith(_LOSSLESS) or sample_format.bytes < 4:
        return "PCM_16"
    return "FLOAT" if sample_format.name.startswith(("flt", "dbl")) else "PCM_24"
