"""Any audio or video file <-> float32 waves; the only file that decodes, resamples or encodes.

A wave is float32 `(channels, samples)`, full scale is 1.0, its rate in Hz stands beside it.
Everything goes through PyAV, which carries FFmpeg in its wheel.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
import soxr

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
# These hold no length: FFmpeg guesses it from the bit rate
_GUESSING = ("mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "mpeg", "mpegts")
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000  # Hz; beyond them the header lies
LAYOUTS = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"]  # for 1 to 8 channels

# ending -> subtype -> FFmpeg's encoder and the sample format it is fed
_ENCODERS = {
    ".wav": {
        "PCM_16": ("pcm_s16le", "s16"),
        "PCM_24": ("pcm_s24le", "s32"),
        "FLOAT": ("pcm_f32le", "flt"),
    },
    # FLAC knows no floats: they get the most bits it has
    ".flac": {"PCM_16": ("flac", "s16"), "PCM_24": ("flac", "s32"), "FLOAT": ("flac", "s32")},
    ".mp3": dict.fromkeys(("PCM_16", "PCM_24", "FLOAT"), ("libmp3lame", "fltp")),
}
_MOST_CHANNELS = {".wav": 8, ".flac": 8, ".mp3": 2}
# RF64 once 4 GiB are passed; "bitexact" keeps FFmpeg's version out of the file
_MUXER_OPTIONS = {".wav": {"rf64": "auto", "fflags": "+bitexact"}, ".flac": {}, ".mp3": {}}
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MP3_QUALITY = {"flags": "+qscale", "global_quality": str(2 * 118)}  # lame -V2, about 190 kb/s


Notify = Callable[[str], None]  # takes one sentence for whoever waits for the result


class AudioError(ValueError):
    """A file cannot be read or written; the text is one sentence for the user."""


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
    """Rate, channels, length and bit depth; decodes the first frame only.

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
        if damage and notify:
            notify(f"{Path(path).name} is damaged or cut off: what could be read of it is kept.")


@contextmanager
def opened(path):
    """PyAV's container and its main audio stream, or the sentence that says why not."""
    path = Path(path)
    if os.path.isdir(path):
        raise AudioError(f"{path.name} is a folder: choose an audio or video file.")
    if not os.path.isfile(path):
        raise AudioError(f"{path.name} does not exist: check the name and the folder.")
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
    if len(wave) > len(LAYOUTS) or not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise AudioError(
            f"{name} is {len(wave)}-channel sound at {rate} Hz, but only 1 to {len(LAYOUTS)} "
            f"channels at {_LOWEST_RATE} to {_HIGHEST_RATE} Hz can be read: export it as stereo "
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


# ---- resampling


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """`(channels, T)` -> `(channels, round(T * to_rate / from_rate))`."""
    return Resampler(from_rate, to_rate, len(wave)).push(wave, last=True)


class Resampler:
    """`resample` for a wave that comes in pieces: the joined outputs equal it."""

    def __init__(self, from_rate: int, to_rate: int, channels: int):
        self.from_rate, self.to_rate, self.channels = from_rate, to_rate, channels
        self._taken = self._given = 0  # samples
        self._stream = None
        if from_rate != to_rate:
            # VHQ is as fast as HQ here, and keeps a constant to the last bit
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, "float32", "VHQ")

    def push(self, wave: np.ndarray, last: bool = False) -> np.ndarray:
        """`(channels, n)` -> `(channels, m)`: what is due already; all the rest with `last`."""
        _check_shape(wave, self.channels)
        if self._stream is None:
            return wave
        samples = np.ascontiguousarray(wave.T, np.float32)  # (n, C)
        out = self._stream.resample_chunk(samples, last=last).T  # (C, m)
        self._taken += wave.shape[1]
        if last:
            due = round(self._taken * self.to_rate / self.from_rate) - self._given
            out = np.pad(out[:, :due], ((0, 0), (0, max(0, due - out.shape[1]))))
        self._given += out.shape[1]
        return np.ascontiguousarray(out)


