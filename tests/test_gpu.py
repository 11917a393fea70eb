"""What only a GPU does, and that it does the same as a CPU. Without one, nothing of it runs."""

import numpy as np
import pytest
import soxr
import torch
from toy import CPU, TOY, batch

from denoiser.scan import scan
from training.trainer import Trainer

GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("forwards", [48, 96])
def test_the_recurrence_as_one_kernel_equals_that_of_a_cpu(forwards):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 50, 5, 96), torch.randn(2, 50, 5, 96), torch.randn(2, 5, forwards)]
    weight, results = torch.randn(2, 50, 5, 96), []
    for device in (CPU, GPU):
        own = [x.to(device).requires_grad_() for x in inputs]
        h, carried = scan(*own, 0.9, 40)
        gradients = torch.autograd.grad((h * weight.to(device)).sum(), own)
        results.append([x.detach().cpu() for x in (h, carried, *gradients)])
    for cpu, gpu in zip(*results, strict=True):
        assert (cpu - gpu).abs().max() < 1e-5


def test_an_excerpt_is_played_as_soxr_would():
    from training import playing

    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(30000))
    spectrum[5000:] = 0  # a third of the bandwidth, so that a speed of 3 keeps all of it
    wave = np.fft.irfft(spectrum)
    wave = (20000 * wave / np.abs(wave).max()).astype(np.int16)
    speeds = [1.0, 0.65, 1.37, 2.5]
    rows = [(0, len(wave), round(speed * playing.ONE)) for speed in speeds]
    played = playing.played(torch.from_numpy(wave).to(GPU), torch.tensor(rows, device=GPU), 8000)
    for speed, row in zip(speeds, played.cpu().numpy(), strict=True):
        expected = soxr.resample(wave.astype(np.float32) / 32768, speed, 1.0, "VHQ")[200:7800]
        assert np.square(row[200:7800] - expected).mean() < 1e-4 * np.square(expected).mean()


def test_a_recorded_step_learns_what_a_cpu_does():
    """Three steps before the recording and three replays of it."""
    cpu, gpu = Trainer(TOY, CPU), Trainer(TOY, GPU)
    gpu.model.load_state_dict(cpu.model.state_dict())
    for _ in range(6):
        losses = [t.learn(*(x.to(t.device) for x in batch()), 1.0)["loss"] for t in (cpu, gpu)]
    assert float(losses[1]) == pytest.approx(float(losses[0]), rel=0.02)
