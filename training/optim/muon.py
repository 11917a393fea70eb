"""Muon (Jordan 2024, kellerjordan.github.io/posts/muon) for a network of many small matrices."""

from collections import defaultdict

import torch
from torch import Tensor

MOMENTUM = 0.95
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic that pulls singular values towards 1
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps of `torch.optim.Muon` without decay, as large as AdamW's ("match_rms_adamw").

    Matrices of one shape are orthogonalised together, in a tenth of the kernels. The rate may be a
    tensor, so that a recorded graph of the step follows it.
    """

    def __init__(self, matrices: list[Tensor], lr: float | Tensor = 1e-3):
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Nesterov momentum, orthogonalised, times 0.2 times the root of the longer side."""
        for group in self.param_groups:
            shapes = defaultdict(list)
            for matrix in group["params"]:
                shapes[matrix.shape].append(matrix)
            for (rows, columns), matrices in shapes.items():
                updates = orthogonalised(torch.stack([self._momentum(m) for m in matrices]))
                updates = updates * (group["lr"] * -0.2 * max(rows, columns) ** 0.5)
                torch._foreach_add_(matrices, list(updates.unbind()))

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        state["momentum_buffer"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(state["momentum_buffer"], MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """(K, rows, columns) with their singular values brought to about 1, by Newton-Schulz steps.

    On a GPU in 16 bit, which is as exact as an update needs to be; many CPUs only emulate
    that.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x.bfloat16() if x.is_cuda else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()
