"""A model's weights as the beginning of a larger one's."""

from torch import Tensor, nn

from denoiser.models.band import BandUNet, BandUNetConfig


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
                blocks, parts = [weights], [theirs]
            both = zip(blocks, parts, strict=True)
            if all(_grow(block, part, name, weights.ndim == 2) for block, part in both):
                result[name] = weights
    return result


def _grow(block: Tensor, small: Tensor, name: str, matrix: bool) -> bool:
    """Put `small` into a corner of `block`, whose rows there are cut off from its other columns."""
    if any(a < b for a, b in zip(block.shape, small.shape, strict=True)):
        return False
    corner = tuple(slice(size) for size in small.shape)
    if matrix:
        block[corner[:-1] if name == "encode_high.weight" else corner[:1]] = 0
    block[corner] = small
    return True


def _blocks(name: str, weights: Tensor, model: nn.Module) -> list[Tensor]:
    """Views of the parts that grow apart, because channels are laid side by side in it."""
    if not isinstance(model, BandUNet):
        return [weights]
    c: BandUNetConfig = model.config
    high = (c.high_positions, c.bottleneck_channels)
    forwards = model.recurrences[0].forwards if model.recurrences else 0
    halves = [half for half in (forwards, c.state_channels - forwards) if half]
    layer, _, kind = name.rpartition(".")
    if layer == "encode_high":
        return [weights.unflatten(0, high)]
    if name == "widen.weight":
        return list(weights.split((c.bottleneck_channels, c.channels), 1))
    if name == "decode_high.weight":
        first, second = weights.split((high[0] * high[1], c.high_bands), 1)
        return [first.unflatten(1, high), second]
    if layer.startswith("recurrences.") and layer.endswith((".gate", ".candidate")):
        return list(weights.split(halves, 0))
    if layer.startswith("recurrences.") and layer.endswith(".out") and kind == "weight":
        return list(weights.split(halves, 1))
    return [weights]
