"""Which channel is which: speaker positions, and how channels become fewer or more.

A layout is FFmpeg's name for it: "stereo", "5.1(side)", "4 channels (FL+BL+TFL+TFR)", or "6
channels" where nothing is known of them. Waves are float32 `(channels, samples)`.
"""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np

# What that many channels are taken for where a file does not say
LAYOUTS = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"]
SILENT_CHANNEL_DB = -50.0  # below the loudest one: the hum and hiss of an empty track
MINUS_3_DB = 10 ** (-3 / 20)
# Speaker -> gain on the left and on the right, after ITU-R BS.775: centre and surrounds at -3 dB,
# nothing of the low-frequency effects. Speakers at the left that are not listed: (-3 dB, 0).
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
    """The speaker of every channel, "FL" or "LFE" for instance, in order.

    Channels without labels have those of `LAYOUTS`, as players take them.
    """
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    if len(names) <= len(LAYOUTS) and set(names) <= {"NONE", "UNK", "UNSD"}:
        return positions(LAYOUTS[len(names) - 1])
    return names


def mono_gains(layout: str) -> np.ndarray:
    """The weight of each channel in a downmix to one, `(channels,)`, before it is normalised."""
    return stereo_gains(layout).max(axis=0) if len(positions(layout)) > 1 else np.ones(1)


def stereo_gains(layout: str) -> np.ndarray:
    """The matrix `(2, channels)` that makes stereo of a wave."""
    return np.array([_sides(name) for name in positions(layout)]).T


def _sides(name: str) -> tuple[float, float]:
    """The gain of a speaker on the left and on the right."""
    if name in STEREO_GAINS:
        return STEREO_GAINS[name]
    if name.endswith("C") and name not in ("FLC", "FRC"):  # above or below
        return MINUS_3_DB, MINUS_3_DB
    left = name.endswith("L") or name == "FLC"
    return (MINUS_3_DB, 0.0) if left else (0.0, MINUS_3_DB)


def loudness_weights(layout: str) -> np.ndarray:
    """The weight of each channel's power in a loudness, `(channels,)`, after ITU-R BS.1770-4.

    Surrounds at the sides and at the back count 1.41, low-frequency effects not at all.
    """
    weights = {"LFE": 0.0, "LFE2": 0.0} | dict.fromkeys(SURROUNDS, 1.41)
    return np.array([weights.get(name, 1.0) for name in positions(layout)])


@lru_cache
def conversion(source: str, target: str) -> np.ndarray:
    """The matrix `(target channels, source channels)` that puts one layout's sound into another's.

    A speaker that both have keeps its sound; surrounds at the side and at the back stand in for
    each other. What the target lacks goes to its left and right as in a downmix to stereo. Mono
    becomes the centre, or left and right where there is none, at full level; into mono goes a mean.
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
    """A wave of one layout as the nearest thing in another, `(target channels, samples)`."""
    if positions(source) == positions(target):
        return wave
    return (conversion(source, target) @ wave).astype(np.float32)


class Downmix:
    """One channel of several: by speaker position, and by what the whole recording holds.

    `covariance` `(channels, channels)` is that of its active parts, as `levels.survey` gives it.
    Channels that are silent do not count. Where the sum would cancel what its channels hold, a
    voice recorded with one side upside down for instance, the loudest channel is taken alone, and
    `remark` is the sentence that says so; otherwise it is None.
    """

    CANCELLED_DB = -3.0  # below the sum of unrelated channels: two are correlated by -0.5

    def __init__(self, layout: str, covariance: np.ndarray):
        powers = np.maximum(np.diag(covariance), 0)
        audible = powers > powers.max(initial=0) * 10 ** (SILENT_CHANNEL_DB / 10)
        gains = mono_gains(layout) * audible
        if not gains.any():  # silence, or nothing but low-frequency effects
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
