"""A smaller model: python -m training.weights.prune FOLDER [--state-channels N] [--channels N] ...

Of each recurrence's state channels, or of the bottleneck's channels, the least salient is removed,
again and again, as in optimal brain surgery (Hassibi and Stork 1993). The layers that read the
others are refitted to their outputs before, by least squares on mixtures. The result is a start for
`training.train --init`.
"""

import argparse
import sys
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser import checkpoint, console
from denoiser.models.band import BandUNet
from denoiser.models.layers import ConvNorm
from training.data import augment, batching
from training.data.cache import AudioCache
from training.data.sources import Sources, find_sources
from training.errors import TrainingError
from training.options import add_out, add_sources, parsed, path
from training.recipes import RECIPES

SEED, BATCHES, BATCH = 7, 6, 8  # of the mixtures that it is fitted on
LEVEL = 0.05  # RMS that each of them is brought to


@dataclass
class InputMoments:
    """Mean (D,) and covariance (D, D) of a layer's D inputs over mixtures."""

    mean: Tensor
    covariance: Tensor

    def variances(self, weight: Tensor) -> Tensor:
        """Of each output (O,) of a layer with that weight (O, D)."""
        return (weight.double() @ self.covariance * weight).sum(1)

    def fit(self, weight: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """weight (O, D) -> that of the inputs `kept` alone (O, K), and a constant (O,) to add.

        No others come nearer to its output with all inputs, in least squares.
        """
        weight = weight.double()
        fitted = torch.linalg.solve(self._among(kept), self.covariance[kept] @ weight.T).T
        return fitted.float(), (weight @ self.mean - fitted @ self.mean[kept]).float()

    def error(self, weight: Tensor, kept: Tensor) -> float:
        """The error of `fit`, in dB of the variance of the output."""
        rest = weight.clone()
        rest[:, kept] -= self.fit(weight, kept)[0]
        return float(10 * (self.variances(rest).sum() / self.variances(weight).sum()).log10())

    def saliency(self, weight: Tensor, kept: Tensor) -> Tensor:
        """By how much that error grows, in power, without each of the inputs `kept` (K,)."""
        inverse = torch.linalg.inv(self._among(kept))
        fitted = inverse @ self.covariance[kept] @ weight.double().T
        return fitted.square().sum(1) / inverse.diagonal()

    def _among(self, kept: Tensor) -> Tensor:
        """Rows and columns `kept`, and a little on the diagonal, so that there is an inverse."""
        little = 1e-6 * self.covariance.diagonal().mean()
        return self.covariance[kept][:, kept] + little * torch.eye(len(kept), dtype=torch.double)


def prune_state_channels(model: BandUNet, state_channels: int, noisy: Tensor) -> list[float]:
    """Keep so many state channels of each block, in place; noisy (B, T) is what they are fitted on.

    Returns the error of the output of each block's recurrence, in dB of its variance. The shares of
    those that run forwards and backwards stay. Raises TrainingError where that cannot be.
    """
    had = model.config.state_channels
    directions = model.recurrences[0].directions
    targets = [count * state_channels // had for count in directions]
    if not 0 < state_channels < had or sum(targets) != state_channels:
        raise TrainingError(f"{state_channels} state channels cannot be kept of {had}.")
    errors = []
    for recurrence in model.recurrences:
        (inputs,) = _moments(model, [recurrence.out], noisy)
        norm = recurrence.out.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        output = recurrence.out.weight * scale[:, None]
        kept = _kept([(inputs, output)], directions, targets)
        errors.append(inputs.error(output, kept))
        _refit(recurrence.out, inputs, kept)
        _keep_outputs(recurrence.gate, kept)
        _keep_outputs(recurrence.candidate, kept)
        recurrence.forwards = targets[0]
    model.config = replace(model.config, state_channels=state_channels)
    return errors


def prune_channels(model: BandUNet, channels: int, noisy: Tensor) -> list[float]:
    """Keep so many channels of the bottleneck, in place; they are fitted on noisy (B, T).

    Returns the error of what each block's recurrence, and then each one's mixer, makes of the
    channels, in dB, its outputs counting alike. Raises TrainingError where that cannot be.
    """
    had = model.config.bottleneck_channels
    if not 0 < channels < had:
        raise TrainingError(f"{channels} channels cannot be kept of {had}.")
    blocks = [(recurrence.gate, recurrence.candidate) for recurrence in model.recurrences]
    blocks += [(mixer.gate, mixer.value) for mixer in model.mixers]
    decoders = [model.widen, model.decode_high]
    moments = _moments(model, [gate for gate, _ in blocks] + decoders, noisy)
    readers = []
    for each, layers in zip(moments, blocks, strict=False):
        weight = torch.cat([layer.weight for layer in layers])
        deviation = each.variances(weight).clamp(min=1e-12).float().sqrt()
        readers.append((each, weight / deviation[:, None]))
    kept = _kept(readers, [had], [channels])
    errors = [each.error(weight, kept) for each, weight in readers]
    _narrow(model, moments, kept)
    model.config = replace(model.config, bottleneck_channels=channels)
    return errors


def _narrow(model: BandUNet, moments: list[InputMoments], kept: Tensor) -> None:
    """Keep the channels `kept` of the bottleneck; inputs of recurrences, mixers and decoders."""
    *blocks, wide, high = moments
    for recurrence, inputs in zip(model.recurrences, blocks, strict=False):
        _refit(recurrence.gate, inputs, kept)
        # The candidate has no bias: the states hold what is lost for good
        lost = _refit(recurrence.candidate, inputs, kept)
        recurrence.out.norm.running_mean -= recurrence.out.weight @ lost
        _keep_outputs(recurrence.out, kept)
    for mixer, inputs in zip(model.mixers, blocks[len(model.recurrences) :], strict=True):
        for layer in (mixer.gate, mixer.value):
            _refit(layer, inputs, kept)
            _keep_outputs(layer, kept)
    c = model.config
    each = c.bottleneck_channels * torch.arange(c.high_positions)[:, None]
    of_high = (each + kept).flatten()  # the same channels of every high position
    skip = torch.arange(c.bottleneck_channels, len(wide.mean))
    _refit(model.widen, wide, torch.cat((kept, skip)))
    skip = torch.arange(c.bottleneck_channels * c.high_positions, len(high.mean))
    _refit(model.decode_high, high, torch.cat((of_high, skip)))
    _keep_outputs(model.narrow, kept)
    _keep_outputs(model.encode_high, of_high)
    model.position = _parameter(model.position[..., kept])


def _moments(model: BandUNet, layers: list[nn.Module], noisy: Tensor) -> list[InputMoments]:
    """Moments of each layer's inputs while the model enhances recordings (B, T)."""
    products = [torch.zeros((), dtype=torch.double) for _ in layers]

    def hook(index: int):
        def add(_, inputs: tuple[Tensor]) -> None:
            x = F.pad(inputs[0].flatten(0, -2).double(), (1, 0), value=1.0)
            products[index] = products[index] + x.T @ x

        return add

    hooks = [layer.register_forward_pre_hook(hook(n)) for n, layer in enumerate(layers)]
    with torch.inference_mode():
        for rows in noisy.split(4):
            model(rows)
    for each in hooks:
        each.remove()
    moments = [product / product[0, 0] for product in products]
    return [InputMoments(m[0, 1:], m[1:, 1:] - m[:1, 1:].T @ m[:1, 1:]) for m in moments]


def _kept(
    readers: list[tuple[InputMoments, Tensor]], directions: list[int], targets: list[int]
) -> Tensor:
    """Indices of the inputs to keep: `targets` of the `directions`, each a number of inputs.

    `readers` are the layers that take them in: the moments of their inputs, and weights (O, D).
    """
    direction = torch.arange(len(directions)).repeat_interleave(torch.tensor(directions))
    kept, counts = torch.arange(len(direction)), list(directions)
    while counts != targets:
        saliency = sum(inputs.saliency(weight, kept) for inputs, weight in readers)
        enough = torch.tensor([counts[d] <= targets[d] for d in direction[kept]])
        worst = int(saliency.masked_fill(enough, torch.inf).argmin())
        counts[direction[kept[worst]]] -= 1
        kept = torch.cat((kept[:worst], kept[worst + 1 :]))
    return kept


def _refit(layer: nn.Linear | ConvNorm, inputs: InputMoments, kept: Tensor) -> Tensor:
    """Keep the inputs `kept` of a layer; returns the constant (O,) that its output has lost."""
    weight, constant = inputs.fit(layer.weight, kept)
    layer.weight = _parameter(weight)
    if isinstance(layer, ConvNorm):
        layer.norm.running_mean -= constant
    elif layer.bias is not None:
        layer.bias = _parameter(layer.bias + constant)
    else:
        return constant
    return torch.zeros_like(constant)


def _keep_outputs(layer: nn.Linear | ConvNorm, kept: Tensor) -> None:
    """Keep the outputs `kept` of a layer."""
    layer.weight = _parameter(layer.weight[kept])
    if isinstance(layer, ConvNorm):
        norm = layer.norm
        norm.weight, norm.bias = _parameter(norm.weight[kept]), _parameter(norm.bias[kept])
        norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]
    elif layer.bias is not None:
        layer.bias = _parameter(layer.bias[kept])


def _parameter(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.clone(), requires_grad=False)


def mixtures(sources: Sources, store: AudioCache) -> Tensor:
    """Noisy recordings (B, T) as in training, all at one level."""
    first = 8 * 10**6  # none that a run with this seed has heard
    rows = (range(first + n * BATCH, first + (n + 1) * BATCH) for n in range(BATCHES))
    batches = batching.batches(sources, RECIPES["band"].mixture, store, SEED, rows)
    return augment.unit(torch.cat([noisy for noisy, *_ in batches])) * LEVEL


def _listed(errors: list[float]) -> str:
    return " ".join(f"{error:.1f}" for error in errors)


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.weights.prune", description=__doc__)
    parser.add_argument("checkpoint", type=path, metavar="FOLDER", help="of the model")
    parser.add_argument("--state-channels", type=int, metavar="N", help="to keep in each block")
    parser.add_argument("--channels", type=int, metavar="N", help="to keep in the bottleneck")
    add_sources(parser)
    add_out(parser, "the smaller model's folder")
    options = parsed(parser, argv)
    if options.state_channels is None and options.channels is None:
        parser.error("give --state-channels, --channels or both")
    model = checkpoint.load(options.checkpoint, "cpu")
    if not isinstance(model, BandUNet):
        raise TrainingError(f"{options.checkpoint} is no BandUNet: give one.")
    sources, _ = find_sources(options.clean, options.noise, options.rir)
    store = AudioCache(options.cache)
    noisy = mixtures(sources, store)
    store.report()
    if options.state_channels is not None:
        errors = prune_state_channels(model, options.state_channels, noisy)
        console.show(f"error by recurrence: {_listed(errors)} dB")
    if options.channels is not None:
        errors = prune_channels(model, options.channels, noisy)
        console.show(f"by recurrence, then by mixer: {_listed(errors)} dB")
    checkpoint.save(model, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
