"""Speech that is good enough to learn from: python -m training.prepare.select_speech DIR... > FILE

Prints the path of each recording whose overall quality DNSMOS predicts to be --least or more, for
`python -m training.train --clean @FILE`. What a model is asked for, it learns: the noise, the rooms
and the codecs of its targets, too. Nine seconds from the middle of each are judged.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np

from denoiser import audio, console, metrics
from denoiser.levels import downmix_of
from training.data.sources import audio_files

SECONDS = 9.01  # what DNSMOS judges at once


def opinion(path: Path) -> float:
    """DNSMOS OVRL, 1 to 5, of the middle of a recording. Raises AudioError if it is unreadable."""
    wave, rate = audio.read(path)
    wave = downmix_of(path)(wave)
    length = round(SECONDS * rate)
    start = max(0, (wave.shape[1] - length) // 2)
    middle = np.resize(wave[0, start : start + length], length)  # a short one is repeated
    return metrics.dnsmos(enhanced=middle, sample_rate=rate)["ovrl"]


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare.select_speech", description=__doc__
    )
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--least", type=float, default=3.05, help="OVRL (default: %(default)g)")
    options = parser.parse_args(argv)
    console.list_paths()
    try:
        for path in audio_files(options.folders):
            if _fits(path, options.least):
                console.put(path)
    except BrokenPipeError:
        return 141  # what a shell reports for a program whose reader has left
    except OSError as error:
        console.say(f"The list cannot be written: {(error.strerror or 'unknown error').lower()}.")
        return 1
    return 0


def _fits(path: Path, least: float) -> bool:
    """Whether a recording belongs into the list; one that cannot is named."""
    if re.search(r"[\r\n]", str(path)):
        console.say(f"{path} is left out: a list holds no name with a line break.")
        return False
    try:
        return opinion(path) >= least
    except audio.AudioError as error:
        console.say(f"{path} is left out: {error}")
    except OSError as error:
        console.say(f"{path} is left out: {(error.strerror or 'unknown error').lower()}.")
    return False


if __name__ == "__main__":
    sys.exit(main())
