"""The mean of weights: python -m training.weights.average CHECKPOINT... --out DIR

Copies of one run's folder, taken on the way, err in different directions: their mean (Izmailov et
al. 2018, arXiv 1803.05407) is often better than the last. All must be of one model.
"""

import argparse
import sys
from pathlib import Path

import torch

from denoiser import checkpoint, console
from training.errors import TrainingError


def average(folders: list[Path]) -> torch.nn.Module:
    """One model with the mean of all weights and batch statistics. Raises TrainingError."""
    models = [checkpoint.load(folder, "cpu") for folder in folders]
    if any(model.config != models[0].config for model in models):
        raise TrainingError("These checkpoints are not all of one config.")
    states = [model.state_dict() for model in models]
    mean = {
        name: torch.stack([state[name] for state in states]).double().mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    models[0].load_state_dict(mean)
    return models[0]


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.weights.average", description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(argv)
    checkpoint.save(average(options.checkpoints), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
