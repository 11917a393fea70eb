"""The disturbance that is trained on is the one that PESQ measures."""

from pathlib import Path

import numpy as np
import torch

from denoiser import audio, metrics
from denoiser.models.stft import STFT
from training.losses import pesq

SAMPLES = Path(__file__).parents[3] / "samples"


def power(wave: torch.Tensor) -> torch.Tensor:
    """(1, T) at 48 kHz -> power spectra (1, N, BINS)."""
    wave = wave[:, : wave.shape[1] // 768 * 768]
    spectrum = STFT(768).analyse(wave, torch.zeros(1, 768))
    return spectrum[:, :, : pesq.BINS].square().sum(-1)


def read(path: Path) -> torch.Tensor:
    wave, rate = audio.read(path)
    return torch.from_numpy(audio.resample(wave, rate, 48000))


def test_it_follows_the_reference_implementation():
    """PESQ's score is 0.999 + 4 / (1 + exp(3.8224 - 1.3669 (4.5 - disturbance)))."""
    ours, reference = [], []
    for path in sorted((SAMPLES / "clean").glob("*.flac")):
        clean = read(path)
        for other in (f"noisy/{path.name}", f"denoised/{path.stem}_denoised.flac"):
            wave = read(SAMPLES / other)
            ours.append(float(pesq.disturbance(power(wave), power(clean))))
            score = metrics.pesq(
                enhanced=wave[0].numpy(), clean=clean[0].numpy(), sample_rate=48000
            )
            reference.append(4.5 - (3.8224 - np.log(4 / (score - 0.999) - 1)) / 1.3669)
    assert np.corrcoef(ours, reference)[0, 1] > 0.98
    assert np.abs(np.subtract(ours, reference)).mean() < 0.2


def test_a_perfect_estimate_at_another_level_disturbs_nobody():
    clean = read(SAMPLES / "clean" / "rain.flac")
    assert pesq.disturbance(power(0.1 * clean), power(clean)) < 0.02


def test_silence_gives_no_loss_and_a_finite_gradient():
    """One segment of speech, one without: the second counts nothing."""
    clean = power(read(SAMPLES / "clean" / "rain.flac"))
    clean = torch.cat((clean, torch.zeros_like(clean)))
    enhanced = (0.5 * clean + 1e-3).requires_grad_()
    both = pesq.disturbance(enhanced, clean)
    both.backward()
    alone = pesq.disturbance(enhanced[:1].detach(), clean[:1])
    assert abs(both.item() - alone.item() / 2) < 1e-6
    assert enhanced.grad.isfinite().all()
    assert enhanced.grad[1].abs().max() == 0
    assert pesq.disturbance(enhanced[1:], clean[1:]) == 0
