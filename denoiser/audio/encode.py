"""float32 waves -> WAV, FLAC or MP3, in pieces and under a temporary name until they are whole."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np

from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.resample import Resampler, check_shape
from denoiser.errors import AudioError

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
LOUDEST = 1e4  # full scales: encoders of floats never return from much more, or end the program
_MP3_QUALITY = {"flags": "+qscale", "global_quality": str(2 * 118)}  # lame -V2, about 190 kb/s


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
        if subtype not in _ENCODERS[ending]:
            known = ", ".join(_ENCODERS[ending])
            raise self._error(f"the bit depth {subtype!r} is none of {known}")
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
        """Adds a wave `(channels, n)` of floats. They are rounded and clipped, never wrapped."""
        check_shape(wave, self.channels)
        if wave.dtype.kind != "f":
            raise ValueError(f"expected a wave of floats, full scale 1, got {wave.dtype}")
        if not np.isfinite(wave).all():
            raise self._error("there are samples that are not numbers (NaN or infinity)")
        if self._format == "fltp" and np.abs(wave).max(initial=0) > LOUDEST:
            raise self._error(f"MP3 takes at most {LOUDEST:,.0f} times full scale: take .wav")
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
