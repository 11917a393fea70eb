"""A loudness that is met: a gain, and a true-peak limiter for the few peaks that stand in its way.

ITU-R BS.1770-4 defines loudness and true peak, EBU R 128 asks for a true peak below -1 dBTP. The
limiter knows LOOK_SECONDS of what comes: the gain is down when a peak arrives, and comes back
slowly. What is below the ceiling is only delayed, by whole samples. Waves are (C, n) float32.
"""

from __future__ import annotations

import numpy as np

from denoiser.levels import Meter
from denoiser.mixing import Listener
from denoiser.stream import mixed

CEILING_DBTP = -1.0
MARGIN_DB = 0.05  # what oversampling by 4 may miss of a peak
OVERSAMPLING = 4
TAPS = 24  # of the interpolator, per phase; BS.1770-4 has 12, which miss more near the top
LOOK_SECONDS = 0.005
RELEASE_SECONDS = 0.06  # for a gain to come back by 63 %
CLOSE_LU = 0.05  # to the target: near enough
MOST_LU = 0.2  # off the target without a word
PASSES = 4
LEAST_ATTENUATION = 1e-9  # nepers: none


def _interpolator() -> np.ndarray:
    """Windowed sinc, (OVERSAMPLING, TAPS): values between samples TAPS / 2 - 1 and TAPS / 2."""
    centre = TAPS / 2 - 1
    phases = np.arange(OVERSAMPLING)[:, None] / OVERSAMPLING
    offsets = np.arange(TAPS)[None, :] - centre - phases
    window = np.cos(np.pi * offsets / (TAPS + 1)) ** 2
    taps = np.sinc(offsets) * window
    return taps / taps.sum(axis=1, keepdims=True)


INTERPOLATOR = _interpolator()
BEFORE, BEHIND = TAPS // 2 - 1, TAPS // 2  # samples that a value needs on either side


def true_peaks(wave: np.ndarray) -> np.ndarray:
    """(C, n + TAPS - 1) -> (n,): the largest magnitude from each sample to the next."""
    views = np.lib.stride_tricks.sliding_window_view(wave, TAPS, axis=1)  # (C, n, TAPS)
    peaks = np.zeros(views.shape[1], np.float32)
    for taps in INTERPOLATOR.astype(np.float32):
        np.maximum(peaks, np.abs(views @ taps).max(axis=0), out=peaks)
    return peaks


def true_peak(wave: np.ndarray) -> float:
    """The largest magnitude of a whole wave, between its samples too."""
    return float(true_peaks(np.pad(wave, ((0, 0), (BEFORE, BEHIND)))).max(initial=0))


class Limiter:
    """Keeps the true peak of a wave that comes in pieces at `ceiling_dbtp`."""

    def __init__(self, sample_rate: int, channels: int, ceiling_dbtp: float = CEILING_DBTP):
        self.ceiling = 10 ** ((ceiling_dbtp - MARGIN_DB) / 20)
        self.look = max(1, round(LOOK_SECONDS * sample_rate))
        self.fall = 1 / (RELEASE_SECONDS * sample_rate)  # nepers of attenuation a sample
        self.wave = np.zeros((channels, 0), np.float32)  # still to be given out
        self.heard = np.zeros((channels, BEFORE), np.float32)  # whose peaks are not known yet
        self.needed = np.zeros(0)  # log of the attenuation of samples whose future is not known
        self.last = -np.inf  # log attenuation of the sample before
        self.ramp: np.ndarray | None = None  # attenuations before those that come next

    def push(self, wave: np.ndarray) -> np.ndarray:
        """The next samples -> samples from before; in all as many as came in, after `flush`."""
        self.wave = np.concatenate((self.wave, wave), axis=1)
        self.heard = np.concatenate((self.heard, wave), axis=1)
        if self.heard.shape[1] < TAPS:
            return self.wave[:, :0]
        peaks = true_peaks(self.heard)
        self.heard = self.heard[:, -(TAPS - 1) :]
        self.needed = np.concatenate((self.needed, self._released(peaks)))
        return self._out(len(self.needed) - self.look + 1)

    def flush(self) -> np.ndarray:
        """What is left when all has come."""
        rest = self.wave.shape[1]
        out = self.push(np.zeros((len(self.wave), BEHIND), np.float32))
        count = rest - out.shape[1]
        self.needed = np.concatenate((self.needed, np.full(self.look, -np.inf)))
        return np.concatenate((out[:, :rest], self._out(count)), axis=1)

    def _released(self, peaks: np.ndarray) -> np.ndarray:
        """Log of the attenuation (nepers) that peaks need, which then falls exponentially."""
        over = np.log(np.maximum(peaks / self.ceiling, 1.0))
        needed = np.log(np.maximum(over, LEAST_ATTENUATION))
        falling = self.fall * np.arange(1, len(needed) + 1)
        held = np.maximum.accumulate(np.concatenate(([self.last], needed + falling)))[1:]
        released = held - falling
        self.last = released[-1] if len(released) else self.last
        return released

    def _out(self, count: int) -> np.ndarray:
        """`count` samples, attenuated by the mean of what the `look` samples up to them need."""
        if count <= 0:
            return self.wave[:, :0]
        log = self.needed[: count + self.look - 1]
        ahead = np.lib.stride_tricks.sliding_window_view(log, self.look).max(axis=1)[:count]
        attenuation = np.where(ahead > np.log(2 * LEAST_ATTENUATION), np.exp(ahead), 0.0)
        if self.ramp is None:  # a peak at the very beginning has no time for a ramp
            self.ramp = np.full(self.look - 1, attenuation[0])
        history = np.concatenate((self.ramp, attenuation))
        sums = np.cumsum(np.concatenate(([0.0], history)))
        mean = np.maximum(sums[self.look :] - sums[: -self.look], 0) / self.look
        self.ramp = history[len(history) - self.look + 1 :]
        out, self.wave = self.wave[:, :count], self.wave[:, count:]
        self.needed = self.needed[count:]
        return np.where(mean > 1e-7, out * np.exp(-mean).astype(np.float32), out)


class Measure(Listener):
    """Loudness and true peak of a mixture, amplified and limited as a file of it would be."""

    def __init__(
        self, sample_rate: int, layout: str, channels: int, strength: float, gain_db: float
    ):
        self.strength, self.gain = strength, np.float32(10 ** (gain_db / 20))
        self.limiter, self.meter = Limiter(sample_rate, channels), Meter(sample_rate, layout)
        self.peak, self.held = 0.0, np.zeros((channels, TAPS - 1), np.float32)

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        self._hear(self.limiter.push(self.gain * mixed(noisy, enhanced, self.strength)))

    def finish(self) -> None:
        self._hear(self.limiter.flush())
        self._hear(np.zeros((len(self.held), BEHIND), np.float32), silent=True)

    def _hear(self, wave: np.ndarray, silent: bool = False) -> None:
        joined = np.concatenate((self.held, wave), axis=1)
        self.held = joined[:, -(TAPS - 1) :]
        if joined.shape[1] >= TAPS:
            self.peak = max(self.peak, float(true_peaks(joined).max()))
        if wave.shape[1] and not silent:
            self.meter.add(wave)

    @property
    def loudness_lufs(self) -> float:
        return self.meter.summary()["loudness_lufs"]

    @property
    def peak_dbtp(self) -> float:
        return 20 * float(np.log10(max(self.peak, 1e-7)))
