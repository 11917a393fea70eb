"""A model's weights as the beginning of a larger one's."""

import math
from typing import NamedTuple

from torch import Tensor, nn

from denoiser.models.band import BandUNet


def transfer_weights(model: nn.Module, other: nn.Module) -> dict[str, Tensor]:
    """Weights for `model` of which `other`'s are a part; only those into which they fit.

    Where it has more channels, bottleneck blocks or state channels, the new ones do not reach what
    the old weights compute: before the first step both models do the same. With other positions,
    other convolutions, or causal where the other is not, it only begins nearer.
    """
    own, result = model.state_dict(), {}
    for name, theirs in other.state_dict().items():
        if name in own and own[name].ndim == theirs.ndim:
            weights = own[name].clone()
            blocks, parts = _blocks(name, weights, model), _blocks(name, theirs, other)
            if len(blocks) != len(parts):  # state channels of a causal model all run forwards
                blocks, parts = [_Block(weights)], [_Block(theirs)]
            both = zip(blocks, parts, strict=True)
            if all(_grow(block, part.weights, weights.ndim == 2) for block, part in both):
                result[name] = weights
    return result


class _Block(NamedTuple):
    """A view of weights that grow together."""

    weights: Tensor
    outputs: int = 1  # leading dimensions that are channels of the layer's output


def _grow(block: _Block, small: Tensor, matrix: bool) -> bool:
    """Put `small` into a corner of `block`, whose rows there are cut off from its other columns."""
    if any(a < b for a, b in zip(block.weights.shape, small.shape, strict=True)):
        return False
    corner = tuple(slice(size) for size in small.shape)
    if matrix:
        block.weights[corner[: block.outputs]] = 0
    block.weights[corner] = small
    return True


def _blocks(name: str, weights: Tensor, model: nn.Module) -> list[_Block]:
    """The parts that grow apart, because channels lie side by side in it."""
    groups = model.channel_groups if isinstance(model, BandUNet) else {}
    if name not in groups:
        return [_Block(weights)]
    dimension, shapes = groups[name]
    parts = weights.split([math.prod(shape) for shape in shapes], dimension)
    return [
        _Block(part.unflatten(dimension, shape), 1 if dimension else len(shape))
        for part, shape in zip(parts, shapes, strict=True)
    ]
