"""Live sound: as long as what came in, as good as a recording, at any level and rate."""

from pathlib import Path

import numpy as np
import pytest
import torch

import denoiser
from denoiser import audio, metrics
from denoiser.chunks import Chunks
from denoiser.errors import CheckpointError
from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.stream import Stream

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def live():
    return denoiser.load(SAMPLES.parent / "checkpoints" / "band-live", "cpu")


@pytest.fixture(scope="module")
def small():
    """A causal network of random weights, quick to run."""
    torch.manual_seed(0)
    return BandUNet(BandUNetConfig(causal=True, channels=16, bottleneck_channels=16)).eval()


def streamed(stream: Stream, wave: np.ndarray, seed: int = 0) -> np.ndarray:
    """All that comes out of pieces of random sizes, none at all among them."""
    rng, start, pieces = np.random.default_rng(seed), 0, []
    while start < wave.shape[1]:
        count = int(rng.integers(0, 3000))
        pieces.append(stream.push(wave[:, start : start + count]))
        start += count
    return np.concatenate([*pieces, stream.flush()], axis=1)


@pytest.mark.parametrize("dbfs", [-10, -60])
def test_a_stream_is_as_good_as_the_recording_at_any_level(live, dbfs):
    """SI-SDR within 0.5 dB of denoise() after the first second."""
    noisy, clean = (
        audio.read(SAMPLES / kind / "air_conditioner.flac")[0][:, : 4 * 48000]
        for kind in ("noisy", "clean")
    )
    gain = np.float32(10 ** (dbfs / 20) / np.sqrt(np.square(clean).mean()))
    waves = (denoiser.denoise(live, gain * noisy, 48000), streamed(Stream(live), gain * noisy))
    scores = [
        metrics.si_sdr(enhanced=w[0, 48000:], clean=clean[0, 48000:], sample_rate=48000)
        for w in waves
    ]
    assert scores[1] > 12
    assert scores[1] == pytest.approx(scores[0], abs=0.5)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 8), (192000, 1)])
def test_as_much_comes_out_as_went_in_and_a_second_time_the_same(small, rate, channels):
    wave = 0.1 * np.random.default_rng(1).standard_normal((channels, rate // 2 + 17))
    stream = Stream(small, rate, channels)
    first = streamed(stream, wave.astype(np.float32))
    assert first.shape == wave.shape
    again = streamed(stream, wave.astype(np.float32), seed=5)  # after flush() as new
    assert np.abs(again - first).max() < 1e-5


def test_strength_0_gives_the_input_bit_for_bit(small):
    wave = np.random.default_rng(2).normal(0, 0.1, (1, 10000)).astype(np.float32)
    assert np.array_equal(streamed(Stream(small, strength=0.0), wave), wave)


def test_strength_may_change_while_sound_runs(small):
    """From one push to the next: the enhanced wave, then the input itself."""
    wave = np.random.default_rng(3).normal(0, 0.1, (1, 10 * 768)).astype(np.float32)
    stream = Stream(small)
    enhanced = stream.push(wave)
    stream.strength = 0.0
    rest = np.concatenate([stream.push(wave), stream.flush()], axis=1)
    assert not np.allclose(enhanced, wave[:, : enhanced.shape[1]], atol=1e-3)
    whole = np.concatenate((wave, wave), axis=1)
    assert np.array_equal(rest, whole[:, enhanced.shape[1] :])
    with pytest.raises(ValueError, match="strength must be from 0"):
        stream.strength = 1.5
    assert stream.strength == 0.0


def test_hops_equal_the_whole(small):
    """Without levelling: chunks of one hop and the network on all of it."""
    wave = 0.1 * torch.randn(1, 20 * 768)
    chunks = Chunks(small, 768 / 48000, print)
    pieces = [*chunks.push(wave.numpy()), *chunks.flush()]
    with torch.inference_mode():
        assert np.abs(np.concatenate(pieces, 1) - small(wave).numpy()).max() < 1e-5


@pytest.mark.parametrize(("rate", "seconds"), [(48000, 0.034), (44100, 0.09), (16000, 0.12)])
def test_no_more_is_held_back_than_the_latency_says(small, rate, seconds):
    """Two hops, and at other rates what the resampler's filters hold."""
    stream, held = Stream(small, rate), 0
    for _ in range(rate // 100):
        piece = np.zeros((1, 37), np.float32)
        held += 37 - stream.push(piece).shape[1]
        assert held <= stream.latency_samples
    assert stream.latency_samples < seconds * rate


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "band"}, "needs a causal model"),
        ({"model": "no/such folder"}, "No checkpoint at no/such folder"),
        ({"sample_rate": 3999}, "4000 to 768000 Hz, got 3999"),
        ({"channels": 0}, "1 to 8 channels, got 0"),
        ({"strength": 1.1}, "strength must be from 0"),
    ],
)
def test_what_it_cannot_do_is_refused_at_once(arguments, sentence):
    with pytest.raises((ValueError, CheckpointError), match=sentence):
        Stream(**arguments)


@pytest.mark.parametrize(
    ("wave", "sentence"),
    [
        (np.zeros((48, 1), np.float32), "is it transposed"),
        (np.zeros((1, 48)), "float32 samples, got float64"),
        (np.full((1, 48), np.nan, np.float32), "finite samples, got NaN"),
    ],
)
def test_what_is_no_sound_is_refused_and_the_stream_goes_on(small, wave, sentence):
    stream = Stream(small)
    with pytest.raises(ValueError, match=sentence):
        stream.push(wave)
    rest = [stream.push(np.zeros((1, 2000), np.float32)), stream.flush()]
    assert sum(piece.shape[1] for piece in rest) == 2000
