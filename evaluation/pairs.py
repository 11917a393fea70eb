"""Folders of noisy recordings and what is clean in them, in the layouts of public test sets.

noisy/ and clean/ with equal file names, noisy_testset_wav/ and clean_testset_wav/ of VoiceBank and
DEMAND, or noisy/ and clean/ of the DNS Challenge, whose names share a fileid_N. Any rate.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from denoiser import audio

LAYOUTS = (("noisy", "clean"), ("noisy_testset_wav", "clean_testset_wav"))


class Pair(NamedTuple):
    noisy: Path
    clean: Path

    def read(self) -> tuple[np.ndarray, np.ndarray, int]:
        """noisy (T,), clean (T,), rate in Hz. Raises AudioError where the two do not match."""
        name = self.noisy.name
        noisy, rate = audio.read(self.noisy)
        clean, clean_rate = audio.read(self.clean)
        if (rate, noisy.shape) != (clean_rate, clean.shape):
            raise audio.AudioError(
                f"{name}: the noisy and the clean file differ in rate or length."
            )
        if len(noisy) != 1:
            raise audio.AudioError(f"{name}: scores are for one channel, this has {len(noisy)}.")
        return noisy[0], clean[0], rate


def find(folder: Path) -> list[Pair]:
    """The pairs of a folder by name. Raises AudioError for a noisy recording without its clean."""
    for layout in LAYOUTS:
        noisy, clean = (_files(folder / name) for name in layout)
        if noisy:
            break
    else:
        raise audio.AudioError(f"No pairs in {folder}: it needs noisy/ and clean/.")
    for key, path in noisy.items():
        if key not in clean:
            raise audio.AudioError(f"{path.name}: {layout[1]}/ has no recording of that name.")
    return [Pair(path, clean[key]) for key, path in noisy.items()]


def _files(folder: Path) -> dict[str, Path]:
    """What a recording is known by -> its file: fileid_N where the name has it, else the name."""
    files = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            fileid = re.search(r"fileid_\d+", path.stem)
            files[fileid.group() if fileid else path.stem] = path
    return files
