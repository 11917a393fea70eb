"""Scores against their definitions and stored values."""

import numpy as np
import pytest

from denoiser import metrics

RATE = 16000


def voice(seconds: float = 3.0) -> np.ndarray:
    """A buzz with the pitch, formants and syllables of speech: enough for PESQ and STOI."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    buzz = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t), 0, 1) * (np.sin(2 * np.pi * 0.5 * t) > -0.7)
    return (0.1 * buzz * syllables).astype(np.float32)


def noisy(snr_db: float) -> tuple[np.ndarray, np.ndarray]:
    clean = voice()
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return clean + noise, clean


@pytest.mark.parametrize("snr_db", [-5, 0, 10, 20])
def test_si_sdr_of_added_noise_is_its_snr(snr_db):
    enhanced, clean = noisy(snr_db)
    score = metrics.si_sdr(enhanced=enhanced, clean=clean, sample_rate=RATE)
    assert score == pytest.approx(snr_db, abs=0.3)  # the noise is not quite orthogonal
    louder = metrics.si_sdr(enhanced=3 * enhanced, clean=clean, sample_rate=RATE)
    assert louder == pytest.approx(score, abs=1e-4)


def test_si_sdr_by_hand():
    """Target (1, -1), error (1, 1, -1, -1) / 2 orthogonal to it: 10 log10(4 / 1)."""
    clean = np.array([1.0, -1.0, 1.0, -1.0])
    enhanced = clean + np.array([0.5, 0.5, -0.5, -0.5])
    score = metrics.si_sdr(enhanced=enhanced, clean=clean, sample_rate=RATE)
    assert score == pytest.approx(10 * np.log10(4), abs=1e-6)


@pytest.mark.parametrize("metric", [metrics.pesq, metrics.stoi, metrics.estoi])
def test_scores_rise_with_the_snr_and_end_at_the_top(metric):
    scores = []
    for snr_db in (-5, 5, 15):
        enhanced, clean = noisy(snr_db)
        scores.append(metric(enhanced=enhanced, clean=clean, sample_rate=RATE))
    best = metric(enhanced=voice(), clean=voice(), sample_rate=RATE)
    assert scores == sorted(scores)
    assert scores[-1] < best
    assert best == pytest.approx(4.64 if metric is metrics.pesq else 1.0, abs=0.01)


def test_pesq_at_48_khz_is_pesq_at_16_khz():
    from denoiser.audio import resample

    enhanced, clean = noisy(10)
    at_16 = metrics.pesq(enhanced=enhanced, clean=clean, sample_rate=RATE)
    up = {"enhanced": resample(enhanced[None], RATE, 48000)[0]}
    up["clean"] = resample(clean[None], RATE, 48000)[0]
    assert metrics.pesq(**up, sample_rate=48000) == pytest.approx(at_16, abs=0.02)


def test_pesq_of_silence_is_a_sentence():
    with pytest.raises(ValueError, match="PESQ found no speech"):
        metrics.pesq(enhanced=voice(), clean=0 * voice(), sample_rate=RATE)
