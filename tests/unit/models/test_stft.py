"""Spectra and bands."""

import pytest
import torch

from denoiser.models.erb import band_matrix, erb_rate
from denoiser.models.stft import STFT, WindowedRFFT


@pytest.mark.parametrize("hops", [1, 2, 7])
def test_synthesis_of_the_analysis_is_the_wave_one_hop_late(hops):
    stft, wave = STFT(96), torch.randn(3, hops * 96)
    padded = torch.nn.functional.pad(wave, (0, 96))
    silence = torch.zeros(3, 96)
    back, _ = stft.synthesise(stft.analyse(padded, silence), silence)
    assert (back[:, 96:] - wave).abs().max() < 1e-6


def test_hop_by_hop_equals_at_once():
    stft, wave = STFT(64), torch.randn(2, 5 * 64)
    silence = torch.zeros(2, 64)
    whole, _ = stft.synthesise(stft.analyse(wave, silence), silence)
    past, tail, pieces = silence, silence, []
    for hop in wave.split(64, 1):
        piece, tail = stft.synthesise(stft.analyse(hop, past), tail)
        past, pieces = hop, [*pieces, piece]
    assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-6


def test_a_tone_lies_in_its_bin_at_31_hz_each():
    stft = STFT(768)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(7680) / 48000)[None]
    power = stft.analyse(tone, torch.zeros(1, 768)).square().sum(-1)[0, 5]
    assert power.argmax() == 1000 / 31.25


def test_the_hand_written_gradient_is_the_gradient():
    signal = torch.randn(2, 5 * 8, dtype=torch.double, requires_grad=True)
    window = torch.rand(16, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: WindowedRFFT.apply(x, window), (signal,))


def test_bands_share_every_bin_and_follow_the_ear():
    hz = torch.arange(256, 769) * 31.25
    matrix = band_matrix(hz, 16)
    assert matrix.shape == (513, 16)
    assert (matrix.sum(1) - 1).abs().max() < 1e-6
    assert (matrix @ torch.full((16,), 0.3) - 0.3).abs().max() < 1e-6
    centres = erb_rate(hz[matrix.argmax(0)])
    assert (centres.diff() - centres.diff().mean()).abs().max() < 0.05


def test_erb_rate_is_15_6_at_1_khz():
    assert erb_rate(torch.tensor(1000.0)) == pytest.approx(15.62, abs=0.01)
