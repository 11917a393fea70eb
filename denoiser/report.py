"""What the denoiser did to a recording, in numbers: noise floor, SNR, loudness, peak.

Everything is measured in pieces, so that memory does not grow with the length.
"""

from pathlib import Path

import numpy as np

from denoiser import audio, metrics
from denoiser.levels import Meter, downmix_of
from denoiser.mixing import pairs
from denoiser.offline import mixed

LITTLE_DB, MUCH_DB = -40.0, -20.0  # removed, and kept, to the whole
JUDGED_SECONDS = 60.0  # of the beginning, by DNSMOS


def report(source, estimate, *, strength: float = 1.0, dnsmos: bool = False) -> dict:
    """A recording and its full-strength estimate -> numbers before and after, at a strength.

    `before` and `after` hold noise_floor_db (a tenth of all 20 ms stretches are not louder), snr_db
    (the active stretches over that floor), loudness_lufs, peak_dbfs and, if asked for, the dnsmos
    of the first minute. `remark` is a sentence if hardly anything or nearly everything was removed,
    otherwise None. Raises AudioError in one sentence.
    """
    about = audio.info(source)
    meters = {side: Meter(about.sample_rate, about.layout) for side in ("before", "after")}
    downmix = downmix_of(source) if dnsmos else None
    samples, energy = 0, np.zeros(3)  # of the recording, of what is kept and of what is removed
    heard = {side: [] for side in meters}
    for noisy, clean in pairs(source, estimate):
        after = mixed(noisy, clean, strength)
        energy += [
            np.square(each, dtype=np.float64).sum() for each in (noisy, after, noisy - after)
        ]
        for side, wave in (("before", noisy), ("after", after)):
            meters[side].add(wave)
            if dnsmos and samples < JUDGED_SECONDS * about.sample_rate:
                heard[side].append(downmix(wave)[0])
        samples += noisy.shape[1]
    result = {side: each.summary() for side, each in meters.items()}
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
