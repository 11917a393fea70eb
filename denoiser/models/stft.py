"""Conversion between waveforms and complex spectra, any number of hops at a time."""

from typing import Any

import torch
from torch import Tensor, nn

Context = Any  # of an autograd function; `forward` may store anything in it


class WindowedRFFT(torch.autograd.Function):
    """Overlapping, windowed frames of a signal (B, (N + 1) * hop) -> spectrum (B, N, F, 2).

    The gradient is an inverse transform and an overlap-add. Autograd's own would be a complex
    transform of twice the size and a scatter, five times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Context, signal: Tensor, window: Tensor) -> Tensor:
        ctx.save_for_backward(window)
        frames = signal.unfold(1, len(window), len(window) // 2)
        return torch.view_as_real(torch.fft.rfft(frames * window))

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None]:
        (window,) = ctx.saved_tensors
        half = grad * 0.5  # irfft counts every bin but the first and the last twice
        half[:, :, 0], half[:, :, -1] = grad[:, :, 0], grad[:, :, -1]
        frames = torch.fft.irfft(torch.view_as_complex(half), len(window), norm="forward")
        opening, closing = (frames * window).unflatten(2, (2, -1)).unbind(2)
        signal = torch.cat((opening, torch.zeros_like(opening[:, :1])), 1)
        signal[:, 1:] += closing
        return signal.flatten(1), None


class STFT(nn.Module):
    """Short-time Fourier transform with half-overlapping square-root Hann windows.

    `n_fft` is twice `hop_length`. Frame n covers hops n-1 and n, so the frames of a run need the
    hop before it (`past`), and the last hop of a run is complete only with the first frame of the
    next (`tail`). Both are zero at the start of a recording. Spectra are contiguous real tensors
    (B, N, F, 2), because the layers treat bins as features. Analysis followed by synthesis is the
    identity, one hop late.
    """

    window: Tensor

    def __init__(self, hop_length: int):
        super().__init__()
        self.hop_length = hop_length
        window = torch.hann_window(2 * hop_length, dtype=torch.float64).sqrt().float()
        self.register_buffer("window", window, persistent=False)

    def analyse(self, wave: Tensor, past: Tensor) -> Tensor:
        """wave (B, N * hop) and the hop before it (B, hop) -> spectrum (B, N, F, 2)."""
        return WindowedRFFT.apply(torch.cat((past, wave), 1), self.window)

    def synthesise(self, spectrum: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """spectrum (B, N, F, 2) and the open half frame (B, hop) -> wave (B, N * hop), new tail."""
        frames = torch.fft.irfft(torch.view_as_complex(spectrum), 2 * self.hop_length) * self.window
        opening, closing = frames.unflatten(2, (2, self.hop_length)).unbind(2)  # (B, N, hop) each
        overlapping = torch.cat((tail[:, None], closing[:, :-1]), 1)
        return (opening + overlapping).flatten(1), closing[:, -1]
