"""`denoiser.models.scan` on a GPU: one thread per lane, all frames in one kernel.

A lane is one channel of one position of one recording. Frame by frame, PyTorch would launch
hundreds of kernels, each taking longer to start than to run.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor, library

from denoiser.models.stft import Context

BLOCK = 128  # lanes

# Kernels are in Triton's language, which annotates constants only: hence `ignore`


@triton.jit
def _lanes(  # type: ignore[no-untyped-def]
    lanes, CHANNELS: tl.constexpr, FORWARDS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Recording and lanes of this program; masks of valid and forward lanes; `initial` offsets."""
    batch = tl.program_id(1).to(tl.int64)
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = lane % CHANNELS
    before = (batch * (lanes // CHANNELS) + lane // CHANNELS) * FORWARDS + channel
    return batch, lane, lane < lanes, channel < FORWARDS, before


@triton.jit
def _scan(  # type: ignore[no-untyped-def]
    candidate, gate, initial, out, carried, max_decay, frames, keep, lanes,
    CHANNELS: tl.constexpr, FORWARDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    batch, lane, inside, forwards, before = _lanes(lanes, CHANNELS, FORWARDS, BLOCK)
    most = tl.where(forwards, 1.0, max_decay)
    h = tl.load(initial + before, mask=inside & forwards, other=0.0).to(tl.float32)
    at = (batch * frames + tl.where(forwards, 0, frames - 1)) * lanes + lane
    step = tl.where(forwards, lanes, -lanes)
    g = tl.load(candidate + at, mask=inside, other=0.0)
    z = tl.load(gate + at, mask=inside, other=0.0)
    for n in range(frames):
        here, at = at, at + step
        a = most / (1 + tl.exp(-z.to(tl.float32)))
        new = g.to(tl.float32)
        more = inside & (n + 1 < frames)  # fetched while this frame is computed
        g = tl.load(candidate + at, mask=more, other=0.0)
        z = tl.load(gate + at, mask=more, other=0.0)
        h = new + a * (h - new)
        tl.store(out + here, h, mask=inside)
        tl.store(carried + before, h, mask=inside & forwards & (n == keep - 1))


@triton.jit
def _scan_backward(  # type: ignore[no-untyped-def]
    grad, candidate, gate, initial, out, candidate_grad, gate_grad, initial_grad,
    max_decay, frames, lanes,
    CHANNELS: tl.constexpr, FORWARDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    batch, lane, inside, forwards, before = _lanes(lanes, CHANNELS, FORWARDS, BLOCK)
    most = tl.where(forwards, 1.0, max_decay)
    first = tl.load(initial + before, mask=inside & forwards, other=0.0).to(tl.float32)
    at = (batch * frames + tl.where(forwards, frames - 1, 0)) * lanes + lane
    step = tl.where(forwards, -lanes, lanes)
    carry = tl.zeros((BLOCK,), tl.float32)  # a[n+1] d[n+1]
    for n in range(frames):
        more = inside & (n + 1 < frames)
        d = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32) + carry
        g = tl.load(candidate + at, mask=inside, other=0.0).to(tl.float32)
        z = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
        earlier = tl.load(out + at + step, mask=more, other=0.0).to(tl.float32)
        earlier = tl.where(more, earlier, first)
        share = 1 / (1 + tl.exp(-z))
        a = most * share
        tl.store(candidate_grad + at, d * (1 - a), mask=inside)
        tl.store(gate_grad + at, d * (earlier - g) * a * (1 - share), mask=inside)
        carry = a * d
        at += step
    tl.store(initial_grad + before, carry, mask=inside & forwards)


def _launch(
    kernel: triton.JITFunction, like: Tensor, forwards: int, *arguments: Tensor | float
) -> None:
    batch, _, positions, channels = like.shape
    lanes = positions * channels
    grid = (triton.cdiv(lanes, BLOCK), batch)
    kernel[grid](*arguments, lanes, CHANNELS=channels, FORWARDS=forwards, BLOCK=BLOCK)


@library.custom_op("denoiser::scan", mutates_args=())
def scan(
    candidate: Tensor, gate: Tensor, initial: Tensor, max_decay: float, keep: int
) -> tuple[Tensor, Tensor]:
    """As `denoiser.models.scan.scan`."""
    candidate, gate, initial = (x.contiguous() for x in (candidate, gate, initial))
    out, carried = torch.empty_like(candidate), torch.empty_like(initial)
    arguments = candidate, gate, initial, out, carried, max_decay, candidate.shape[1], keep
    _launch(_scan, candidate, initial.shape[-1], *arguments)
    return out, carried


@library.custom_op("denoiser::scan_backward", mutates_args=())
def _backward(
    grad: Tensor, candidate: Tensor, gate: Tensor, initial: Tensor, out: Tensor, max_decay: float
) -> tuple[Tensor, Tensor, Tensor]:
    grad, candidate, gate, initial = (x.contiguous() for x in (grad, candidate, gate, initial))
    results = torch.empty_like(candidate), torch.empty_like(gate), torch.empty_like(initial)
    arguments = grad, candidate, gate, initial, out, *results, max_decay, candidate.shape[1]
    _launch(_scan_backward, candidate, initial.shape[-1], *arguments)
    return results


@scan.register_fake
def _(
    candidate: Tensor, gate: Tensor, initial: Tensor, max_decay: float, keep: int
) -> tuple[Tensor, Tensor]:
    return candidate.new_empty(candidate.shape), initial.new_empty(initial.shape)


@_backward.register_fake
def _(
    grad: Tensor, candidate: Tensor, gate: Tensor, initial: Tensor, out: Tensor, max_decay: float
) -> tuple[Tensor, Tensor, Tensor]:
    candidate_grad, gate_grad, initial_grad = (
        x.new_empty(x.shape) for x in (candidate, gate, initial)
    )
    return candidate_grad, gate_grad, initial_grad


def _remember(
    ctx: Context,
    inputs: tuple[Tensor, Tensor, Tensor, float, int],
    output: tuple[Tensor, Tensor],
) -> None:
    candidate, gate, initial, ctx.max_decay, _ = inputs
    ctx.save_for_backward(candidate, gate, initial, output[0])


def _gradients(ctx: Context, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
    return *_backward(grad, *ctx.saved_tensors, ctx.max_decay), None, None


scan.register_autograd(_gradients, setup_context=_remember)
