"""Where there is nothing to do: python -m evaluation.preservation CHECKPOINT PAIRS...

Clean speech alone should come out as it went in, at twice the speed as well, an octave higher, as
children speak; noise alone should not come out. Folders of pairs are those of `training.evaluate`;
the noise is noisy minus clean.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

from denoiser import audio, checkpoint, console, denoise, metrics
from evaluation import pairs

QUIET = 1e-7  # amplitude: what is quieter is silence


def extremes(model, folder: Path) -> tuple[list[float], list[float], list[float]]:
    """SI-SDR in dB of each clean recording denoised, of each at twice the speed; dB noise loses."""

    def kept(clean: np.ndarray, rate: int) -> float:
        enhanced = denoise(model, clean[None], rate)[0]
        return metrics.si_sdr(enhanced=enhanced, clean=clean, sample_rate=rate)

    plain, high, lost = [], [], []
    for pair in pairs.find(folder):
        noisy, clean, rate = pair.read()
        plain.append(kept(clean, rate))
        high.append(kept(audio.resample(clean[None], 2 * rate, rate)[0], rate))
        noise = noisy - clean
        rest = denoise(model, noise[None], rate)[0]
        lost.append(20 * np.log10(_rms(noise) / _rms(rest)))
    return plain, high, lost


def _rms(wave: np.ndarray) -> float:
    return max(float(np.sqrt(np.square(wave, dtype=np.float64).mean())), QUIET)


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.preservation", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a folder with config.json and weights")
    parser.add_argument("pairs", nargs="+", type=Path, help="folders with noisy/ and clean/")
    options = parser.parse_args(argv)
    head = ["set", "clean speech in: SI-SDR of the output", "the worst", "an octave higher"]
    head.append("noise alone in: quieter by")
    model, rows = checkpoint.load(options.checkpoint, "cpu"), []
    for folder in options.pairs:
        plain, high, lost = extremes(model, folder)
        middle = [f"{statistics.median(values):.1f} dB" for values in (plain, high, lost)]
        middle.insert(1, f"{min(plain):.1f} dB")
        rows.append([folder.name, *middle])
    return console.show(console.table(head, rows))


if __name__ == "__main__":
    sys.exit(main())
