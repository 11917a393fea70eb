"""Channel layouts of the AAC and Opus encoders: every channel keeps its speaker.

Names of layouts and channels are FFmpeg's: "5.1(side)" is FL, FR, FC, LFE, SL, SR.
"""

from __future__ import annotations

import numpy as np

from denoiser.audio.layouts import LAYOUTS, MINUS_3_DB, SURROUNDS, positions

# Layouts that other decoders read correctly from these encoders. AAC has more, but FFmpeg itself
# loses the names of their channels.
ENCODABLE = {
    "aac": ("mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "5.0", "5.1", "7.1"),
    "libopus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
}
# libopus expects another channel order than FFmpeg's in these layouts
_TAKEN_AS = {
    ("libopus", "5.0"): ("FL", "FR", "BR", "FC", "BL"),
    ("libopus", "6.1"): ("FL", "FR", "BC", "LFE", "SL", "FC", "SR"),
}
# Replacements for a speaker that a layout lacks, the best one first
_NEAREST = {
    **{name: ((other,),) for name, other in SURROUNDS.items()},
    **{"BC": (("BL", "BR"), ("SL", "SR")), "LFE2": (("LFE",),)},
    **{"FLC": (("FL", "FC"),), "FRC": (("FR", "FC"),), "WL": (("FL",),), "WR": (("FR",),)},
    **{"TFL": (("FL",),), "TFR": (("FR",),), "TFC": (("FC",),), "TC": (("FC",),)},
    **{"TBL": (("BL",),), "TBR": (("BR",),), "TBC": (("BL", "BR"),)},
    **{"TSL": (("SL",), ("BL",)), "TSR": (("SR",), ("BR",)), "DL": (("FL",),), "DR": (("FR",),)},
}


class Placement:
    """The layout in which an encoder takes sound of a given layout, and the matrix between them.

    The channels of an unlabelled layout ("6 channels") get the default positions for their number.
    """

    def __init__(self, layout: str, encoder: str):
        names, encodable = _channels(layout), ENCODABLE[encoder]
        fits = [fit for target in encodable if (fit := _fit(names, target))]
        if not fits:  # speakers below the listener, for instance
            names = _channels(LAYOUTS[len(names) - 1])
            fits = [fit for target in encodable if (fit := _fit(names, target))]
        self.layout, self.matrix = min(fits, key=_losses)
        taken_as = _TAKEN_AS.get((encoder, self.layout))
        if taken_as:
            proper = _channels(self.layout)
            self.matrix = self.matrix[[proper.index(name) for name in taken_as]]

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """(channels of the layout, n) -> (channels of the encoder, n)."""
        return self.matrix @ wave


def _channels(layout: str) -> list[str]:
    """Names of a layout's channels; next to a back centre, BL and BR are called SL and SR."""
    names = list(positions(layout))
    if len(names) == 1:
        return ["FC"]
    if "BC" in names and "SL" not in names:
        names = [SURROUNDS.get(name, name) for name in names]
    return names


def _fit(names: list[str], target: str) -> tuple[str, np.ndarray] | None:
    """The layout `target` and a matrix (its channels, len(names)), or None if a speaker is missing.

    A channel for several speakers goes to each at equal power.
    """
    there = _channels(target)
    matrix = np.zeros((len(there), len(names)), np.float32)
    for column, name in enumerate(names):
        choices = [(name,), *_NEAREST.get(name, ())]
        speakers = next((each for each in choices if set(each) <= set(there)), None)
        if speakers is None:
            return None
        matrix[[there.index(each) for each in speakers], column] = (
            1.0 if len(speakers) == 1 else MINUS_3_DB
        )
    return target, matrix


def _losses(fit: tuple[str, np.ndarray]) -> tuple[int, int, int]:
    """Counts of shared speakers, of channels that share one or more, and of all speakers."""
    used = fit[1] > 0
    return (used.sum(axis=1) > 1).sum(), (used.sum(axis=0) > 1).sum(), len(used)
