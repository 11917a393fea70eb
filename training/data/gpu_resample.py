"""Excerpts played at any speed on a GPU, by one kernel."""

import torch
import triton
import triton.language as tl
from torch import Tensor

ONE = 2**32  # a speed of 1 in fixed point: a float would lose the place between two samples
REACH = 16  # zero crossings of the interpolating sinc on either side
BLOCK = 1024  # samples


@triton.jit
def _play(
    samples, table, waves, length, one, REACH: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    begin = tl.load(table + 3 * row)
    heard = tl.load(table + 3 * row + 1)
    speed = tl.load(table + 3 * row + 2)
    k = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    place = k * speed
    first = place >> 32
    total = tl.zeros((BLOCK,), tl.float32)
    if speed == one:
        total += tl.load(samples + begin + first, mask=first < heard, other=0).to(tl.float32)
    else:
        part = (place - (first << 32)).to(tl.float32) / one.to(tl.float32)
        cutoff = tl.minimum(one.to(tl.float32) / speed.to(tl.float32), 1.0)
        reach = tl.ceil(REACH / cutoff).to(tl.int32)
        for tap in range(1 - reach, reach + 1):
            at = first + tap
            x = tl.load(samples + begin + at, mask=(at >= 0) & (at < heard), other=0)
            distance = tap - part
            angle = 3.141592653589793 * cutoff * distance
            angle = tl.where(tl.abs(angle) < 1e-4, 1e-4, angle)
            window = 0.5 + 0.5 * tl.cos(3.141592653589793 * distance / reach)
            total += x.to(tl.float32) * (cutoff * tl.sin(angle) / angle * window)
    inside = (first < heard) & (k < length)
    tl.store(waves + row * length + k, tl.where(inside, total / 32768, 0.0), mask=k < length)


def played(samples: Tensor, table: Tensor, length: int) -> Tensor:
    """Rows of a table (R, 3) of int64 -> waves (R, length), float32, zeros after their end.

    A row is where in `samples` (int16) an excerpt begins, how many of them it may hear, and its
    speed in units of 1 / ONE. Between samples a sinc under a Hann window interpolates; above a
    speed of 1 it is as much wider, so that nothing folds back.
    """
    waves = torch.empty(len(table), length, device=samples.device)
    grid = (len(table), triton.cdiv(length, BLOCK))
    _play[grid](samples, table, waves, length, ONE, REACH=REACH, BLOCK=BLOCK)
    return waves
