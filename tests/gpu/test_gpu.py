"""What only a GPU does, and that it does the same as a CPU. Without one, nothing of it runs."""

import numpy as np
import pytest
import soxr
import torch
from toy import CPU, TOY, batch, weights

from denoiser import audio
from denoiser.models.scan import KERNELS, scan
from training.data import batching
from training.data.cache import AudioCache, Excerpt
from training.data.mixture import Sources
from training.trainer import Trainer

GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(
    not (KERNELS and torch.cuda.is_available()), reason="needs a GPU and Triton"
)


@pytest.mark.parametrize("forwards", [48, 96])
def test_the_recurrence_as_one_kernel_equals_that_of_a_cpu(forwards):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 50, 5, 96), torch.randn(2, 50, 5, 96), torch.randn(2, 5, forwards)]
    weight, results = torch.randn(2, 50, 5, 96), []
    for device in (CPU, GPU):
        own = [x.to(device).requires_grad_() for x in inputs]
        candidate, gate, initial = own
        (h,), carried = scan([candidate], [gate], initial, 0.9, 1)
        gradients = torch.autograd.grad((h * weight.to(device)).sum(), own)
        results.append([x.detach().cpu() for x in (h, carried, *gradients)])
    for cpu, gpu in zip(*results, strict=True):
        assert (cpu - gpu).abs().max() < 1e-5


def test_an_excerpt_is_played_as_soxr_would():
    from training.data import gpu_resample

    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(30000))
    spectrum[5000:] = 0  # a third of the bandwidth, so that a speed of 3 keeps all of it
    wave = np.fft.irfft(spectrum)
    wave = (20000 * wave / np.abs(wave).max()).astype(np.int16)
    speeds = [1.0, 0.65, 1.37, 2.5]
    rows = [(0, len(wave), round(speed * gpu_resample.ONE)) for speed in speeds]
    wave_there, rows_there = torch.from_numpy(wave).to(GPU), torch.tensor(rows, device=GPU)
    played = gpu_resample.resample(wave_there, rows_there, 8000)
    for speed, row in zip(speeds, played.cpu().numpy(), strict=True):
        expected = soxr.resample(wave.astype(np.float32) / 32768, speed, 1.0, "VHQ")[200:7800]
        assert np.square(row[200:7800] - expected).mean() < 1e-4 * np.square(expected).mean()


def test_a_recorded_step_learns_what_a_cpu_does():
    """Three steps before the recording and three replays of it."""
    trainers, moved = (Trainer(TOY, CPU), Trainer(TOY, GPU)), []
    for trainer in trainers:
        trainer.model.load_state_dict(trainers[0].model.state_dict())
        trainer.average.load_state_dict(trainers[0].model.state_dict())
    first = weights(trainers[0]).clone()
    for trainer in trainers:
        for _ in range(6):
            loss = trainer.learn(*(x.to(trainer.device) for x in batch()), 1.0)["loss"]
        average = torch.cat([p.flatten() for p in trainer.average.parameters()])
        both = (weights(trainer).cpu() - first, average.cpu() - first)
        moved.append([float(loss), *(float(change.norm()) for change in both)])
    assert trainers[1].step == 6
    assert moved[1] == pytest.approx(moved[0], rel=0.1)


def test_recordings_on_the_card_play_as_those_on_disk(tmp_path):
    rng, paths = np.random.default_rng(0), []
    for seconds in (4, 1, 0.5):
        paths.append(tmp_path / f"{seconds}.wav")
        wave = 0.1 * rng.standard_normal((1, round(seconds * 48000))).astype(np.float32)
        audio.write(paths[-1], wave, 48000)
    store = AudioCache(tmp_path / "cache")
    card = batching.place(store, Sources(paths[:1], paths[1:2], paths[2:]), GPU)
    excerpts = [Excerpt(path, 0.3) for path in paths]
    for cpu, gpu in zip(
        store.read_excerpts(excerpts, 96000), card.read_excerpts(excerpts, 96000), strict=True
    ):
        assert torch.equal(cpu, gpu.cpu())
    assert [card.bandwidth(e) for e in excerpts] == [store.bandwidth(e) for e in excerpts]
    assert torch.allclose(store.room(paths[2]), card.room(paths[2]).cpu())
