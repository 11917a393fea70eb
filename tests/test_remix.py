"""One run of the model, and everything the page makes of it."""

import numpy as np
import pytest

from denoiser import audio, metrics
from denoiser.remix import preview, remix
from denoiser.report import report

RATE = 16000


def speechlike(seconds: float, channels: int = 1) -> np.ndarray:
    """Half a second of a tone at -9 dBFS, half a second of pause, and so on."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 0.5 * np.sin(2 * np.pi * 400 * t) * (t % 1 < 0.5)
    return np.stack([wave / (c + 1) for c in range(channels)]).astype(np.float32)


@pytest.fixture(params=[1, 2, 3])
def files(request, tmp_path):
    """A noisy recording in 24 bit, its estimate in 32 bit float (more than one block), both."""
    clean = speechlike(12.345, request.param)
    noise = np.random.default_rng(0).standard_normal(clean.shape) * 0.01
    noisy = clean + noise.astype(np.float32)
    audio.write(tmp_path / "talk.wav", noisy, RATE, "PCM_24")
    audio.write(tmp_path / "estimate.wav", clean, RATE, "FLOAT")
    return tmp_path / "talk.wav", tmp_path / "estimate.wav", audio.read(tmp_path / "talk.wav")[0]


@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_every_strength_is_the_mixture_to_the_last_bit(files, tmp_path, strength):
    source, estimate, noisy = files
    remix(source, estimate, tmp_path / "out.wav", strength=strength)
    clean = audio.read(estimate)[0]
    expected = noisy + np.float32(strength) * (clean - noisy)
    out = audio.read(tmp_path / "out.wav")[0]
    assert np.abs(out - expected).max() <= 2**-24
    assert audio.info(tmp_path / "out.wav").subtype == "PCM_24"


def test_what_is_removed_and_what_is_kept_are_the_recording(files, tmp_path):
    source, estimate, noisy = files
    remix(source, estimate, tmp_path / "kept.wav", strength=0.6)
    remix(source, estimate, tmp_path / "removed.wav", strength=0.6, removed=True)
    both = audio.read(tmp_path / "kept.wav")[0] + audio.read(tmp_path / "removed.wav")[0]
    assert np.abs(both - noisy).max() < 2**-22


def test_the_preview_holds_both_side_by_side(files, tmp_path):
    source, estimate, noisy = files
    preview(source, estimate, tmp_path / "preview.flac")
    both, rate = audio.read(tmp_path / "preview.flac")
    clean = audio.read(estimate)[0]
    if len(noisy) > 2:
        noisy, clean = (np.repeat(x.mean(0, keepdims=True), 2, axis=0) for x in (noisy, clean))
    assert rate == RATE
    assert np.abs(both - np.concatenate((noisy, clean))).max() < 2**-15


def test_the_preview_of_a_studio_recording_is_what_browsers_play(tmp_path):
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 96000)).astype(np.float32)
    for name in ("talk.wav", "estimate.wav"):
        audio.write(tmp_path / name, wave, 96000, "FLOAT")
    preview(tmp_path / "talk.wav", tmp_path / "estimate.wav", tmp_path / "preview.flac")
    both, rate = audio.read(tmp_path / "preview.flac")
    assert (rate, both.shape) == (48000, (2, 48000))


def test_another_recording_than_the_estimates_is_refused(files, tmp_path):
    source, estimate, noisy = files
    audio.write(source, np.concatenate((noisy, noisy), axis=1), RATE)
    with pytest.raises(audio.AudioError, match="has changed"):
        remix(source, estimate, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_report_measures_floor_snr_loudness_and_peak(files):
    source, estimate, noisy = files
    clean = audio.read(estimate)[0]
    result = report(source, estimate)
    assert result["seconds"] == pytest.approx(12.345)
    assert (result["sample_rate"], result["channels"]) == (RATE, len(noisy))
    before, after = result["before"], result["after"]
    assert before["noise_floor_db"] == pytest.approx(-40, abs=0.5)  # noise of 0.01
    assert after["noise_floor_db"] == -140
    active = 10 * np.log10(np.square(clean[:, : RATE // 2]).mean())
    assert before["snr_db"] == pytest.approx(active + 40, abs=0.7)
    assert after["peak_dbfs"] == pytest.approx(-6.02, abs=0.01)
    for side, wave in (("before", noisy), ("after", clean)):
        reference = metrics.loudness(enhanced=wave.T, sample_rate=RATE)
        assert result[side]["loudness_lufs"] == pytest.approx(reference, abs=0.1)
    assert result["remark"] is None


def test_report_at_half_strength_lies_between(files):
    source, estimate, _ = files
    half = report(source, estimate, strength=0.5)
    assert half["after"]["noise_floor_db"] == pytest.approx(-46, abs=0.5)


@pytest.mark.parametrize(("kept", "start"), [(1.0, "Almost nothing"), (0.05, "Almost everything")])
def test_report_says_when_nothing_or_all_was_removed(files, kept, start):
    source, estimate, noisy = files
    audio.write(estimate, kept * noisy, RATE, "FLOAT")
    assert report(source, estimate)["remark"].startswith(start)
