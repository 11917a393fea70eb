"""Encoding float32 waves as WAV, FLAC or MP3, in pieces; a complete file replaces the target."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from denoiser.audio import decode
from denoiser.audio.decode import Notify
from denoiser.audio.layouts import LAYOUTS
from denoiser.audio.resample import MOST_CHANNELS, Resampler, check_shape, check_wave
from denoiser.audio.tags import Tags
from denoiser.errors import AudioError
from denoiser.files import StrPath, beside

# ending -> subtype -> FFmpeg's encoder and its input sample format
_ENCODERS = {
    ".wav": {
        "PCM_16": ("pcm_s16le", "s16"),
        "PCM_24": ("pcm_s24le", "s32"),
        "FLOAT": ("pcm_f32le", "flt"),
    },
    # FLAC has no float samples: they become 24-bit integers
    ".flac": {"PCM_16": ("flac", "s16"), "PCM_24": ("flac", "s32"), "FLOAT": ("flac", "s32")},
    ".mp3": dict.fromkeys(("PCM_16", "PCM_24", "FLOAT"), ("libmp3lame", "fltp")),
}
_BITS = {"s16": 16, "s32": 24}
_MOST_CHANNELS = {".wav": 8, ".flac": 8, ".mp3": 2}
# RF64 beyond 4 GiB; "bitexact" keeps FFmpeg's version out of the file
_MUXER_OPTIONS = {".wav": {"rf64": "auto", "fflags": "+bitexact"}, ".flac": {}, ".mp3": {}}
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
LOUDEST = 1e4  # times full scale: beyond it, encoders of floats may hang or crash
_MP3_QUALITY = {"flags": "+qscale", "global_quality": str(2 * 118)}  # lame -V2, about 190 kb/s
FULLEST = 0.98  # peak of what is attenuated to fit


def write(
    path: StrPath,
    wave: np.ndarray,
    sample_rate: int,
    subtype: str = "PCM_16",
    *,
    layout: str | None = None,
    notify: Notify | None = None,
    tags: Tags | None = None,
) -> None:
    """Writes a wave (channels, samples) to a .wav, .flac or .mp3 file; the options are Writer's.

    Raises AudioError, and ValueError for an array of another shape.
    """
    shape = wave.shape if isinstance(wave, np.ndarray) else ()
    if len(shape) != 2 or shape[1] <= MOST_CHANNELS < shape[0]:
        check_wave(wave)  # the format decides about other numbers of channels
    with Writer(
        path, sample_rate, len(wave), subtype, layout=layout, notify=notify, tags=tags
    ) as writer:
        writer.write(wave)


def write_fitting(
    waves: Callable[[], Iterable[np.ndarray]],
    like: StrPath,
    target: StrPath,
    subtype: str,
    notify: Notify | None = None,
    tags: Tags | None = None,
) -> None:
    """Writes consecutive waves (C, n) in the format of the file `like`, without clipping.

    The target gets its rate, channels and layout. For FLAC and MP3, which are attenuated as a whole
    if necessary (see `fitting_gain`), `waves()` is called twice; a WAV keeps samples above full
    scale (see Writer). Raises AudioError.
    """
    gain = np.float32(1)
    if Path(target).suffix.lower() != ".wav":
        peak = max(float(np.abs(wave).max(initial=0)) for wave in waves())
        gain = np.float32(fitting_gain(target, peak, notify))
    with Writer.like(decode.info(like), target, subtype, notify=notify, tags=tags) as writer:
        for wave in waves():
            writer.write(gain * wave)


def fitting_gain(target: StrPath, peak: float, notify: Notify | None = None) -> float:
    """The factor that keeps samples up to the magnitude `peak` from clipping in a file.

    1.0 for a WAV, which holds any sample (see Writer). FLAC stores integers, and players decode MP3
    to integers; for a gain below 1, `notify` receives a sentence.
    """
    path = Path(target)
    if path.suffix.lower() == ".wav" or peak <= 1:
        return 1.0
    gain = FULLEST / peak
    if notify:
        notify(
            f"{path.name} was lowered by {-20 * np.log10(gain):.1f} dB to avoid clipping: choose "
            "WAV to keep the level."
        )
    return gain


class Writer:
    """Writes a .wav, .flac or .mp3 file in pieces; a context manager.

    Samples go to a temporary file in the same folder, which replaces the target at the end: the
    target is complete or absent. `layout` is FFmpeg's name for the speakers of the channels (see
    `layouts`). An MP3 has no bit depth and no speakers beyond stereo; a rate it does not support
    becomes the next higher one, at most 48 kHz. An integer WAV becomes 32-bit float at the first
    sample above full scale, and `notify` receives a sentence. FLAC clips: see `fitting_gain`.
    Raises AudioError.
    """

    def __init__(
        self,
        path: StrPath,
        sample_rate: int,
        channels: int,
        subtype: str = "PCM_16",
        *,
        layout: str | None = None,
        notify: Notify | None = None,
        tags: Tags | None = None,
    ):
        self.path, self.channels, self._notify = Path(path), channels, notify
        self._tags = tags or Tags()
        self._ending = self.path.suffix.lower()
        if self._ending not in _ENCODERS:
            raise self._error("the name must end in .wav, .flac or .mp3")
        most = _MOST_CHANNELS[self._ending]
        if not 1 <= channels <= most:
            raise self._error(f"{self._ending} takes 1 to {most} channels, not {channels}")
        if subtype not in _ENCODERS[self._ending]:
            known = ", ".join(_ENCODERS[self._ending])
            raise self._error(f"the bit depth {subtype!r} is not one of {known}")
        self._rate, self._layout = sample_rate, LAYOUTS[channels - 1]
        if layout and self._ending != ".mp3":
            self._layout = layout
        if self._ending == ".mp3":
            self._rate = next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])
        self._resampler = Resampler(sample_rate, self._rate, channels)
        self._open(subtype)

    @classmethod
    def like(
        cls,
        about: decode.Info,
        target: StrPath,
        subtype: str | None = None,
        *,
        notify: Notify | None = None,
        tags: Tags | None = None,
    ) -> Writer:
        """A writer with the rate, channels, speakers and, by default, bit depth of another file."""
        return cls(
            target,
            about.sample_rate,
            about.channels,
            subtype or about.subtype,
            layout=about.layout,
            notify=notify,
            tags=tags,
        )

    def _open(self, subtype: str) -> None:
        """Starts a temporary file."""
        self._container: OutputContainer | None = None
        self._written = 0  # samples
        self._temporary = beside(self.path)
        codec, self._format = _ENCODERS[self._ending][subtype]
        with self._failing():
            self._container = av.open(
                f"file:{self._temporary}",
                "w",
                self._ending[1:],
                options=_MUXER_OPTIONS[self._ending],
            )
            stream = self._container.add_stream(
                codec,
                rate=self._rate,
                format=self._format,
                layout=self._layout,
                options=_MP3_QUALITY if self._ending == ".mp3" else {},
            )
            assert isinstance(stream, AudioStream)  # true of all _ENCODERS
            self._stream = stream
            self._tags.into(self._container, self._ending)
            self._container.start_encoding()  # a header, even if no sample follows

    def write(self, wave: np.ndarray) -> None:
        """Appends a wave (channels, n) of floats; values are rounded and clipped, never wrapped."""
        check_shape(wave, self.channels)
        if wave.dtype.kind != "f":
            raise ValueError(f"expected a wave of floats, full scale 1, got {wave.dtype}")
        if not np.isfinite(wave).all():
            raise self._error("the sound contains NaN or infinite samples")
        peak = np.abs(wave).max(initial=0)
        if self._format == "fltp" and peak > LOUDEST:
            raise self._error(f"MP3 takes at most {LOUDEST:,.0f} times full scale: choose .wav")
        with self._failing():
            if self._ending == ".wav" and self._format in _BITS and not fits(peak, self._format):
                self._widen(peak)
            self._encode(self._resampler.push(np.asarray(wave, np.float32)))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.drop()

    def close(self) -> None:
        """Completes the file and replaces the target with it."""
        with self._failing():
            self._encode(self._resampler.push(np.zeros((self.channels, 0), np.float32), last=True))
            self._finish()
            self._tags.append(self._temporary, self._ending)
            os.replace(self._temporary, self.path)

    def _finish(self) -> None:
        self._put(None)
        self._close()

    def _widen(self, peak: float) -> None:
        """Continues as 32-bit float after converting the integers written so far."""
        self._finish()
        integers, written = self._temporary, self._written
        self._open("FLOAT")
        try:
            for wave in decode.blocks(integers) if written else ():
                self._encode(wave)
        finally:
            integers.unlink()
        if self._notify:
            self._notify(
                f"{self.path.name} peaks {20 * np.log10(peak):.1f} dB above full scale and is "
                "written as 32-bit float to avoid clipping."
            )

    def _encode(self, wave: np.ndarray) -> None:
        """Converts and encodes, in pieces: FFmpeg counts the bytes of a frame in 31 bits."""
        self._written += wave.shape[1]
        if self._format in _BITS:
            bits = _BITS[self._format]
            full = 2 ** (bits - 1)
            wave = np.clip(np.rint(wave * full), -full, full - 1).astype(np.int32)
            wave = wave.astype(np.int16) if bits == 16 else wave << 8
        for start in range(0, wave.shape[1], 1 << 16):
            piece = wave[:, start : start + (1 << 16)]
            if self._format != "fltp":
                piece = piece.T.reshape(1, -1)  # (C, n) -> (1, n C)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), self._format, self._layout
            )
            frame.sample_rate = self._stream.rate
            self._put(frame)

    def _put(self, frame: av.AudioFrame | None) -> None:
        """Encodes a frame; None flushes the encoder."""
        assert self._container is not None
        self._container.mux(self._stream.encode(frame))

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turns errors of FFmpeg and the disk into AudioError and deletes the incomplete file."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self.drop()
            raise self._error((error.strerror or "FFmpeg failed").lower()) from None

    def drop(self) -> None:
        """Deletes the incomplete file."""
        with suppress(av.FFmpegError, OSError):
            self._close()
        self._temporary.unlink(missing_ok=True)

    def _error(self, why: str) -> AudioError:
        return AudioError(f"{self.path.name} cannot be written: {why}.")


def fits(peak: float, sample_format: str) -> bool:
    """Whether integers can represent a magnitude, to within half a step."""
    return peak <= 1 + 2.0 ** -_BITS[sample_format]
