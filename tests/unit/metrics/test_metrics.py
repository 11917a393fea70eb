"""Scores against their definitions, the packages they come from, and stored values."""

from pathlib import Path

import numpy as np
import pytest

from denoiser import audio, metrics
from denoiser.metrics import composite

RATE = 16000
SAMPLES = Path(__file__).parents[3] / "samples"


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


@pytest.mark.parametrize("metric", [metrics.pesq, metrics.pesq_nb, metrics.stoi, metrics.estoi])
def test_scores_rise_with_the_snr_and_end_at_the_top(metric):
    scores = []
    for snr_db in (-5, 5, 15):
        enhanced, clean = noisy(snr_db)
        scores.append(metric(enhanced=enhanced, clean=clean, sample_rate=RATE))
    best = metric(enhanced=voice(), clean=voice(), sample_rate=RATE)
    assert scores == sorted(scores)
    assert scores[-1] < best
    top = {metrics.pesq: 4.64, metrics.pesq_nb: 4.55}.get(metric, 1.0)
    assert best == pytest.approx(top, abs=0.01)


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


@pytest.mark.parametrize(
    ("name", "stored"),
    [  # llr, wss, segmental SNR, by a plain transcription of the published loops over frames
        ("voicebank_p232_242", (1.600023, 33.583087, -5.192493)),
        ("rain", (2.104641, 19.977014, -2.995251)),
    ],
)
def test_parts_of_the_composite_scores_of_real_recordings(name, stored):
    waves = []
    for kind in ("noisy", "clean"):
        wave, rate = audio.read(SAMPLES / kind / f"{name}.flac")
        waves.append(audio.resample(wave, rate, RATE)[0])
    parts = (composite.llr, composite.wss, composite.segmental_snr)
    assert [part(*waves) for part in parts] == pytest.approx(stored, abs=1e-5)


def test_opinions_of_a_real_recording():
    """Of the same method, the means of 60 such pairs are CSIG 3.01, CBAK 2.32, COVL 2.36."""
    enhanced, rate = audio.read(SAMPLES / "noisy/voicebank_p232_242.flac")
    clean, _ = audio.read(SAMPLES / "clean/voicebank_p232_242.flac")
    scores = metrics.opinions(enhanced=enhanced[0], clean=clean[0], sample_rate=rate)
    stored = {"pesq": 1.26044, "csig": 1.90438, "cbak": 1.67428, "covl": 1.55436}
    assert scores == pytest.approx(stored, abs=1e-3)


def test_composite_regressions_by_hand():
    scores = composite.combine(pesq=2.0, llr=1.0, wss=50.0, seg_snr=5.0)
    assert scores == pytest.approx({"csig": 2.82, "cbak": 2.555, "covl": 2.342}, abs=1e-9)
    assert set(composite.combine(4.6, 0.0, 0.0, 35.0).values()) == {5.0}
    assert set(composite.combine(1.0, 5.0, 200.0, -10.0).values()) == {1.0}


def test_llr_of_noise_and_filtered_noise_is_what_the_filter_costs(monkeypatch):
    """The predictor of x[n] = 0.8 x[n-1] + w[n] leaves 1 + 0.8^2 of white noise: ln 1.64."""
    monkeypatch.setattr(composite, "KEPT", 1.0)
    white, red = np.random.default_rng(0).standard_normal((2, 10 * RATE))
    own = composite.llr(red, white)  # what estimating 16 coefficients from 30 ms costs
    for n in range(1, len(red)):
        red[n] += 0.8 * red[n - 1]
    assert composite.llr(red, white) - own == pytest.approx(np.log(1.64), abs=0.05)
    assert composite.llr(3 * white, white) == pytest.approx(0, abs=1e-6)


def test_wss_sees_slopes_and_not_levels():
    _, clean = noisy(0)
    assert composite.wss(clean, clean) == 0
    white = np.random.default_rng(0).standard_normal(3 * RATE)
    assert composite.wss(0.5 * white, white) == pytest.approx(0, abs=1e-6)
    assert composite.wss(np.cumsum(white), white) > 10


@pytest.mark.parametrize(("error", "snr_db"), [(0.1, 20), (1e-3, 35), (10, -10)])
def test_segmental_snr_by_hand_and_its_limits(error, snr_db):
    clean = np.random.default_rng(0).standard_normal(RATE)
    score = composite.segmental_snr(clean * (1 + error), clean)
    assert score == pytest.approx(snr_db, abs=1e-3)


def test_silence_in_the_clean_recording_says_nothing_about_the_voice():
    """Half of all frames without a sample that is not zero: the other half decides alone."""
    voiced, clean = noisy(10)
    silence = np.zeros_like(clean)
    alone = composite.llr(voiced, clean)
    both = composite.llr(np.append(voiced, silence), np.append(clean, silence))
    assert both < alone
    scores = metrics.opinions(
        enhanced=np.append(voiced, silence),
        clean=np.append(clean, silence),
        sample_rate=RATE,
    )
    assert all(np.isfinite(score) for score in scores.values())


def test_too_little_for_a_frame_is_a_sentence():
    with pytest.raises(ValueError, match="need at least 600 samples, got 599"):
        composite.wss(np.ones(599), np.ones(599))


def test_dnsmos_is_what_speechmos_says_of_the_clipped_wave_at_16_khz():
    wave, rate = audio.read(SAMPLES / "noisy/voicebank_p232_242.flac")
    wave = np.tile(wave[0], 6)[: round(9.1 * rate)]  # just what it listens to at once
    stored = {"ovrl": 1.4110, "sig": 2.2923, "bak": 1.3538, "p808": 2.3841}
    assert metrics.dnsmos(enhanced=wave, sample_rate=rate) == pytest.approx(stored, abs=2e-3)
    clipped = metrics.dnsmos(enhanced=np.clip(40 * wave, -1, 1), sample_rate=rate)
    assert metrics.dnsmos(enhanced=40 * wave, sample_rate=rate) == clipped


@pytest.mark.parametrize("name", ["si_sdr", "pesq", "pesq_nb", "stoi", "estoi", "opinions"])
def test_scores_of_anything_but_mono_signals_of_one_length_are_refused(name):
    wave = np.zeros(RATE, np.float32)
    for enhanced, clean in ((wave[:, None], wave[:, None]), (wave[None], wave), (wave, wave[1:])):
        with pytest.raises(ValueError, match="expected mono signals") as refusal:
            getattr(metrics, name)(enhanced=enhanced, clean=clean, sample_rate=RATE)
        assert str(refusal.value).endswith(f"got {enhanced.shape} and {clean.shape}")
    with pytest.raises(ValueError, match="expected mono signals"):
        metrics.dnsmos(enhanced=wave[None], sample_rate=RATE)
