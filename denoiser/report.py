"""Measurements before and after denoising: noise floor, SNR, loudness, peak.

Recordings are processed in pieces, so that memory use does not depend on the length.
"""

from pathlib import Path
from typing import Any

import numpy as np

from denoiser import audio, metrics
from denoiser.audio.layouts import Downmix
from denoiser.files import StrPath
from denoiser.levels import Meter, downmix_of
from denoiser.mixing import Listener, Source, observe
from denoiser.stream import mixed

LITTLE_DB, MUCH_DB = -40.0, -20.0  # power removed, and kept, relative to the whole
JUDGED_SECONDS = 60.0  # from the beginning, for DNSMOS


def report(
    source: StrPath, enhanced: Source, *, strength: float = 1.0, dnsmos: bool = False
) -> dict[str, Any]:
    """Compares a recording with its full-strength enhanced version at a strength.

    Returns the numbers of `Levels.numbers`; with `dnsmos`, `before` and `after` also contain the
    DNSMOS scores of the first minute. Raises AudioError.
    """
    levels = Levels(source, strength)
    opinions = Opinions(source, strength, downmix_of(source)) if dnsmos else None
    for _ in observe(source, enhanced, levels, *([opinions] if opinions else [])):
        pass
    result = levels.numbers()
    if opinions:
        for side, scores in opinions.scores().items():
            result[side]["dnsmos"] = scores
    return result


class Levels(Listener):
    """A listener that measures a recording and its mixture with the enhanced version."""

    def __init__(self, source: StrPath, strength: float = 1.0):
        self.name, self.about, self.strength = Path(source).name, audio.info(source), strength
        rate, layout = self.about.sample_rate, self.about.layout
        self.meters = {side: Meter(rate, layout) for side in ("before", "after")}
        self.samples = 0
        self.energy = np.zeros(3)  # of the recording, the kept part and the removed part

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        after = mixed(noisy, enhanced, self.strength)
        self.energy += [
            np.square(each, dtype=np.float64).sum() for each in (noisy, after, noisy - after)
        ]
        self.meters["before"].add(noisy)
        self.meters["after"].add(after)
        self.samples += noisy.shape[1]

    def numbers(self) -> dict[str, Any]:
        """The measurements, as JSON types.

        `before` and `after` contain noise_floor_db (the 10th percentile of 20 ms frame levels, in
        dBFS), snr_db (active parts over that floor), loudness_lufs and peak_dbfs; beside them stand
        seconds, sample_rate (Hz) and channels. `remark` is a sentence if hardly anything or nearly
        everything was removed, otherwise None.
        """
        whole, kept, removed = map(float, self.energy)
        return {side: meter.summary() for side, meter in self.meters.items()} | {
            "seconds": self.samples / self.about.sample_rate,
            "sample_rate": self.about.sample_rate,
            "channels": self.about.channels,
            "remark": _remark(whole, kept, removed, self.name),
        }


class Opinions(Listener):
    """A listener that keeps the first minute of both, (C, n) mixed to one channel, for DNSMOS."""

    def __init__(self, source: StrPath, strength: float, downmix: Downmix):
        self.name, self.sample_rate = Path(source).name, audio.info(source).sample_rate
        self.strength, self.downmix = strength, downmix
        self.most = round(JUDGED_SECONDS * self.sample_rate)
        self.waves: dict[str, list[np.ndarray]] = {"before": [], "after": []}
        self.samples = 0

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        if self.samples < self.most:
            after = mixed(noisy, enhanced, self.strength)
            for side, wave in (("before", noisy), ("after", after)):
                self.waves[side].append(self.downmix(wave)[0])
        self.samples += noisy.shape[1]

    def scores(self) -> dict[str, dict[str, float]]:
        """ "before" and "after" -> DNSMOS scores, 1 to 5. Raises AudioError if it is too short."""
        if self.samples < metrics.LEAST_JUDGED_SECONDS * self.sample_rate:
            raise audio.AudioError(
                f"{self.name} is too short for DNSMOS: it needs at "
                f"least {metrics.LEAST_JUDGED_SECONDS} s."
            )
        joined = {side: np.concatenate(waves)[: self.most] for side, waves in self.waves.items()}
        return {
            side: metrics.dnsmos(enhanced=wave, sample_rate=self.sample_rate)
            for side, wave in joined.items()
        }


def _remark(whole: float, kept: float, removed: float, name: str) -> str | None:
    if not whole:
        return f"{name} contains only silence."
    if removed <= whole * 10 ** (LITTLE_DB / 10):
        return "Almost nothing was removed: the recording is already clean, or the strength is 0."
    if kept <= whole * 10 ** (MUCH_DB / 10):
        return "Almost everything was removed: is there speech in the recording?"
    return None
