"""What the denoiser did to a recording, in numbers: noise floor, SNR, loudness, peak.

Everything is measured in pieces, so that memory does not grow with the length.
"""

from pathlib import Path

import numpy as np

from denoiser import audio, metrics
from denoiser.offline import mixed
from denoiser.remix import pairs

STRETCH_SECONDS = 0.02
ACTIVE_DB = 10.0  # stretches count as active down to this far below the mean of all
LITTLE_DB, MUCH_DB = -40.0, -20.0  # removed, and kept, to the whole
JUDGED_SECONDS = 60.0  # of the beginning, by DNSMOS


class Levels:
    """Levels of one recording, gathered in pieces (C, n)."""

    def __init__(self, sample_rate: int, channels: int):
        from pyloudnorm import Meter

        self.sample_rate = sample_rate
        self.size = max(1, round(STRETCH_SECONDS * sample_rate))
        self.rest = np.zeros((channels, 0), np.float32)
        self.powers, self.weighted = [], []  # of stretches of 20 ms, plain and K-weighted
        self.peak = 0.0
        self.filters = list(Meter(sample_rate)._filters.values())  # the two of ITU-R BS.1770
        self.states = [np.zeros((channels, 2)) for _ in self.filters]

    def add(self, wave: np.ndarray) -> None:
        """The next piece; what is left of a stretch at the end does not count."""
        from scipy.signal import lfilter

        self.peak = max(self.peak, float(np.abs(wave).max(initial=0)))
        wave = np.concatenate((self.rest, wave), axis=1)
        whole = wave.shape[1] // self.size * self.size
        wave, self.rest = wave[:, :whole], wave[:, whole:]
        self.powers.append(self._power(wave).mean(0))
        for n, each in enumerate(self.filters):
            wave, self.states[n] = lfilter(each.b, each.a, wave, axis=1, zi=self.states[n])
            wave = wave * each.passband_gain
        self.weighted.append(self._power(wave).sum(0))

    def _power(self, wave: np.ndarray) -> np.ndarray:
        """(C, k * size) -> mean squares (C, k)."""
        return np.square(wave.astype(np.float64)).reshape(len(wave), -1, self.size).mean(2)

    def summary(self) -> dict[str, float]:
        """noise_floor_db and snr_db (as in the pauses), loudness_lufs, peak_dbfs."""
        powers = np.concatenate(self.powers)
        floor = (
            _decibel(np.quantile(powers, 0.1, method="lower"))
            if len(powers)
            else metrics.FLOOR_DBFS
        )
        active = powers[powers >= powers.mean() * 10 ** (-ACTIVE_DB / 10)] if powers.any() else []
        return {
            "noise_floor_db": floor,
            "snr_db": _decibel(np.mean(active)) - floor if len(active) else 0.0,
            "loudness_lufs": self._loudness(),
            "peak_dbfs": _decibel(self.peak**2),
        }

    def _loudness(self) -> float:
        """Integrated loudness, ITU-R BS.1770-4: stretches of 0.4 s every 0.1 s, gated twice.

        All channels weigh alike, those of surround sound too.
        """
        powers = np.concatenate(self.weighted)
        sums = np.cumsum(np.concatenate(([0.0], powers)))
        blocks = ((sums[20:] - sums[:-20]) / 20)[::5]
        level = 10 * np.log10(np.maximum(blocks, 1e-20)) - 0.691
        blocks = blocks[level > metrics.SILENT_LUFS]
        if not len(blocks):
            return metrics.SILENT_LUFS
        gate = 10 * np.log10(blocks.mean()) - 0.691 - 10
        blocks = blocks[10 * np.log10(blocks) - 0.691 > gate]
        return float(10 * np.log10(blocks.mean()) - 0.691)


def report(source, estimate, *, strength: float = 1.0, dnsmos: bool = False) -> dict:
    """A recording and its full-strength estimate -> numbers before and after, at a strength.

    `before` and `after` hold noise_floor_db (a tenth of all 20 ms stretches are not louder), snr_db
    (the active stretches over that floor), loudness_lufs, peak_dbfs and, if asked for, the dnsmos
    of the first minute. `remark` is a sentence if hardly anything or nearly everything was removed,
    otherwise None. Raises AudioError in one sentence.
    """
    about = audio.info(source)
    levels = {side: Levels(about.sample_rate, about.channels) for side in ("before", "after")}
    samples, energy = 0, np.zeros(3)  # of the recording, of what is kept and of what is removed
    heard = {side: [] for side in levels}
    for noisy, clean in pairs(source, estimate):
        after = mixed(noisy, clean, strength)
        energy += [
            np.square(each, dtype=np.float64).sum() for each in (noisy, after, noisy - after)
        ]
        for side, wave in (("before", noisy), ("after", after)):
            levels[side].add(wave)
            if dnsmos and samples < JUDGED_SECONDS * about.sample_rate:
                heard[side].append(wave.mean(0))
        samples += noisy.shape[1]
    result = {side: each.summary() for side, each in levels.items()}
    if dnsmos:
        if samples < metrics.LEAST_JUDGED_SECONDS * about.sample_rate:
            raise audio.AudioError(
                f"{Path(source).name} is too short for DNSMOS: it needs "
                f"{metrics.LEAST_JUDGED_SECONDS} s or more."
            )
        for side, waves in heard.items():
            wave = np.concatenate(waves)[: round(JUDGED_SECONDS * about.sample_rate)]
            result[side]["dnsmos"] = metrics.dnsmos(enhanced=wave, sample_rate=about.sample_rate)
    return result | {
        "seconds": samples / about.sample_rate,
        "sample_rate": about.sample_rate,
        "channels": about.channels,
        "remark": _remark(*energy, Path(source).name),
    }


def _remark(whole: float, kept: float, removed: float, name: str) -> str | None:
    if not whole:
        return f"{name} holds only silence."
    if removed <= whole * 10 ** (LITTLE_DB / 10):
        return "Almost nothing was removed: the recording was clean already, or the strength is 0."
    if kept <= whole * 10 ** (MUCH_DB / 10):
        return "Almost everything was removed: is there speech in the recording?"
    return None


def _decibel(power: float) -> float:
    return float(10 * np.log10(max(power, 10 ** (metrics.FLOOR_DBFS / 10))))
