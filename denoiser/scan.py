"""The recurrence of BandUNet along time, and its gradient, one frame after the other.

Shapes: B recordings, N frames, P positions, C channels.
"""

import torch
from torch import Tensor


def scan(
    candidate: Tensor, gate: Tensor, initial: Tensor, ceiling: float, keep: int
) -> tuple[Tensor, Tensor]:
    """h[n] = a[n] h[n-1] + (1 - a[n]) g[n] along the second axis.

    Candidate g and gate are (B, N, P, C), a = ceiling * sigmoid(gate). The first channels, as many
    as `initial` (B, P, C') has, run forwards from it with a ceiling of 1; the others run backwards
    from zero, with h[n+1] in place of h[n-1]. It computes in 32 bit whatever the types outside.
    Returns h (B, N, P, C), and of the forward channels that of frame keep - 1 (B, P, C'), in the
    type of `initial`, for the next run.
    """
    if candidate.is_cuda:
        from denoiser import scan_cuda  # its compiler comes with PyTorch for CUDA only

        return scan_cuda.scan(candidate, gate, initial, ceiling, keep)
    return Scan.apply(candidate, gate, initial, ceiling, keep)


class Scan(torch.autograd.Function):
    """`scan` frame by frame in PyTorch, with a hand-written gradient.

    Autograd would record every frame; here the opposite recurrence of the gradient d,
    d[n] += a[n+1] d[n+1], yields all gradients at once.
    """

    @staticmethod
    def forward(
        ctx, candidate: Tensor, gate: Tensor, initial: Tensor, ceiling: float, keep: int
    ) -> tuple:
        out, passes = torch.empty_like(candidate), []
        for channels, order, last, most in _directions(candidate, initial, ceiling):
            g = candidate[..., channels].to(initial.dtype).contiguous()
            a = gate[..., channels].to(initial.dtype, copy=True).contiguous().sigmoid_().mul_(most)
            h = torch.empty_like(g)
            frames = (x.unbind(1)[::order] for x in (h, g, a))
            for target, new, share in zip(*frames, strict=True):
                last = torch.lerp(new, last, share, out=target)
            out[..., channels] = h
            passes += g, a, h
        ctx.save_for_backward(initial, *passes)
        ctx.ceiling = ceiling
        carried = passes[2][:, keep - 1].clone()
        ctx.mark_non_differentiable(carried)
        return out, carried

    @staticmethod
    def backward(ctx, grad: Tensor, _) -> tuple:
        initial, *passes = ctx.saved_tensors
        candidate_grad, gate_grad = torch.empty_like(grad), torch.empty_like(grad)
        firsts = []
        for channels, order, last, most in _directions(grad, initial, ctx.ceiling):
            g, a, h, *passes = passes
            d = grad[..., channels].to(initial.dtype, copy=True).contiguous()
            late, share = (x.unbind(1)[::-order] for x in (d, a))
            for n in range(1, len(late)):
                late[n].addcmul_(share[n - 1], late[n - 1])
            firsts.append(d[:, 0] * a[:, 0])
            here, there = (slice(1, None), slice(-1)) if order == 1 else (slice(-1), slice(1, None))
            change = torch.empty_like(h)  # h[n-1] - g[n], then the gradient of a, then of the gate
            torch.sub(h[:, there], g[:, here], out=change[:, here])
            edge = 0 if order == 1 else -1
            torch.sub(last, g[:, edge], out=change[:, edge])
            change.mul_(d).mul_(a)
            gate_grad[..., channels] = change.addcmul_(change, a, value=-1 / most)
            candidate_grad[..., channels] = d.addcmul_(d, a, value=-1)
        return candidate_grad, gate_grad, firsts[0], None, None


def _directions(like: Tensor, initial: Tensor, ceiling: float) -> list[tuple]:
    """Channels, order in time, what lies before the first frame, and ceiling of each half."""
    forwards = initial.shape[-1]
    both = [(slice(forwards), 1, initial, 1.0)]
    if forwards < like.shape[-1]:
        size = (*initial.shape[:2], like.shape[-1] - forwards)
        both.append((slice(forwards, None), -1, initial.new_zeros(size), ceiling))
    return both
