"""What BandUNet is made of: convolutions along frequency, recurrences along time, exchange between.

Shapes: B recordings, N frames, F sub-bands, P and Q bottleneck positions, C channels. Features stay
contiguous (B, N, F, C) from the first spectrum to the mask: with channels last, every convolution
and matrix product runs on them in place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution along frequency, (B, N, F, C_in) -> (B, N, F, C_out), and batch normalisation.

    The kernel is held as a matrix (C_out, C_in * width), which is what Muon orthogonalises. In
    evaluation the normalisation is folded into kernel and bias.
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
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self._convolve(
            x, self.weight * scale[:, None], norm.bias - norm.running_mean * scale
        )

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


class Scan(torch.autograd.Function):
    """h[n] = a[n] h[n-1] + (1 - a[n]) g[n] along the second axis, with a hand-written gradient.

    Candidate g and gate are (B, N, P, C), a = ceiling * sigmoid(gate). The first channels, as many
    as `initial` (B, P, C') has, run forwards from it with a ceiling of 1; the others run backwards
    from zero, with h[n+1] in place of h[n-1]. Autograd would record every frame; here the opposite
    recurrence of the gradient d, d[n] += a[n+1] d[n+1], yields all gradients at once. It computes
    in 32 bit whatever the types outside, and returns h also as such for the next run's `initial`.
    """

    @staticmethod
    def forward(ctx, candidate: Tensor, gate: Tensor, initial: Tensor, ceiling: float) -> tuple:
        out, passes = torch.empty_like(candidate), []
        for channels, order, last, most in _directions(candidate, initial, ceiling):
            g = candidate[..., channels].to(initial.dtype).contiguous()
            a = gate[..., channels].to(initial.dtype, copy=True).contiguous().sigmoid_().mul_(most)
            h = torch.empty_like(g)
            frames = (x.unbind(1)[::order] for x in (h, g, a))
            for target, new, keep in zip(*frames, strict=True):
                last = torch.lerp(new, last, keep, out=target)
            out[..., channels] = h
            passes += g, a, h
        ctx.save_for_backward(initial, *passes)
        ctx.ceiling = ceiling
        ctx.mark_non_differentiable(passes[2])
        return out, passes[2]

    @staticmethod
    def backward(ctx, grad: Tensor, _) -> tuple:
        initial, *passes = ctx.saved_tensors
        candidate_grad, gate_grad = torch.empty_like(grad), torch.empty_like(grad)
        firsts = []
        for channels, order, last, most in _directions(grad, initial, ctx.ceiling):
            g, a, h, *passes = passes
            d = grad[..., channels].to(initial.dtype, copy=True).contiguous()
            late, keep = (x.unbind(1)[::-order] for x in (d, a))
            for n in range(1, len(late)):
                late[n].addcmul_(keep[n - 1], late[n - 1])
            firsts.append(d[:, 0] * a[:, 0])
            here, there = (slice(1, None), slice(-1)) if order == 1 else (slice(-1), slice(1, None))
            change = torch.empty_like(h)  # h[n-1] - g[n], then the gradient of a, then of the gate
            torch.sub(h[:, there], g[:, here], out=change[:, here])
            edge = 0 if order == 1 else -1
            torch.sub(last, g[:, edge], out=change[:, edge])
            change.mul_(d).mul_(a)
            gate_grad[..., channels] = change.addcmul_(change, a, value=-1 / most)
            candidate_grad[..., channels] = d.addcmul_(d, a, value=-1)
        return candidate_grad, gate_grad, firsts[0], None


def _directions(like: Tensor, initial: Tensor, ceiling: float) -> list[tuple]:
    """Channels, order in time, what lies before the first frame, and ceiling of each half."""
    forwards = initial.shape[-1]
    both = [(slice(forwards), 1, initial, 1.0)]
    if forwards < like.shape[-1]:
        size = (*initial.shape[:2], like.shape[-1] - forwards)
        both.append((slice(forwards, None), -1, initial.new_zeros(size), ceiling))
    return both


class Recurrence(nn.Module):
    """Gated linear recurrence along time with a residual, (B, N, P, C) -> the same.

    Gate and candidate are computed from the input alone, so only one multiplication a frame is
    sequential. Unless causal, the second half of the channels runs backwards in time; their gate
    stays below `backward_decay`, so that a limited look-ahead is enough for them.
    """

    def __init__(self, channels: int, memories: int, causal: bool, backward_decay: float):
        super().__init__()
        self.forwards = memories if causal else memories // 2
        self.ceiling = backward_decay
        self.gate = nn.Linear(channels, memories)
        self.candidate = nn.Linear(channels, memories, bias=False)
        self.out = ConvNorm(memories, channels)
        nn.init.constant_(self.gate.bias, 2.0)
        nn.init.zeros_(self.out.norm.weight)  # a fresh block changes nothing

    def forward(self, x: Tensor, initial: Tensor, keep: int) -> tuple[Tensor, Tensor]:
        """`initial` (B, P, forwards) precedes frame 0; returns also that after frame keep - 1."""
        h, after = Scan.apply(self.candidate(x), self.gate(x), initial, self.ceiling)
        return x + self.out(h), after[:, keep - 1]


def exchanged(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix (P, Q) applied to the positions of x (B, N, Q, C) -> (B, N, P, C).

    One small product a frame: `torch.matmul` would transpose all of x, at five times the cost.
    """
    frames = x.flatten(0, 1)
    matrices = matrix.to(x.dtype).expand(len(frames), *matrix.shape)
    return torch.bmm(matrices, frames).unflatten(0, x.shape[:2])


class Mixer(nn.Module):
    """Exchange between positions: x + gate(x) * (learned P x P matrix applied to x)."""

    def __init__(self, positions: int, channels: int):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(positions, positions) * positions**-0.5)
        self.gate = nn.Linear(channels, channels)
        self.value = ConvNorm(channels, channels)
        nn.init.zeros_(self.value.norm.weight)  # a fresh block changes nothing

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate(x).sigmoid() * exchanged(self.matrix, self.value(x))
