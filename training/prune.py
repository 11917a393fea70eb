"""A smaller model: python -m training.prune FOLDER --memories N --clean DIR --noise DIR --out DIR

Of each recurrence the memory that its output would miss least is taken away, again and again, as in
optimal brain surgery (Hassibi and Stork 1993); those left are fitted to what it said with all, by
least squares on mixtures. What comes out is a beginning for `training.train --init`.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from denoiser import audio, checkpoint
from denoiser.layers import Recurrence
from denoiser.unet import BandUNet
from training import data, drawing
from training.config import RECIPES
from training.store import Store

SEED, BATCHES, BATCH = 7, 6, 8  # of the mixtures that it is fitted on
LEVEL = 0.05  # RMS that each of them is brought to


def prune(model: BandUNet, memories: int, noisy: Tensor) -> list[float]:
    """Leave so many memories in each block, in place; noisy (B, T) is what they are fitted on.

    Returns the error of each block's recurrence in dB of its power. As many run forwards, and
    backwards, as did by share. Raises CheckpointError where that cannot be.
    """
    had = model.config.memories
    halves = [half for half in (model.recurrences[0].forwards,) if half]
    halves += [had - sum(halves)] if had > sum(halves) else []
    left = [half * memories // had for half in halves]
    if not 0 < memories < had or sum(left) != memories:
        raise checkpoint.CheckpointError(
            f"{memories} memories cannot be left of {had}, {' and '.join(map(str, halves))} a way."
        )
    errors = []
    for recurrence in model.recurrences:
        mean, covariance = _moments(model, recurrence, noisy)
        errors.append(_shrink(recurrence, mean, covariance, halves, left))
        recurrence.forwards = left[0]
    model.config = replace(model.config, memories=memories)
    return errors


def _moments(model: BandUNet, recurrence: Recurrence, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (M,) and covariance (M, M) of what M memories hold on recordings (B, T)."""
    held = []
    hook = recurrence.out.register_forward_pre_hook(lambda _, x: held.append(x[0].flatten(0, 2)))
    with torch.inference_mode():
        for rows in noisy.split(4):
            model(rows)
    hook.remove()
    states = torch.cat(held).double()
    mean = states.mean(0)
    states -= mean
    return mean.clone(), (states.T @ states / len(states)).clone()


def _shrink(
    recurrence: Recurrence, mean: Tensor, covariance: Tensor, halves: list[int], left: list[int]
) -> float:
    out = recurrence.out
    scale = (out.norm.weight * torch.rsqrt(out.norm.running_var + out.norm.eps)).double()
    old = out.weight.double()
    outputs = covariance @ (old * scale[:, None]).T  # covariance of memories and outputs
    power = (outputs * (old * scale[:, None]).T).sum()
    kept = _kept(covariance, outputs, halves, left)
    fitted = torch.linalg.solve(_among(covariance, kept), outputs[kept])
    new = fitted.T / scale[:, None]
    out.norm.running_mean -= (old @ mean - new @ mean[kept]).float()
    out.weight = nn.Parameter(new.float(), requires_grad=False)
    for layer in (recurrence.gate, recurrence.candidate):
        layer.weight = nn.Parameter(layer.weight[kept].clone(), requires_grad=False)
    recurrence.gate.bias = nn.Parameter(recurrence.gate.bias[kept].clone(), requires_grad=False)
    return float(10 * torch.log10((power - (fitted * outputs[kept]).sum()) / power))


def _kept(covariance: Tensor, outputs: Tensor, halves: list[int], left: list[int]) -> Tensor:
    """Indices of the memories that stay: so many `left` of each of the `halves`."""
    half = torch.arange(len(halves)).repeat_interleave(torch.tensor(halves))
    kept, counts = torch.arange(len(covariance)), list(halves)
    while counts != left:
        inverse = torch.linalg.inv(_among(covariance, kept))
        missed = (inverse @ outputs[kept]).square().sum(1) / inverse.diagonal()
        enough = torch.tensor([counts[h] <= left[h] for h in half[kept]])
        worst = int(missed.masked_fill(enough, torch.inf).argmin())
        counts[half[kept[worst]]] -= 1
        kept = torch.cat((kept[:worst], kept[worst + 1 :]))
    return kept


def _among(covariance: Tensor, kept: Tensor) -> Tensor:
    """Rows and columns `kept`, and a little on the diagonal, so that there is an inverse."""
    little = 1e-6 * covariance.diagonal().mean()
    return covariance[kept][:, kept] + little * torch.eye(len(kept), dtype=covariance.dtype)


def mixtures(sources: drawing.Sources, store: Store) -> Tensor:
    """Noisy recordings (B, T) as training hears them, all of one level."""
    first = 8 * 10**6  # none that a run with this seed has heard
    rows = (range(first + n * BATCH, first + (n + 1) * BATCH) for n in range(BATCHES))
    batches = data.batches(sources, RECIPES["band"].mixture, store, SEED, rows)
    return data.unit(torch.cat([noisy for noisy, _, _ in batches])) * LEVEL


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prune", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("checkpoint", type=Path, metavar="FOLDER", help="of the model")
    parser.add_argument("--memories", type=int, required=True, metavar="N", help="in each block")
    for name, what in (("clean", "clean speech"), ("noise", "noise"), ("rir", "room responses")):
        parser.add_argument(
            f"--{name}", nargs="+", default=[], metavar="DIR", help=f"folders of {what}"
        )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(argv)
    try:
        model = checkpoint.load(options.checkpoint, "cpu")
        if not isinstance(model, BandUNet):
            raise checkpoint.CheckpointError(f"{options.checkpoint} is no BandUNet: give one.")
        sources, _ = drawing.find_sources(options.clean, options.noise, options.rir)
        noisy = mixtures(sources, Store(options.out.parent / "cache"))
        for block, error in enumerate(prune(model, options.memories, noisy)):
            print(f"block {block}: {error:.1f} dB")
        checkpoint.save(model, options.out)
    except (audio.AudioError, checkpoint.CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
