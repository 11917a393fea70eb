"""Layers of BandUNet: convolution along frequency, recurrence along time, mixing of positions.

Shapes: B recordings, N frames, F sub-bands, P and Q bottleneck positions, C channels. Features stay
contiguous as (B, N, F, C) from the spectrum to the mask: with the channels last, convolutions and
matrix products need no transposition.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser.models.scan import scan

OPEN = 100.0  # a gate whose sigmoid is exactly 1 in float32


class ConvNorm(nn.Module):
    """Convolution along frequency with batch normalisation, (B, N, F, C_in) -> (B, N, F, C_out).

    The kernel is stored as a matrix (C_out, C_in * width), which Muon orthogonalises. In eval mode
    the normalisation is folded into kernel and bias.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 1):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(outputs, inputs * width))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training:
            y = self._convolve(x, self.weight, None)
            return norm(y.flatten(0, 2)).view(y.shape)
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None  # set, since statistics are tracked
        assert variance is not None
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return self._convolve(x, self.weight * scale[:, None], norm.bias - mean * scale)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.width == 1:
            return F.linear(x, weight, bias)
        kernel = weight.view(len(weight), -1, 1, self.width)
        image = x.flatten(0, 1)[:, None].permute(0, 3, 1, 2)  # (B * N, C, 1, F), channels last
        image = F.conv2d(image, kernel, bias, padding=(0, self.width // 2))
        return image.permute(0, 2, 3, 1).reshape(*x.shape[:3], len(weight))


class ResidualBlock(nn.Module):
    """x + ReLU(BatchNorm(convolution of width 3 along frequency)), (B, N, F, C) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = ConvNorm(channels, channels, width=3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).relu_()


class Recurrence(nn.Module):
    """Gated linear recurrence along time with a residual connection, (B, N, P, C) -> the same.

    Gate and candidate depend on the input alone, so only one multiplication per frame is
    sequential. Unless causal, the second half of the state channels runs backwards in time; their
    decay stays below `backward_decay`, so that a limited look-ahead suffices.
    """

    def __init__(self, channels: int, state_channels: int, causal: bool, backward_decay: float):
        super().__init__()
        self.forwards = state_channels if causal else state_channels // 2
        self.max_decay = backward_decay
        self.gate = nn.Linear(channels, state_channels)
        self.candidate = nn.Linear(channels, state_channels, bias=False)
        self.out = ConvNorm(state_channels, channels)
        nn.init.constant_(self.gate.bias, 2.0)
        nn.init.zeros_(self.out.norm.weight)  # an untrained block is the identity

    @property
    def directions(self) -> list[int]:
        """Numbers of state channels that run forwards and, if any, backwards."""
        backwards = len(self.gate.weight) - self.forwards
        return [count for count in (self.forwards, backwards) if count]

    def forward(
        self,
        pieces: list[Tensor],
        initial: Tensor,
        kept: int,
        held: list[Tensor] | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Consecutive pieces (B, N, P, C) -> the same, and the state after the first `kept`.

        `initial` (B, P, forwards) is the state before the first. In frames with a true `held` (B,
        N, 1, 1) the state does not change.
        """
        candidates = [self.candidate(x) for x in pieces]
        gates = [self.gate(x) for x in pieces]
        if held is not None:
            gates = [g.masked_fill(h, OPEN) for g, h in zip(gates, held, strict=True)]
        states, carried = scan(candidates, gates, initial, self.max_decay, kept)
        return [self.out(h).add_(x) for x, h in zip(pieces, states, strict=True)], carried


def exchanged(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix (P, Q) applied to the positions of x (B, N, Q, C) -> (B, N, P, C).

    One small product per frame: `torch.matmul` would transpose all of x, at five times the cost.
    """
    frames = x.flatten(0, 1)
    matrices = matrix.to(x.dtype).expand(len(frames), *matrix.shape)
    return torch.bmm(matrices, frames).unflatten(0, x.shape[:2])


class Mixer(nn.Module):
    """Mixes positions: x + gate(x) * (a learned P x P matrix applied to x)."""

    def __init__(self, positions: int, channels: int):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(positions, positions) * positions**-0.5)
        self.gate = nn.Linear(channels, channels)
        self.value = ConvNorm(channels, channels)
        nn.init.zeros_(self.value.norm.weight)  # an untrained block is the identity

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(x, self.gate(x).sigmoid_(), exchanged(self.matrix, self.value(x)))
