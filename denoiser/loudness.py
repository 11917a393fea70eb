"""Reaching a target loudness: a gain, and a true-peak limiter for the few peaks in its way.

Loudness and true peak follow ITU-R BS.1770-4; EBU R 128 asks for a true peak below -1 dBTP. The
limiter looks LOOK_SECONDS ahead: it lowers the gain before a peak arrives and restores it slowly.
Samples below the ceiling are only delayed, by whole samples. Waves are (C, n) float32.
"""

from __future__ import annotations

import numpy as np

from denoiser.levels import Meter
from denoiser.mixing import Listener
from denoiser.stream import mixed

CEILING_DBTP = -1.0
MARGIN_DB = 0.05  # error of the peak at 4x oversampling
OVERSAMPLING = 4
TAPS = 24  # of the interpolator, per phase; the 12 of BS.1770-4 err more near Nyquist
LOOK_SECONDS = 0.005
RELEASE_SECONDS = 0.06  # time constant of the gain's recovery (63 %)
CLOSE_LU = 0.05  # distance from the target that is close enough
MOST_LU = 0.2  # distance from the target that is not reported
PASSES = 4
LEAST_ATTENUATION = 1e-9  # nepers: counts as none


def _interpolator() -> np.ndarray:
    """Windowed sinc, (OVERSAMPLING, TAPS), for values between samples TAPS / 2 - 1 and TAPS / 2."""
    centre = TAPS / 2 - 1
    phases = np.arange(OVERSAMPLING)[:, None] / OVERSAMPLING
    offsets = np.arange(TAPS)[None, :] - centre - phases
    window = np.cos(np.pi * offsets / (TAPS + 1)) ** 2
    taps = np.sinc(offsets) * window
    return taps / taps.sum(axis=1, keepdims=True)


INTERPOLATOR = _interpolator()
BEFORE, BEHIND = TAPS // 2 - 1, TAPS // 2  # samples that an interpolated value needs on either side


def true_peaks(wave: np.ndarray) -> np.ndarray:
    """(C, n + TAPS - 1) -> (n,): the largest magnitude from each sample to the next."""
    views = np.lib.stride_tricks.sliding_window_view(wave, TAPS, axis=1)  # (C, n, TAPS)
    peaks = np.zeros(views.shape[1], np.float32)
    for taps in INTERPOLATOR.astype(np.float32):
        np.maximum(peaks, np.abs(views @ taps).max(axis=0), out=peaks)
    return peaks


def true_peak(wave: np.ndarray) -> float:
    """The true peak of a whole wave (C, n), as a magnitude."""
    return float(true_peaks(np.pad(wave, ((0, 0), (BEFORE, BEHIND)))).max(initial=0))


class Limiter:
    """Keeps the true peak of a wave below `ceiling_dbtp`; the wave comes in pieces."""

    def __init__(self, sample_rate: int, channels: int, ceiling_dbtp: float = CEILING_DBTP):
        self.ceiling = 10 ** ((ceiling_dbtp - MARGIN_DB) / 20)
        self.look = max(1, round(LOOK_SECONDS * sample_rate))
        self.fall = 1 / (RELEASE_SECONDS * sample_rate)  # nepers of attenuation a sample
        self.wave = np.zeros((channels, 0), np.float32)  # not returned yet
        self.context = np.zeros((channels, BEFORE), np.float32)  # its peaks are not measured yet
        self.needed = np.zeros(0)  # log attenuation of samples whose look-ahead is incomplete
        self.last = -np.inf  # log attenuation of the previous sample
        self.ramp: np.ndarray | None = None  # attenuations of the preceding samples

    def push(self, wave: np.ndarray) -> np.ndarray:
        """Takes the next samples (C, n), returns earlier ones (C, m); `flush` returns the last."""
        self.wave = np.concatenate((self.wave, wave), axis=1)
        self.context = np.concatenate((self.context, wave), axis=1)
        if self.context.shape[1] < TAPS:
            return self.wave[:, :0]
        peaks = true_peaks(self.context)
        self.context = self.context[:, -(TAPS - 1) :]
        self.needed = np.concatenate((self.needed, self._released(peaks)))
        return self._out(len(self.needed) - self.look + 1)

    def flush(self) -> np.ndarray:
        """The remaining samples (C, m)."""
        rest = self.wave.shape[1]
        out = self.push(np.zeros((len(self.wave), BEHIND), np.float32))
        count = rest - out.shape[1]
        self.needed = np.concatenate((self.needed, np.full(self.look, -np.inf)))
        return np.concatenate((out[:, :rest], self._out(count)), axis=1)

    def _released(self, peaks: np.ndarray) -> np.ndarray:
        """Log of the attenuation (nepers) that each peak needs, decaying exponentially after it."""
        over = np.log(np.maximum(peaks / self.ceiling, 1.0))
        needed = np.log(np.maximum(over, LEAST_ATTENUATION))
        falling = self.fall * np.arange(1, len(needed) + 1)
        held = np.maximum.accumulate(np.concatenate(([self.last], needed + falling)))[1:]
        released = held - falling
        self.last = released[-1] if len(released) else self.last
        return released

    def _out(self, count: int) -> np.ndarray:
        """`count` samples, attenuated by the mean of what the `look` samples up to each need."""
        if count <= 0:
            return self.wave[:, :0]
        log = self.needed[: count + self.look - 1]
        ahead = np.lib.stride_tricks.sliding_window_view(log, self.look).max(axis=1)[:count]
        attenuation = np.where(ahead > np.log(2 * LEAST_ATTENUATION), np.exp(ahead), 0.0)
        if self.ramp is None:  # no ramp before the first sample
            self.ramp = np.full(self.look - 1, attenuation[0])
        history = np.concatenate((self.ramp, attenuation))
        sums = np.cumsum(np.concatenate(([0.0], history)))
        mean = np.maximum(sums[self.look :] - sums[: -self.look], 0) / self.look
        self.ramp = history[len(history) - self.look + 1 :]
        out, self.wave = self.wave[:, :count], self.wave[:, count:]
        self.needed = self.needed[count:]
        return np.where(mean > 1e-7, out * np.exp(-mean).astype(np.float32), out)


class Measure(Listener):
    """A listener that measures loudness and true peak of a mixture after a gain and the limiter."""

    def __init__(
        self, sample_rate: int, layout: str, channels: int, strength: float, gain_db: float
    ):
        self.strength, self.gain = strength, np.float32(10 ** (gain_db / 20))
        self.limiter, self.meter = Limiter(sample_rate, channels), Meter(sample_rate, layout)
        self.peak, self.held = 0.0, np.zeros((channels, TAPS - 1), np.float32)

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        self._add(self.limiter.push(self.gain * mixed(noisy, enhanced, self.strength)))

    def finish(self) -> None:
        self._add(self.limiter.flush())
        self._add(np.zeros((len(self.held), BEHIND), np.float32), silent=True)

    def _add(self, wave: np.ndarray, silent: bool = False) -> None:
        joined = np.concatenate((self.held, wave), axis=1)
        self.held = joined[:, -(TAPS - 1) :]
        if joined.shape[1] >= TAPS:
            self.peak = max(self.peak, float(true_peaks(joined).max()))
        if wave.shape[1] and not silent:
            self.meter.add(wave)

    @property
    def loudness_lufs(self) -> float:
        """Integrated loudness so far, ITU-R BS.1770-4."""
        return self.meter.summary()["loudness_lufs"]

    @property
    def peak_dbtp(self) -> float:
        """True peak so far."""
        return 20 * float(np.log10(max(self.peak, 1e-7)))
