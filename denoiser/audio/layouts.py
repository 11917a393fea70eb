"""Speaker positions of channels, and conversion between layouts.

A layout is FFmpeg's name, such as "stereo", "5.1(side)" or "4 channels (FL+BL+TFL+TFR)", or "6
channels" if the positions are unknown. Waves are float32 (channels, samples).
"""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np

# The assumed layout for each number of channels, if a file has no labels
LAYOUTS = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"]
SILENT_CHANNEL_DB = -50.0  # relative to the loudest one: hum and hiss of an unused track
MINUS_3_DB = 10 ** (-3 / 20)
# Speaker -> gains in left and right, after ITU-R BS.775: centre and surrounds at -3 dB, without
# low-frequency effects. Speakers on the left that are not listed: (-3 dB, 0).
STEREO_GAINS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "FC": (MINUS_3_DB, MINUS_3_DB),
    "BC": (MINUS_3_DB, MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
SURROUNDS = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}


@lru_cache
def positions(layout: str) -> tuple[str, ...]:
    """The speaker of every channel, such as "FL" or "LFE", in order.

    Unlabelled channels get the positions of `LAYOUTS`, as in players.
    """
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    if len(names) <= len(LAYOUTS) and set(names) <= {"NONE", "UNK", "UNSD"}:
        return positions(LAYOUTS[len(names) - 1])
    return names


def mono_gains(layout: str) -> np.ndarray:
    """The weights of the channels in a mono downmix, (channels,), not normalised."""
    return stereo_gains(layout).max(axis=0) if len(positions(layout)) > 1 else np.ones(1)


def stereo_gains(layout: str) -> np.ndarray:
    """The matrix (2, channels) that mixes a wave to stereo."""
    return np.array([_sides(name) for name in positions(layout)]).T


def _sides(name: str) -> tuple[float, float]:
    """The gains of a speaker in the left and the right channel."""
    if name in STEREO_GAINS:
        return STEREO_GAINS[name]
    if name.endswith("C") and name not in ("FLC", "FRC"):  # above or below
        return MINUS_3_DB, MINUS_3_DB
    left = name.endswith("L") or name == "FLC"
    return (MINUS_3_DB, 0.0) if left else (0.0, MINUS_3_DB)


def loudness_weights(layout: str) -> np.ndarray:
    """The weights of the channels' powers in loudness, (channels,), after ITU-R BS.1770-4.

    1.41 for side and back surrounds, 0 for low-frequency effects, 1 for all others.
    """
    weights = {"LFE": 0.0, "LFE2": 0.0} | dict.fromkeys(SURROUNDS, 1.41)
    return np.array([weights.get(name, 1.0) for name in positions(layout)])


@lru_cache
def conversion(source: str, target: str) -> np.ndarray:
    """The matrix (target channels, source channels) that converts one layout to another.

    Speakers in both layouts keep their signal; side and back surrounds replace each other. Speakers
    that the target lacks go to its left and right as in a stereo downmix. Mono goes to the centre,
    or to left and right if there is none, at full level; a conversion to mono takes the weighted
    mean.
    """
    have, want = positions(source), positions(target)
    if len(want) == 1:
        return mono_gains(source)[None] / max(mono_gains(source).sum(), 1e-9)
    matrix = np.zeros((len(want), len(have)))
    for column, name in enumerate(have):
        stands_in = SURROUNDS.get(name)
        if name in want:
            matrix[want.index(name), column] = 1.0
        elif stands_in in want and stands_in not in have:
            matrix[want.index(stands_in), column] = 1.0
        elif len(have) == 1:
            matrix[[row for row, other in enumerate(want) if other in ("FL", "FR")], column] = 1.0
        else:
            for side, gain in zip(("FL", "FR"), _sides(name), strict=True):
                if side in want:
                    matrix[want.index(side), column] = gain
    return matrix


def convert(wave: np.ndarray, source: str, target: str) -> np.ndarray:
    """A wave (channels, n) converted to another layout, (target channels, n)."""
    if positions(source) == positions(target):
        return wave
    return (conversion(source, target) @ wave).astype(np.float32)


class Downmix:
    """Mixes a wave to one channel, by speaker position and by the content of the whole recording.

    `covariance` (channels, channels) is that of the active parts, as `levels.survey` returns it.
    Silent channels do not count. Where channels would cancel in the sum, for instance a voice with
    one side inverted, only the loudest channel is used, and `remark` is a sentence about it,
    otherwise None.
    """

    CANCELLED_DB = -3.0  # relative to uncorrelated channels: two have a correlation of -0.5

    def __init__(self, layout: str, covariance: np.ndarray):
        powers = np.maximum(np.diag(covariance), 0)
        audible = powers > powers.max(initial=0) * 10 ** (SILENT_CHANNEL_DB / 10)
        gains = mono_gains(layout) * audible
        if not gains.any():  # silence, or low-frequency effects alone
            gains = np.where(audible, 1.0, 0.0) if audible.any() else np.ones(len(powers))
        self.gains, self.remark = gains / gains.sum(), None
        unrelated = self.gains**2 @ powers
        if self.gains @ covariance @ self.gains < unrelated * 10 ** (self.CANCELLED_DB / 10):
            self.gains = np.eye(len(powers))[np.argmax(powers * self.gains)]
            self.remark = (
                "its channels cancel each other out when they are mixed (one side is inverted): "
                "the louder one is used alone."
            )

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """`(channels, n)` -> `(1, n)`."""
        return (self.gains[None] @ wave).astype(np.float32)
