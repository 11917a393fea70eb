"""BandUNet's recurrence along time and its gradient, frame by frame.

Shapes: B recordings, N frames, P positions, C channels.
"""

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from denoiser.models.stft import Context

KERNELS = importlib.util.find_spec("triton") is not None  # comes with PyTorch for CUDA on Linux


def scan(
    candidates: list[Tensor], gates: list[Tensor], initial: Tensor, max_decay: float, kept: int
) -> tuple[list[Tensor], Tensor]:
    """h[n] = a[n] h[n-1] + (1 - a[n]) g[n] along the second axis, through consecutive pieces.

    Candidates g and gates are pieces (B, N, P, C); a = max_decay * sigmoid(gate). The first
    channels, as many as `initial` (B, P, C') has, run forwards from it with a max_decay of 1; the
    others run backwards from zero, with h[n+1] in place of h[n-1]. The computation uses the dtype
    of `initial`, float32, whatever the inputs have. Returns the pieces of h, and the state (B, P,
    C') of the forward channels after the first `kept` pieces, for the next run.

    With a gradient, the pieces are joined. On a GPU a kernel then does the work; inference does
    without, because kernels are compiled on the host, and not every host has a C compiler.
    """
    if candidates[0].requires_grad:
        frames = [candidate.shape[1] for candidate in candidates]
        candidate, gate = (x[0] if len(x) == 1 else torch.cat(x, 1) for x in (candidates, gates))
        if KERNELS and candidate.is_cuda:
            from denoiser.models import scan_cuda  # slow to import, and for training only

            scan_whole: Callable[..., tuple[Tensor, Tensor]] = scan_cuda.scan
        else:
            scan_whole = Scan.apply
        h, carried = scan_whole(candidate, gate, initial, max_decay, sum(frames[:kept]))
        return list(h.split(frames, 1)), carried
    halves = []
    for channels, order, last in _directions(candidates[0], initial):
        pieces = []
        for candidate, gate in list(zip(candidates, gates, strict=True))[::order]:
            h, a = (x[..., channels].to(initial.dtype) for x in (candidate, gate))
            h, a = h.clone(memory_format=torch.contiguous_format), a.sigmoid()
            if order == -1:
                a.mul_(max_decay)
            last = _run(h, a, order, last)
            pieces.append(h)
        halves.append(pieces[::order])
    carried = halves[0][kept - 1][:, -1].clone()
    return [torch.cat(each, -1) for each in zip(*halves, strict=True)], carried


class Scan(torch.autograd.Function):
    """`scan` of one piece (B, N, P, C), of which `keep` frames are kept, with its own gradient.

    Autograd would record every frame; here the reversed recurrence of the gradient d, d[n] +=
    a[n+1] d[n+1], gives all gradients at once.
    """

    @staticmethod
    def forward(
        ctx: Context,
        candidate: Tensor,
        gate: Tensor,
        initial: Tensor,
        max_decay: float,
        keep: int,
    ) -> tuple[Tensor, Tensor]:
        g = candidate.to(initial.dtype)
        a = gate.to(initial.dtype, copy=True).sigmoid_()
        a[..., initial.shape[-1] :].mul_(max_decay)
        h = g.clone()
        for channels, order, last in _directions(g, initial):
            _run(h[..., channels], a[..., channels], order, last)
        carried = h[:, keep - 1, :, : initial.shape[-1]].clone()
        ctx.save_for_backward(initial, g, a, h)
        ctx.max_decay = max_decay
        ctx.mark_non_differentiable(carried)
        return h.to(candidate.dtype), carried

    @staticmethod
    def backward(
        ctx: Context, grad: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        initial, g, a, h = ctx.saved_tensors
        forwards = initial.shape[-1]
        d = grad.to(initial.dtype, copy=True).contiguous()
        change = torch.empty_like(h)  # h[n-1] - g[n], then the gradient of a, then of the gate
        for channels, order, last in _directions(g, initial):
            late, share = (x[..., channels].unbind(1)[::-order] for x in (d, a))
            for n in range(1, len(late)):
                late[n].addcmul_(share[n - 1], late[n - 1])
            here, there = (slice(1, None), slice(-1)) if order == 1 else (slice(-1), slice(1, None))
            new, state, difference = (x[..., channels] for x in (g, h, change))
            torch.sub(state[:, there], new[:, here], out=difference[:, here])
            edge = 0 if order == 1 else -1
            torch.sub(last, new[:, edge], out=difference[:, edge])
        initial_grad = d[:, 0, :, :forwards] * a[:, 0, :, :forwards]
        change.mul_(d).mul_(a)
        candidate_grad = d.addcmul_(d, a, value=-1).to(grad.dtype)
        for part, most in ((slice(forwards), 1.0), (slice(forwards, None), ctx.max_decay)):
            half = change[..., part]
            half.addcmul_(half, a[..., part], value=-1 / most)
        return candidate_grad, change.to(grad.dtype), initial_grad, None, None


def _run(h: Tensor, a: Tensor, order: int, last: Tensor) -> Tensor:
    """Turns candidates h (B, N, P, C) into states in place, frame by frame in one direction.

    Returns the final state. Contiguous frames take half the time of strided views.
    """
    for frame, share in zip(h.unbind(1)[::order], a.unbind(1)[::order], strict=True):
        last = torch.lerp(frame, last, share, out=frame)
    return last


def _directions(like: Tensor, initial: Tensor) -> list[tuple[slice, int, Tensor]]:
    """Channels, order in time and state before the first frame, for each direction."""
    forwards = initial.shape[-1]
    size = (*initial.shape[:2], like.shape[-1] - forwards)
    both = [(slice(forwards), 1, initial), (slice(forwards, None), -1, initial.new_zeros(size))]
    return both if size[-1] else both[:1]
