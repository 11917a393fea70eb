"""The losses are their definitions."""

import pytest
import torch
from toy import TOY, batch

from denoiser.models.band import BandUNet
from training.losses import band


def test_the_loss_is_its_definition():
    """Magnitudes and complex spectra, 70 : 30, and what is missing again, by plain autograd."""
    torch.manual_seed(0)
    enhanced, clean = torch.randn(2, 2, 5, 9, 2, dtype=torch.double)
    enhanced.requires_grad_()
    ones = torch.ones(2, 1, 9, dtype=torch.double)
    e, c = torch.view_as_complex(enhanced), torch.view_as_complex(clean)
    power_law = [x * x.abs() ** (0.3 - 1) for x in (e, c)]
    missing = power_law[1].abs() - power_law[0].abs()
    plain = 0.7 * missing.square().mean() + 0.5 * missing.clamp(min=0).square().mean()
    plain += 0.3 * (power_law[0] - power_law[1]).abs().square().mean()
    closed = band.CompressedLoss.apply(enhanced, clean, ones, 0.3)
    assert closed.item() == pytest.approx(plain.item(), abs=1e-8)
    gradients = [torch.autograd.grad(loss, enhanced)[0] for loss in (plain, closed)]
    assert (gradients[0] - gradients[1]).abs().max() < 1e-7


def test_distortion_is_the_error_in_dB_and_silence_counts_nothing():
    torch.manual_seed(0)
    clean = torch.randn(2, 48000)
    error = 0.1**0.5 * torch.randn(2, 48000)
    assert band.distortion(clean + error, clean) == pytest.approx(-10, abs=0.2)
    clean[1] = 0
    assert band.distortion(clean + error, clean) == pytest.approx(-5, abs=0.2)


def test_what_lies_above_the_recordings_bandwidth_costs_nothing():
    model = BandUNet(TOY.model)
    t, fade = torch.arange(16 * 768) / 48000, torch.hann_window(16 * 768)
    clean = 0.1 * torch.sin(2 * torch.pi * 1000 * t)[None]
    highs = clean + 0.1 * fade * torch.sin(2 * torch.pi * 14000 * t)[None]

    past = torch.zeros(1, model.config.hop_length)
    spectra = [model.stft.analyse(wave, past) for wave in (highs, clean)]

    def loss(bandwidth: float) -> float:
        heard = band.audible_bins(spectra[0], torch.tensor([bandwidth]), 48000)
        losses = band.spectral_loss(model, *spectra, heard)
        return (losses["low"] + losses["high"]).item()

    assert loss(8000.0) < 0.02 * loss(24000.0)  # what remains leaks from the tone into low bins


def test_the_loss_is_the_weighted_sum_of_what_is_logged():
    """Bands above 8 kHz three times, PESQ's disturbance 0.004 and each dB of error 0.002."""
    noisy, clean, *rest = batch()
    noisy = noisy + 0.05 * torch.randn_like(noisy)
    losses = band.band_objective(BandUNet(TOY.model), noisy, clean, *rest)
    weights = {"low": 1.0, "high": 3.0, "disturbance": 0.004, "distortion": 0.002}
    assert set(losses) == {"loss", *weights}
    parts = {name: weight * losses[name].item() for name, weight in weights.items()}
    assert min(abs(part) for part in parts.values()) > 1e-4  # none of them is lost in the others
    assert losses["loss"].item() == pytest.approx(sum(parts.values()), rel=1e-5)


def test_every_part_of_the_loss_teaches():
    """A step's loss has a gradient from the highest bands and from PESQ on their own."""
    noisy, clean, *rest = batch()
    model = BandUNet(TOY.model)
    losses = band.band_objective(model, noisy, clean, *rest)
    (together,) = torch.autograd.grad(losses["loss"], model.decode_high.weight, retain_graph=True)
    assert together.abs().max() > 1e-6
    (heard,) = torch.autograd.grad(losses["disturbance"], model.decode.weight, retain_graph=True)
    assert heard.abs().max() > 1e-6
