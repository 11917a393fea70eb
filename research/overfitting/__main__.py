"""Does ClassicUNet learn its mixtures by heart? python -m research.overfitting RUN... --out PNG

Reads the logs of runs that differ in nothing but --pairs; draws binary cross-entropy and
intersection over union on what was trained and on what was held out, and prints a table of where
they ended, how much memory training took, and (once `training.evaluate` was there) the scores.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from denoiser import console
from training.errors import TrainingError
from training.recipes import RECIPES
from training.run import read_log

LAST = 5  # rows of the log that an end is the mean of
SCORES = {"pesq": "PESQ-WB", "estoi": "ESTOI", "si_sdr": "SI-SDR, dB"}


def validations(run: Path) -> list[dict]:
    """The rows of a run's log.csv that were validated."""
    try:
        rows = [row for row in read_log(run) if "valid_iou" in row]
    except OSError as error:
        raise TrainingError(f"{run} holds no log of a run ({error}).") from error
    if not rows:
        raise TrainingError(f"{run}/log.csv holds no validation with pictures.")
    return rows


def table(runs: list[Path]) -> str:
    """Markdown: ends, gaps, memory and scores of every run."""
    sets = {run: _scores(run) for run in runs}
    names = sorted({name for scores in sets.values() for name in scores})
    head = ["run", "steps", "BCE trained", "held out", "gap", "IoU trained", "held out", "gap"]
    head += ["peak memory"] + [f"{name}: {title}" for name in names for title in SCORES.values()]
    lines = []
    for run in runs:
        rows = validations(run)
        cells = [run.name, f"{rows[-1]['step']:.0f}"]
        for name in ("loss", "iou"):
            trained, held = (
                np.mean([row[key] for row in rows[-LAST:]]) for key in (name, f"valid_{name}")
            )
            cells += [f"{trained:.4f}", f"{held:.4f}", f"{held - trained:+.4f}"]
        cells.append(f"{max(row['memory_mib'] for row in rows) / 1024:.2f} GiB")
        for name in names:
            scores = sets[run].get(name, {})
            cells += [f"{scores[key]:.3f}" if key in scores else "-" for key in SCORES]
        lines.append(cells)
    return console.table(head, lines)


def spectrograms_gib(pairs: int) -> float:
    """What the pictures of so many pairs would take in memory, noisy and clean, in 32 bit."""
    recipe = RECIPES["classic"]
    hop = recipe.model.hop_length
    frames = recipe.mixture.segment * recipe.model.sample_rate // 48000 // hop
    return pairs * 2 * frames * (hop + 1) * 4 / 2**30


def plot(runs: list[Path], path: Path) -> None:
    """Training and validation, cross-entropy and IoU, of all runs in one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(1, 2)
    titles = {"loss": "binary cross-entropy", "iou": "intersection over union"}
    for panel, (name, title) in zip(panels, titles.items(), strict=True):
        for number, run in enumerate(runs):
            rows, colour = validations(run)[1:], f"C{number}"
            steps = [row["step"] for row in rows]
            panel.plot(steps, [row[name] for row in rows], colour, label=f"{run.name}, trained")
            held = [row[f"valid_{name}"] for row in rows]
            panel.plot(steps, held, colour, linestyle="--", label=f"{run.name}, held out")
        panel.set(title=title, xlabel="steps")
        panel.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(runs), fontsize="small")
    figure.savefig(path, dpi=120)


def _scores(run: Path) -> dict:
    path = run / "metrics.json"
    if not path.exists():
        return {}
    return {name: each["enhanced"] for name, each in json.loads(path.read_text()).items()}


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m research.overfitting", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="the picture")
    options = parser.parse_args(argv)
    failed = console.show(table(options.runs))
    plot(options.runs, options.out)
    for pairs in (1700, 20000):
        failed |= console.show(
            f"Spectrograms of {pairs} pairs in memory: {spectrograms_gib(pairs):.2f} GiB."
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
