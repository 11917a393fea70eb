"""What is done to waves on their way into a mixture: levels, filters, noise that is computed."""

import math

import torch
from torch import Tensor

from training.data.cache import SAMPLE_RATE

FRAME = 768  # samples: 16 ms


def unit(waves: Tensor) -> Tensor:
    """Waves (..., T) at a mean square of 1; silence stays silent."""
    return waves / (waves.square().mean(-1, keepdim=True).sqrt() + 1e-6)


def coloured_noise(exponent: float, length: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise whose power falls with frequency to the power of `exponent`."""
    device, bins = generator.device, length // 2 + 1
    spectrum = torch.randn(bins, 2, generator=generator, device=device)
    spectrum *= torch.arange(1, bins + 1, device=device)[:, None] ** (-exponent / 2)
    return torch.fft.irfft(torch.view_as_complex(spectrum), length)


def hum(fundamental_hz: float, length: int, generator: torch.Generator) -> Tensor:
    """Mains hum: 4 to 20 harmonics, falling, with phases of their own; the mains waver by 0.5 %."""
    device, most = generator.device, 20
    random = torch.rand(3, most, generator=generator, device=device)
    order = torch.arange(1, most + 1, device=device)
    sounding = order <= 4 + (most - 3) * random[2, 0]
    level = random[0] * sounding / order**0.7
    seconds = torch.arange(length, device=device) / SAMPLE_RATE
    cycles = seconds * (fundamental_hz * (0.995 + 0.01 * random[2, 1])) * order[:, None]
    return level @ (2 * math.pi * (cycles + random[1, :, None])).sin()


def active_frames(wave: Tensor) -> tuple[Tensor, Tensor]:
    """Power (B, N) of the 16 ms frames of (B, T), and which are within 35 dB of the loudest."""
    power = wave.unflatten(1, (-1, FRAME)).square().mean(2)
    return power, power > power.amax(1, keepdim=True) * 10**-3.5


def active_rms(wave: Tensor) -> Tensor:
    """RMS (B, 1) of the active frames of (B, T)."""
    power, active = active_frames(wave)
    return ((power * active).sum(1, keepdim=True) / active.sum(1, keepdim=True).clamp(min=1)).sqrt()


def filtered(waves: Tensor, response: Tensor) -> Tensor:
    """Waves (B, T) through frequency responses (B, T / 2 + 1).

    Circular: what rings beyond the end sounds at the start, as if more had come before.
    """
    if len(waves) == 0:  # MKL transforms no empty batch
        return waves
    return torch.fft.irfft(torch.fft.rfft(waves) * response, waves.shape[1])


def equaliser(tilt_db: Tensor, limit_hz: Tensor, length: int) -> Tensor:
    """Responses (B, length / 2 + 1): a tilt from 100 Hz to 10 kHz, nothing above the limit."""
    hz = torch.arange(length // 2 + 1, device=tilt_db.device) * (SAMPLE_RATE / length)
    slope = (hz.clamp(100, 10000).log10() - 3) / 2  # -0.5 at 100 Hz, 0.5 at 10 kHz
    limit = limit_hz[:, None]
    edge = ((limit * 1.05 - hz) / (limit * 0.1)).clamp(0, 1)
    edge = torch.where(limit < SAMPLE_RATE / 2, edge, 1)
    return 10 ** (tilt_db[:, None] * slope / 20) * edge
