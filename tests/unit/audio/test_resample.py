"""Resampling keeps what both rates can hold, and nothing else."""

import numpy as np
import pytest
import soxr
from sounds import level_of, noise, tone

from denoiser import audio

RATES = [(44_100, 48_000), (48_000, 44_100), (8_000, 48_000), (48_000, 8_000), (192_000, 48_000),
         (48_000, 11_025)]  # fmt: skip


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_resampling_keeps_tones_and_constants(from_rate, to_rate):
    same = audio.resample(np.ones((1, 2 * from_rate)), from_rate, to_rate)
    middle = same[0, to_rate // 4 : -to_rate // 4]
    np.testing.assert_allclose(middle, 1, atol=1e-6)
    hz = 0.4 * min(from_rate, to_rate)
    wave = audio.resample(tone(2 * from_rate, from_rate, 1, hz), from_rate, to_rate)
    assert wave.shape == (1, 2 * to_rate)
    assert level_of(wave[0], to_rate, hz) == pytest.approx(0.25, rel=1e-3)
    assert level_of(wave[0], to_rate, hz + 5) < 0.25e-3


@pytest.mark.parametrize(("from_rate", "to_rate"), [pair for pair in RATES if pair[0] > pair[1]])
def test_a_tone_above_the_new_nyquist_dies(from_rate, to_rate):
    hz = (from_rate / 2 + to_rate / 2) / 2
    wave = audio.resample(tone(2 * from_rate, from_rate, 1, hz), from_rate, to_rate)
    rms = np.sqrt(np.mean(np.square(wave[0, to_rate // 4 : -to_rate // 4], dtype=np.float64)))
    assert 20 * np.log10(rms * np.sqrt(2) / 0.25 + 1e-12) < -60


@pytest.mark.parametrize(("from_rate", "to_rate"), [*RATES, (48_000, 48_000)])
@pytest.mark.parametrize("samples", [0, 1, 777, 30_001])
def test_a_stream_resamples_like_the_whole(from_rate, to_rate, samples):
    generator = np.random.default_rng(samples)
    wave = noise(samples, 2)
    whole = audio.resample(wave, from_rate, to_rate)
    assert whole.shape == (2, round(samples * to_rate / from_rate))
    direct = soxr.resample(wave.T, from_rate, to_rate, "VHQ").T[:, : whole.shape[1]]
    np.testing.assert_allclose(whole[:, : direct.shape[1]], direct, atol=1e-6)
    resampler, pieces, start = audio.Resampler(from_rate, to_rate, 2), [], 0
    while start < samples:
        end = start + int(generator.integers(1, 4_000))
        pieces.append(resampler.push(wave[:, start:end]))
        start = end
    pieces.append(resampler.push(wave[:, :0], last=True))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-6)
    if from_rate == to_rate:
        assert whole is wave
