"""Figures of audio: spectrograms of two files, waveforms and spectrograms of several signals.

The frequency axis is mel: on a linear one up to 24 kHz, speech and most noise (hum, voices,
traffic) would fill only the lowest third. Two files get one dB range and the same axes, so that
their figures can be overlaid.

Figures are matplotlib objects without pyplot's global state, because a server draws in many
threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from denoiser import audio
from denoiser.audio.layouts import Downmix
from denoiser.errors import needing
from denoiser.levels import downmix_of
from denoiser.mixing import Listener

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

COLUMNS = 1200  # at most about this many, for any length
RANGE_DB = 80.0  # below the top of the scale
TOP = 99.8  # percentile that is the top: a single click must not darken the speech
MEL_STEP = 0.38  # mel between rows: 25 Hz below 1 kHz, just above the transform's resolution
TICKS_KHZ = (0.5, 1, 2, 4, 8, 16, 32)

# Dark on a light page, too: quiet parts are dark, and text has a contrast above 9 : 1.
FACE, TEXT, GRID, TRACE = "#12151c", "#d5dae3", "#3b4252", "#f0a868"


def compare_files(
    before: str, after: str, titles: tuple[str, str] = ("Before", "After")
) -> tuple[Figure, Figure]:
    """Spectrograms of two audio files of one sample rate, with equal size, axes and dB range.

    Memory use does not depend on the length. Raises AudioError if a file cannot be read, ValueError
    if the sample rates differ, MissingExtra without the extra `plot`.
    """
    infos = [audio.info(before), audio.info(after)]
    sample_rate = infos[0].sample_rate
    if infos[1].sample_rate != sample_rate:
        raise ValueError(f"expected one sample rate, got {sample_rate} and {infos[1].sample_rate}")
    downmix = downmix_of(before)
    expected = infos[1].seconds  # `after` was written by this package; other headers may be wrong
    pictures = [
        _mel_power((downmix(block)[0] for block in audio.blocks(path)), sample_rate, expected)
        for path in (before, after)
    ]
    return compare_pictures(pictures, sample_rate, titles)


def compare_pictures(
    pictures: list[Picture], sample_rate: int, titles: tuple[str, str] = ("Before", "After")
) -> tuple[Figure, Figure]:
    """Figures of two spectrograms, with equal size, axes and dB range."""
    seconds = max(picture.seconds for picture in pictures)
    top_db = _top_db(pictures)
    figures = []
    # The titles meet in the middle, so that a slider between the figures shows both.
    for title, x, side, picture in zip(
        titles, (0.5, 0.55), ("right", "left"), pictures, strict=True
    ):
        figure = _figure(8.5, 4.0)
        axes = figure.add_subplot()
        image = _draw_spectrogram(axes, picture, sample_rate, top_db)
        _draw_scale(figure, [axes], image)
        axes.set_title(title, x=x, ha=side, color=TEXT, fontsize=16, fontweight="bold")
        _finish_time_axis(axes, seconds)
        figures.append(figure)
    return figures[0], figures[1]


def compare(waves: Mapping[str, np.ndarray], sample_rate: int) -> tuple[Figure, Figure]:
    """Waveforms and spectrograms of mono signals: two figures with a panel per signal.

    `waves` maps titles to samples (T,) at `sample_rate` Hz. Raises ValueError for other shapes.
    """
    for title, wave in waves.items():
        if wave.ndim != 1 or not wave.size:
            raise ValueError(f"{title}: expected one channel, shape (T,), got {wave.shape}")
    seconds = max(wave.size for wave in waves.values()) / sample_rate
    peak = max(max(float(np.abs(wave).max()) for wave in waves.values()), 1e-4)
    pictures = [_mel_power([wave], sample_rate, seconds) for wave in waves.values()]
    top_db = _top_db(pictures)
    waveforms = _figure(8.5, 0.8 + 1.5 * len(waves))
    spectrograms = _figure(8.5, 0.8 + 2.5 * len(waves))
    for figure in (waveforms, spectrograms):
        panels = figure.subplots(len(waves), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, title, wave, picture in zip(panels, waves, waves.values(), pictures, strict=True):
            if figure is waveforms:
                _draw_waveform(axes, wave, sample_rate, peak)
            else:
                image = _draw_spectrogram(axes, picture, sample_rate, top_db)
            axes.set_title(title, loc="left", color=TEXT, fontsize=14, fontweight="bold")
        _finish_time_axis(panels[-1], seconds)
    _draw_scale(spectrograms, list(spectrograms.axes), image)
    return waveforms, spectrograms


class Picture(NamedTuple):
    """The mel power of a mono signal."""

    power: np.ndarray  # (rows, columns)
    left: float  # seconds, at the left and right edge
    right: float
    seconds: float  # of audio


class MelPower:
    """Mel power of a mono signal that comes in pieces, averaged into columns.

    `expected` is its length in seconds and sets the width of a column; a wrong one makes the
    picture coarser or finer.
    """

    def __init__(self, sample_rate: int, expected: float):
        with needing("plot"):
            import librosa

        self.sample_rate = sample_rate
        self.n_fft = 2 ** max(5, round(math.log2(0.043 * sample_rate)))
        hop = int(np.clip(expected * sample_rate / COLUMNS, self.n_fft // 8, self.n_fft))
        self.hop_length = hop
        self.frames = math.ceil(expected * sample_rate / hop / COLUMNS) or 1  # per column
        rows = int(librosa.hz_to_mel(sample_rate / 2) / MEL_STEP)
        self.filters = librosa.filters.mel(sr=sample_rate, n_fft=self.n_fft, n_mels=rows, norm=None)
        self.rest = np.zeros(self.n_fft // 2, np.float32)  # frames are centred
        self.columns: list[np.ndarray] = []
        self.samples = 0

    def add(self, wave: np.ndarray) -> None:
        """Takes the next samples (n,), float32."""
        self.samples += len(wave)
        self._add(wave, last=False)

    def finish(self) -> Picture:
        """The picture of all samples."""
        self._add(np.zeros(self.n_fft // 2, np.float32), last=True)
        power = np.concatenate(self.columns, axis=1)
        left = -self.hop_length / 2 / self.sample_rate
        right = left + power.shape[1] * self.frames * self.hop_length / self.sample_rate
        return Picture(power, left, right, self.samples / self.sample_rate)

    def _add(self, wave: np.ndarray, last: bool) -> None:
        import librosa

        self.rest = np.concatenate([self.rest, wave])
        count = 1 + (len(self.rest) - self.n_fft) // self.hop_length
        whole = count if last else count // self.frames * self.frames
        if whole <= 0:
            return
        part = self.rest[: (whole - 1) * self.hop_length + self.n_fft]
        spectrum = librosa.stft(part, n_fft=self.n_fft, hop_length=self.hop_length, center=False)
        power = self.filters @ (spectrum.real**2 + spectrum.imag**2)  # (rows, whole)
        starts = np.arange(0, whole, self.frames)
        self.columns.append(np.add.reduceat(power, starts, axis=1) / np.diff(starts, append=whole))
        self.rest = self.rest[whole * self.hop_length :]


class Spectrograms(Listener):
    """A listener that makes pictures of a recording, its enhanced version and the removed part.

    All three have one dB scale. `downmix` mixes to one channel; `expected` is the length in
    seconds.
    """

    def __init__(self, sample_rate: int, expected: float, downmix: Downmix):
        self.downmix, self.sample_rate = downmix, sample_rate
        self.sides = [MelPower(sample_rate, expected) for _ in range(3)]

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        before, after = self.downmix(noisy)[0], self.downmix(enhanced)[0]
        for side, wave in zip(self.sides, (before, after, before - after), strict=True):
            side.add(wave)

    def finish(self) -> None:
        self.pictures = [side.finish() for side in self.sides]

    def levels(self) -> np.ndarray:
        """(3, rows, columns) uint8: levels from RANGE_DB below the top of the scale to the top.

        Rows ascend in frequency, evenly spaced in mel.
        """
        top_db = _top_db(self.pictures[:2])
        power = np.stack([picture.power for picture in self.pictures])
        shares = 1 + (_decibel(power) - top_db) / RANGE_DB
        return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)

    def ticks(self) -> list[tuple[float, float]]:
        """Frequencies in kHz, with their heights in the picture, 0 to 1."""
        import librosa

        nyquist = float(librosa.hz_to_mel(self.sample_rate / 2))
        step = nyquist / (len(self.pictures[0].power) + 1)
        marks = [khz for khz in TICKS_KHZ if 1000 * khz < self.sample_rate / 2]
        mels = [float(librosa.hz_to_mel(1000 * khz)) for khz in marks]
        return [
            (khz, (mel - step / 2) / (nyquist - step)) for khz, mel in zip(marks, mels, strict=True)
        ]


def _mel_power(waves: Iterable[np.ndarray], sample_rate: int, expected: float) -> Picture:
    """The picture of a mono signal in pieces (n,)."""
    mel = MelPower(sample_rate, expected)
    for wave in waves:
        mel.add(wave)
    return mel.finish()


def _top_db(pictures: list[Picture]) -> float:
    powers = [picture.power.ravel() for picture in pictures]
    return float(np.percentile(_decibel(np.concatenate(powers)), TOP))


def _decibel(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 1e-14))  # far below one step at 24 bits


def _figure(width: float, height: float) -> Figure:
    with needing("plot"):
        from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=140, facecolor=FACE, layout="constrained")


def _draw_spectrogram(
    axes: Axes,
    picture: Picture,
    sample_rate: int,
    top_db: float,
) -> AxesImage:
    with needing("plot"):
        import librosa

    nyquist = float(librosa.hz_to_mel(sample_rate / 2))
    step = nyquist / (picture.power.shape[0] + 1)  # row k is centred on (k + 1) steps
    image = axes.imshow(
        _decibel(picture.power) - top_db,
        extent=(picture.left, picture.right, step / 2, nyquist - step / 2),
        origin="lower",
        aspect="auto",
        cmap="inferno",
        vmin=-RANGE_DB,
        vmax=0.0,
        interpolation="nearest" if picture.power.shape[1] > COLUMNS / 2 else "bilinear",
    )
    axes.set_ylim(0, nyquist)
    ticks = [khz for khz in TICKS_KHZ if 1000 * khz <= sample_rate / 2]
    axes.set_yticks(librosa.hz_to_mel(1000 * np.array(ticks)), [f"{khz:g}" for khz in ticks])
    axes.set_ylabel("kHz", color=TEXT, fontsize=13)
    _style(axes)
    return image


def _draw_scale(figure: Figure, panels: list[Axes], image: AxesImage) -> None:
    aspect = 25 * len(panels)
    bar = figure.colorbar(image, ax=panels, pad=0.01, aspect=aspect, ticks=[-80, -60, -40, -20, 0])
    bar.set_label("dB", color=TEXT, fontsize=13)
    bar.outline.set_visible(False)
    _style(bar.ax)


def _draw_waveform(axes: Axes, wave: np.ndarray, sample_rate: int, peak: float) -> None:
    step = max(1, wave.size // COLUMNS)
    starts = np.arange(0, wave.size, step)
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    axes.fill_between(starts / sample_rate, low, high, color=TRACE, linewidth=0.6)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_facecolor(FACE)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    _style(axes)


def _finish_time_axis(axes: Axes, seconds: float) -> None:
    axes.set_xlim(0, seconds)
    axes.set_xlabel("seconds" if seconds < 120 else "minutes : seconds", color=TEXT, fontsize=13)
    if seconds >= 120:
        step = next((s for s in (30, 60, 120, 300, 600, 900) if seconds / s <= 8), 1800)
        axes.set_xticks(np.arange(0, seconds + 0.001, step))
        axes.xaxis.set_major_formatter(lambda x, _: f"{int(x) // 60}:{int(x) % 60:02d}")


def _style(axes: Axes) -> None:
    axes.tick_params(colors=TEXT, labelsize=13)
    for spine in axes.spines.values():
        spine.set_color(GRID)
