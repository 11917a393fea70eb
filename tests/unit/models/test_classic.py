"""ClassicUNet: librosa's decibels, exact denormalising, whole recordings and chunks of them."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch

from denoiser import audio, denoise
from denoiser.models import classic
from denoiser.models.classic import ClassicUNet, ClassicUNetConfig
from training.data import batching
from training.data.cache import AudioCache
from training.data.mixture import MixtureConfig, sample
from training.data.sources import Sources
from training.losses.classic import intersection_over_union
from training.recipes import RECIPES
from training.trainer import Trainer

HOP = 255


@pytest.fixture(scope="module")
def model():
    """A small network with batch statistics of its own."""
    torch.manual_seed(0)
    net = ClassicUNet(ClassicUNetConfig(channels=8)).train()
    with torch.no_grad():
        for _ in range(5):
            net(0.1 * torch.randn(4, 64 * HOP))
    return net.eval().requires_grad_(False)


def test_decibels_are_librosas():
    """Also the cut 80 dB below the greatest level, which the range makes here."""
    magnitude = np.abs(np.random.default_rng(0).standard_cauchy((3, 40, 256)).astype(np.float32))
    magnitude[0] *= np.logspace(-7, 0, 256)
    for wave in torch.from_numpy(magnitude)[:, None]:
        level = classic.decibel(wave)
        start = torch.full((1, 1, 1), float("inf"))
        low, high = classic.level_range(level, start, -start)
        ours = classic.denormalise(classic.normalise(level, low, high), low, high)
        theirs = librosa.amplitude_to_db(wave[0].numpy(), ref=1.0, amin=classic.AMIN, top_db=80.0)
        assert np.abs(ours[0].numpy() - theirs).max() < 1e-4
        back = librosa.db_to_amplitude(theirs)
        assert np.abs(classic.amplitude(ours)[0].numpy() / back - 1).max() < 1e-4


def test_intersection_over_union_of_two_by_two():
    """Lesser values 0.2, 0.5, 0, 1 over greater ones 0.4, 0.5, 0.3, 1: 1.7 / 2.2."""
    picture = torch.tensor([[0.2, 0.5], [0.3, 1.0]])
    target = torch.tensor([[0.4, 0.5], [0.0, 1.0]])
    assert intersection_over_union(picture, target) == pytest.approx(1.7 / 2.2)
    assert intersection_over_union(target, target) == 1


@pytest.mark.parametrize("length", [1, HOP - 1, HOP, 16 * HOP + 1, 37 * HOP + 5])
def test_output_is_as_long_as_the_input(model, length):
    assert model(torch.randn(2, length)).shape == (2, length)


def test_a_row_of_a_batch_is_that_row_alone(model):
    wave = torch.randn(3, 40 * HOP) * torch.tensor([[0.1], [0.01], [0.5]])
    assert (model(wave)[1:2] - model(wave[1:2])).abs().max() < 1e-5


def test_silence_stays_silent(model):
    assert model(torch.zeros(1, 40 * HOP)).abs().max() == 0


def test_a_perfect_picture_gives_the_clean_magnitudes(model, monkeypatch):
    """Only the noisy range is known at inference, and it is enough."""
    t = torch.arange(64 * HOP) / 16000
    clean = 0.3 * torch.sin(2 * torch.pi * 440 * t)[None]
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    empty = torch.zeros(1, HOP)
    levels = [
        classic.decibel(model.stft.analyse(wave, empty).square().sum(-1).sqrt())
        for wave in (noisy, clean)
    ]
    low, high = levels[0].amin(), levels[0].amax()
    picture = classic.normalise(levels[1], low, high).logit()
    monkeypatch.setattr(model, "logits", lambda _: picture)
    enhanced, _ = model.run(noisy, model.initial_state(noisy))
    error = enhanced[:, 4 * HOP : -HOP] - clean[:, 3 * HOP : -2 * HOP]
    noise = noisy - clean  # what remains is its phase
    assert error.square().mean() < 0.05 * noise.square().mean()


def test_chunks_equal_the_whole(model):
    """The loudest and the quietest frame are both in the first chunk, so the range stays."""
    wave = 0.1 * torch.randn(1, 400 * HOP)
    wave[:, : 20 * HOP] *= torch.linspace(0, 3, 20 * HOP)
    whole, _ = model.run(wave, model.initial_state(wave))
    state, parts = model.initial_state(wave), []
    for start in range(0, 400, 100):
        ahead = min(100, 300 - start)
        piece = wave[:, start * HOP : (start + 100 + ahead) * HOP]
        part, state = model.run(piece, state, lookahead=ahead)
        parts.append(part)
    difference = torch.cat(parts, 1) - whole
    assert difference.square().mean() < 1e-5 * whole.square().mean()


def test_denoise_keeps_rate_length_and_channels(model):
    wave = 0.1 * np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
    enhanced = denoise(model, wave, 44100)
    assert enhanced.shape == wave.shape
    spectrum = np.abs(np.fft.rfft(enhanced[0]))
    assert spectrum[9000:].max() < 0.01 * spectrum[:7000].max()  # nothing above 8 kHz


@pytest.mark.long
def test_one_batch_is_learnt_by_heart():
    torch.manual_seed(0)
    t = torch.arange(48 * 768) / 48000
    clean = 0.1 * torch.sin(2 * torch.pi * 400 * t) * (torch.sin(2 * torch.pi * 4 * t) > 0)
    clean = clean.repeat(2, 1)
    noisy = clean + 0.02 * torch.randn_like(clean)
    batch = noisy, clean, torch.full((2,), 24000.0), torch.ones(2, 1)
    trainer = Trainer(replace(RECIPES["classic"], warmup_steps=10), torch.device("cpu"))
    ious = [float(trainer.learn(*batch, 1.0)["iou"]) for _ in range(48)]
    assert ious[0] < 0.2
    assert np.mean(ious[-5:]) > 0.6


def test_trimming_cuts_the_silent_ends_off(tmp_path):
    """A second of tone between two of faint hiss: what is heard begins and ends with the tone."""
    second = np.arange(48000) / 48000
    wave = 1e-4 * np.random.default_rng(0).standard_normal(3 * 48000).astype(np.float32)
    wave[48000:96000] += 0.5 * np.sin(2 * np.pi * 500 * second)
    (tmp_path / "clean").mkdir()
    audio.write(tmp_path / "clean" / "tone.wav", wave[None], 48000)
    sources = Sources([tmp_path / "clean" / "tone.wav"], [], [])
    mixture = replace(
        sample(replace(sources, noise=sources.clean), MixtureConfig(), 0, 0), noises=()
    )
    assert mixture.speech
    store, config = AudioCache(tmp_path / "cache"), MixtureConfig(segment=3 * 48000, trim=True)
    heard = np.flatnonzero(batching.load([mixture], store, config).speech[0])
    assert abs(np.ptp(heard) - 48000) < 0.1 * 48000
