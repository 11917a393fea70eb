"""float32 waves -> WAV, FLAC or MP3, in pieces and under a temporary name until they are whole."""

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
_BITS = {"s16": 16, "s32": 24}
_MOST_CHANNELS = {".wav": 8, ".flac": 8, ".mp3": 2}
# RF64 once 4 GiB are passed; "bitexact" keeps FFmpeg's version out of the file
_MUXER_OPTIONS = {".wav": {"rf64": "auto", "fflags": "+bitexact"}, ".flac": {}, ".mp3": {}}
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
LOUDEST = 1e4  # full scales: encoders of floats never return from much more, or end the program
_MP3_QUALITY = {"flags": "+qscale", "global_quality": str(2 * 118)}  # lame -V2, about 190 kb/s


FULLEST = 0.98  # peak of what was turned down to fit


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
    """A wave `(channels, samples)` to a .wav, .flac or .mp3 file; the options are those of Writer.
    Raises AudioError, and ValueError for an array of another shape.
    """
    shape = wave.shape if isinstance(wave, np.ndarray) else ()
    if len(shape) != 2 or shape[1] <= MOST_CHANNELS < shape[0]:
        check_wave(wave)  # other numbers of channels are a matter of the format
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
    """Consecutive waves to a file with the rate, channels and layout of the file `like`.

    `waves()` gives them twice. What goes above full scale is kept in a WAV (see Writer); for FLAC,
    and for MP3, of which players make integers, all is turned down, and `notify` gets a sentence.
    """
    gain = np.float32(1)
    if Path(target).suffix.lower() != ".wav":
        peak = max(float(np.abs(wave).max(initial=0)) for wave in waves())
        gain = np.float32(fitting_gain(target, peak, notify))
    with Writer.like(decode.info(like), target, subtype, notify=notify, tags=tags) as writer:
        for wave in waves():
            writer.write(gain * wave)


def fitting_gain(target: StrPath, peak: float, notify: Notify | None = None) -> float:
    """The gain at which samples up to the magnitude `peak` are not clipped in a file.

    1.0 for a WAV, which holds any (see Writer). Where FLAC or MP3 need less, `notify` gets a
    sentence.
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
    """A .wav, .flac or .mp3 file written in pieces; a context manager.

    It is written under a temporary name in the same folder and renamed at the end: the target is
    whole or not there. `layout` is FFmpeg's name for the speakers of the channels (see `layouts`).
    MP3 has no bit depth and no speakers beyond stereo, and of a rate that it does not know it
    becomes the next one up, at most 48 kHz. A WAV of integers that meets a sample above full scale
    becomes one of 32 bit floats; `notify` gets a sentence then. FLAC clips: see `write_fitting`.
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
            raise self._error(f"the bit depth {subtype!r} is none of {known}")
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
        """A writer with the rate, channels and speakers that `info` gives of another file.

        The bit depth is that of the other file, too, unless `subtype` names one.
        """
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
        """Begin a file."""
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
            assert isinstance(stream, AudioStream)  # as all of _ENCODERS are
            self._stream = stream
            self._tags.into(self._container, self._ending)
            self._container.start_encoding()  # a header, even if no sample follows

    def write(self, wave: np.ndarray) -> None:
        """Adds a wave `(channels, n)` of floats. They are rounded, never wrapped."""
        check_shape(wave, self.channels)
        if wave.dtype.kind != "f":
            raise ValueError(f"expected a wave of floats, full scale 1, got {wave.dtype}")
        if not np.isfinite(wave).all():
            raise self._error("there are samples that are not numbers (NaN or infinity)")
        peak = np.abs(wave).max(initial=0)
        if self._format == "fltp" and peak > LOUDEST:
            raise self._error(f"MP3 takes at most {LOUDEST:,.0f} times full scale: take .wav")
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
        """Ends the file and puts it in the place of the target."""
        with self._failing():
            self._encode(self._resampler.push(np.zeros((self.channels, 0), np.float32), last=True))
            self._finish()
            self._tags.append(self._temporary, self._ending)
            os.replace(self._temporary, self.path)

    def _finish(self) -> None:
        self._put(None)
        self._close()

    def _widen(self, peak: float) -> None:
        """Go on with floats, behind what was written as integers so far."""
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
        """Converts and encodes; in pieces, as FFmpeg measures a frame's bytes in 31 bits."""
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
        """Encodes a frame; None brings out what the encoder holds back."""
        assert self._container is not None
        self._container.mux(self._stream.encode(frame))

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turns what FFmpeg and the disk say into a sentence, and leaves no file behind."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self.drop()
            raise self._error((error.strerror or "FFmpeg failed").lower()) from None

    def drop(self) -> None:
        """Give up: nothing is left of the file."""
        with suppress(av.FFmpegError, OSError):
            self._close()
        self._temporary.unlink(missing_ok=True)

    def _error(self, why: str) -> AudioError:
        return AudioError(f"{self.path.name} cannot be written: {why}.")


def fits(peak: float, sample_format: str) -> bool:
    """Whether integers hold a magnitude, but for half a step."""
    return peak <= 1 + 2.0 ** -_BITS[sample_format]
