"""Active level, noise floor and loudness of a recording, robust against everything but speech.

Powers exclude constant offsets, rumble below 20 Hz and ultrasound, and a click or a slammed door
does not dominate them. Waves are float32 (channels, samples), full scale is 1.0; powers are mean
squares, 0 dBFS is an RMS of 1.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from denoiser import audio
from denoiser.audio.layouts import SILENT_CHANNEL_DB, Downmix, loudness_weights
from denoiser.errors import needing
from denoiser.files import StrPath

FLOOR_DBFS = -140.0  # level of digital silence: just below one step at 24 bits
AUDIBLE_HZ = (20.0, 20_000.0)
STRETCH_SECONDS = 0.4  # length of a block in BS.1770
FRAME_SECONDS = 0.02
CLICK_FRAMES = 2  # at most so many frames of a stretch are a click
SLAM_STRETCHES, SLAM_FRAMES = 2, 25  # at most so many are a slammed door
RARE_DB = 6.0  # a click or slam is louder than the rest by this
SMALL_OFFSET = 0.03  # relative to the RMS of the active parts
GATE_DB = -10.0  # relative to the mean of all stretches: below it are pauses
SILENT_LUFS = -70.0  # the absolute gate of ITU-R BS.1770
ABSURD_BLOCKS = 8  # at most so many blocks, 0.1 s apart, hold a corrupt sample or a slam
ABSURD_DB = 20.0  # which is louder than the next loudest by this
SILENT_POWER = 1e-20  # -200 dBFS: below it is only filter residue


@dataclass(frozen=True)
class Survey:
    """Levels of a whole recording, measured in one pass."""

    samples: int
    peak: float  # largest magnitude, including the offset
    offset: np.ndarray  # (channels, 1): the constant offset of each channel, 0 if small
    power: float  # of the active parts of the loudest channel; 0.0 for silence
    covariance: np.ndarray  # (channels, channels), of the active parts


def survey(blocks: Iterable[np.ndarray], sample_rate: int) -> Survey:
    """Levels of a recording that comes as consecutive waves (channels, n).

    Holds 0.4 s and a few numbers in memory. Raises ValueError without any sample.
    """
    steps = surveying(blocks, sample_rate)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def surveying(blocks: Iterable[np.ndarray], sample_rate: int) -> Generator[int, None, Survey]:
    """`survey` step by step: yields how many samples it has seen, returns the levels."""
    samples, peak = 0, 0.0
    offsets: list[np.ndarray] = []
    powers: list[float] = []
    covariances: list[np.ndarray] = []
    for stretch in stretches(blocks, round(STRETCH_SECONDS * sample_rate)):
        samples += stretch.shape[1]
        peak = max(peak, float(np.abs(stretch).max()))
        offsets.append(stretch.mean(axis=1, dtype=np.float64))
        wave = audible(stretch, sample_rate)
        powers.append(_power(frame_powers(wave, sample_rate)))
        covariances.append(wave @ wave.T / wave.shape[1])
        yield samples
    if not samples:
        raise ValueError("expected at least one sample")
    active, power = _active(np.array(powers))
    offset = np.median(offsets, axis=0)[:, None].astype(np.float32)
    offset[np.abs(offset) < SMALL_OFFSET * np.sqrt(power)] = 0
    return Survey(
        samples=samples,
        peak=peak,
        offset=offset,
        power=power,
        covariance=np.mean(np.array(covariances)[active], axis=0),
    )


def downmix_of(path: StrPath) -> Downmix:
    """How to mix a file to one channel; reads all of it if it has several. Raises AudioError."""
    about = audio.info(path)
    if about.channels == 1:
        return Downmix("mono", np.ones((1, 1)))
    return Downmix(about.layout, survey(audio.blocks(path), about.sample_rate).covariance)


def stretches(blocks: Iterable[np.ndarray], size: int) -> Iterable[np.ndarray]:
    """Consecutive waves (channels, n) -> waves of `size` samples, the last one shorter."""
    held = None
    for block in blocks:
        held = block if held is None else np.concatenate((held, block), axis=1)
        whole = held.shape[1] // size * size
        for start in range(0, whole, size):
            yield held[:, start : start + size]
        held = held[:, whole:]
    if held is not None and held.shape[1]:
        yield held


def audible(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """The part of a wave (channels, n) within AUDIBLE_HZ, as float64; meant for pieces of 0.4 s."""
    spectrum = np.fft.rfft(wave.astype(np.float64), axis=1)
    hz = np.fft.rfftfreq(wave.shape[1], 1 / sample_rate)
    spectrum[:, (hz < AUDIBLE_HZ[0]) | (hz > AUDIBLE_HZ[1])] = 0
    return np.fft.irfft(spectrum, wave.shape[1], axis=1)


def frame_powers(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mean squares (channels, n) of frames of FRAME_SECONDS; an incomplete last frame is left out.

    A wave shorter than one frame is one frame.
    """
    size = min(max(1, round(FRAME_SECONDS * sample_rate)), wave.shape[1])
    wave = wave[:, : wave.shape[1] // size * size]
    return np.square(wave).reshape(len(wave), -1, size).mean(axis=2)


def usual(powers: np.ndarray, few: int, above_db: float) -> np.ndarray:
    """Mask of the powers (n,) that are not outliers such as a click or a slammed door.

    The `few` loudest, or the loudest fifth if that is fewer, are outliers if they exceed the next
    loudest by more than `above_db`.
    """
    next_one = np.sort(powers)[-1 - min(few, len(powers) // 5)]
    return powers <= next_one * 10 ** (above_db / 10)


def _power(frames: np.ndarray) -> float:
    """Mean power of frames (channels, n) in the loudest channel, without clicks."""
    return max(float(row[usual(row, CLICK_FRAMES, RARE_DB)].mean()) for row in frames)


def _active(powers: np.ndarray) -> tuple[np.ndarray, float]:
    """Mask of the stretches (n,) that are neither pauses nor outliers, and their mean power."""
    counted = usual(powers, SLAM_STRETCHES, RARE_DB)
    counted &= powers >= powers[counted].mean() * 10 ** (GATE_DB / 10)
    power = float(powers[counted].mean())
    return counted, power if power >= SILENT_POWER else 0.0


def decibels(power: float) -> float:
    """A mean square in dB; digital silence gives FLOOR_DBFS."""
    return float(10 * np.log10(max(power, 10 ** (FLOOR_DBFS / 10))))


class Meter:
    """Noise floor, SNR, loudness and peak of a recording that comes in pieces (channels, n).

    Raises MissingExtra without pyloudnorm.
    """

    def __init__(self, sample_rate: int, layout: str):
        with needing("score"):
            from pyloudnorm import Meter as Reference

        self.sample_rate, self.size = sample_rate, round(STRETCH_SECONDS * sample_rate)
        self.weights = loudness_weights(layout)
        self.rest = np.zeros((len(self.weights), 0), np.float32)
        self.powers: list[np.ndarray] = []  # (channels, n) of 20 ms
        self.weighted: list[np.ndarray] = []  # the same, K-weighted
        self.peak = 0.0
        self.filters = list(Reference(sample_rate)._filters.values())  # the two of ITU-R BS.1770
        self.states = [np.zeros((len(self.weights), 2)) for _ in self.filters]

    def add(self, wave: np.ndarray) -> None:
        """Takes the next piece (channels, n), float32."""
        self.peak = max(self.peak, float(np.abs(wave).max(initial=0)))
        wave = np.concatenate((self.rest, wave), axis=1)
        whole = wave.shape[1] // self.size * self.size
        for start in range(0, whole, self.size):
            self._add(wave[:, start : start + self.size])
        self.rest = wave[:, whole:]

    def _add(self, stretch: np.ndarray) -> None:
        from scipy.signal import lfilter

        wave = audible(stretch, self.sample_rate)
        self.powers.append(frame_powers(wave, self.sample_rate))
        for n, each in enumerate(self.filters):
            wave, self.states[n] = lfilter(each.b, each.a, wave, axis=1, zi=self.states[n])
            wave = wave * each.passband_gain
        self.weighted.append(frame_powers(wave, self.sample_rate))

    def summary(self) -> dict[str, float]:
        """noise_floor_db (dBFS), snr_db (active parts over pauses), loudness_lufs and peak_dbfs."""
        if self.rest.shape[1]:
            self._add(self.rest)
            self.rest = self.rest[:, :0]
        powers = _of_audible_channels(np.concatenate(self.powers, axis=1))
        floor = decibels(np.quantile(powers, 0.1, method="lower")) if len(powers) else FLOOR_DBFS
        if len(powers):
            powers = powers[usual(powers, SLAM_FRAMES, RARE_DB)]
        active = powers[powers >= powers.mean() * 10 ** (GATE_DB / 10)] if powers.any() else []
        return {
            "noise_floor_db": floor,
            "snr_db": decibels(np.mean(active)) - floor if len(active) else 0.0,
            "loudness_lufs": self._loudness(),
            "peak_dbfs": decibels(self.peak**2),
        }

    def _loudness(self) -> float:
        """Integrated loudness, ITU-R BS.1770-4: blocks of 0.4 s every 0.1 s, gated twice."""
        powers = self.weights @ np.concatenate(self.weighted, axis=1)
        sums = np.cumsum(np.concatenate(([0.0], powers)))
        blocks = ((sums[20:] - sums[:-20]) / 20)[::5]
        blocks = blocks[_lufs(blocks) > SILENT_LUFS]
        if not len(blocks):
            return SILENT_LUFS
        blocks = blocks[usual(blocks, ABSURD_BLOCKS, ABSURD_DB)]
        return float(_lufs(blocks[_lufs(blocks) > _lufs(blocks.mean()) - 10].mean()))


def _lufs(powers: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(powers, 1e-20)) - 0.691


def _of_audible_channels(powers: np.ndarray) -> np.ndarray:
    """Mean over the channels that are not silent: (channels, n) -> (n,)."""
    whole = powers.mean(axis=1) if powers.size else np.zeros(len(powers))
    return powers[whole >= whole.max() * 10 ** (SILENT_CHANNEL_DB / 10)].mean(axis=0)
