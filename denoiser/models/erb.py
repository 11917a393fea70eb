"""A fixed matrix between frequency bins and bands evenly spaced on the ERB scale."""

import torch
from torch import Tensor


def erb_rate(hz: Tensor) -> Tensor:
    """Hz -> number of equivalent rectangular bandwidths (Glasberg and Moore 1990, equation 4)."""
    return 21.4 * torch.log10(1 + 0.00437 * hz)


def band_matrix(bin_hz: Tensor, bands: int) -> Tensor:
    """Weights (F, bands) of F bins in triangular bands, evenly spaced in ERB.

    Every row sums to 1, so `gains @ matrix.T` interpolates one gain per band to the bins, and a
    constant gain stays constant.
    """
    rate = erb_rate(bin_hz.double())
    position = (rate - rate[0]) / (rate[-1] - rate[0]) * (bands - 1)
    distance = (position[:, None] - torch.arange(bands)).abs()
    return (1 - distance).clamp(min=0).float()