# ---- writing


def write(path, wave: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> None:
    """A wave `(channels, samples)` to a .wav, .flac or .mp3 file."""
    with Writer(path, sample_rate, len(wave), subtype) as writer:
        writer.write(wave)


class Writer:
    """A .wav, .flac or .mp3 file written in pieces; a context manager.

    It is written under a temporary name in the same folder and renamed at the end: the target is
    whole or not there. MP3 has no bit depth, and of a rate that it does not know it becomes the
    next one up, at most 48 kHz.
    """

    def __init__(self, path, sample_rate: int, channels: int, subtype: str = "PCM_16"):
        self.path, self.channels = Path(path), channels
        ending = self.path.suffix.lower()
        if ending not in _ENCODERS:
            raise self._error("the name must end in .wav, .flac or .mp3")
        most = _MOST_CHANNELS[ending]
        if not 1 <= channels <= most:
            raise self._error(f"{ending} takes 1 to {most} channels, not {channels}")
        codec, self._format = _ENCODERS[ending][subtype]
        rate = sample_rate
        if ending == ".mp3":
            rate = next((known for known in _MP3_RATES if known >= rate), _MP3_RATES[-1])
        self._resampler = Resampler(sample_rate, rate, channels)
        self._temporary = self.path.with_name(f".{uuid.uuid4().hex}.part")
        self._container = None
        with self._failing():
            self._container = av.open(
                f"file:{self._temporary}", "w", ending[1:], options=_MUXER_OPTIONS[ending]
            )
            self._stream = self._container.add_stream(
                codec,
                rate=rate,
                format=self._format,
                layout=LAYOUTS[channels - 1],
                options=_MP3_QUALITY if ending == ".mp3" else {},
            )
            self._container.start_encoding()  # a header, even if no sample follows

    def write(self, wave: np.ndarray) -> None:
        """Adds a wave `(channels, n)`. Integers are rounded and clipped, never wrapped."""
        _check_shape(wave, self.channels)
        if not np.isfinite(wave).all():
            raise self._error("there are samples that are not numbers (NaN or infinity)")
        with self._failing():
            self._encode(self._resampler.push(np.asarray(wave, np.float32)))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:
            self._drop()
            return
        with self._failing():
            self._encode(self._resampler.push(np.zeros((self.channels, 0), np.float32), last=True))
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._temporary, self.path)

    def _encode(self, wave: np.ndarray) -> None:
        """Converts and encodes; in pieces, as FFmpeg measures a frame's bytes in 31 bits."""
        if self._format in ("s16", "s32"):
            bits = 16 if self._format == "s16" else 24
            full = 2 ** (bits - 1)
            wave = np.clip(np.rint(wave * full), -full, full - 1).astype(np.int32)
            wave = wave.astype(np.int16) if bits == 16 else wave << 8
        for start in range(0, wave.shape[1], 1 << 16):
            piece = wave[:, start : start + (1 << 16)]
            if self._format != "fltp":
                piece = piece.T.reshape(1, -1)  # (C, n) -> (1, n C)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), self._format, LAYOUTS[self.channels - 1]
            )
            frame.sample_rate = self._stream.rate
            self._container.mux(self._stream.encode(frame))

    @contextmanager
    def _failing(self):
        """Turns what FFmpeg and the disk say into a sentence, and leaves no file behind."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self._drop()
            raise self._error((error.strerror or "FFmpeg failed").lower()) from None

    def _drop(self) -> None:
        with suppress(av.FFmpegError, OSError):
            if self._container is not None:
                self._container.close()
        self._temporary.unlink(missing_ok=True)

    def _error(self, why: str) -> AudioError:
        return AudioError(f"{self.path.name} cannot be written: {why}.")


def _check_shape(wave: np.ndarray, channels: int) -> None:
    if wave.ndim != 2 or len(wave) != channels:
        raise ValueError(f"expected a wave of shape ({channels}, samples), got {wave.shape}")
