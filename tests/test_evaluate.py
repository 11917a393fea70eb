"""The numbers in metrics.json come from the command that prints them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import denoiser
from denoiser import audio, checkpoint
from denoiser.unet import BandUNet, BandUNetConfig
from training import evaluate

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def band():
    return denoiser.load(device="cpu")


def test_the_published_weights_still_score_what_the_card_says(band):
    """Six recordings that the repository carries; PESQ within 0.05, SI-SDR within 0.2 dB."""
    stored = json.loads((checkpoint.DEFAULT / "metrics.json").read_text())["samples"]
    fresh = evaluate.score(band, ROOT / "samples")
    assert fresh["pairs"] == stored["pairs"] == 6
    for kind in ("noisy", "enhanced"):
        assert fresh[kind]["pesq"] == pytest.approx(stored[kind]["pesq"], abs=0.05)
        assert fresh[kind]["si_sdr"] == pytest.approx(stored[kind]["si_sdr"], abs=0.2)
    assert fresh["enhanced"]["pesq"] > fresh["noisy"]["pesq"] + 0.3
    assert fresh["enhanced"]["si_sdr"] > fresh["noisy"]["si_sdr"] + 5


def test_a_clean_voice_passes_and_noise_alone_does_not(band):
    clean, rate = audio.read(ROOT / "samples/clean/air_conditioner.flac")
    noisy, _ = audio.read(ROOT / "samples/noisy/air_conditioner.flac")
    kept = denoiser.denoise(band, clean, rate)
    assert 10 * np.log10(np.square(clean).sum() / np.square(kept - clean).sum()) > 15
    noise = noisy - clean
    left = denoiser.denoise(band, noise, rate)
    assert 10 * np.log10(np.square(left).sum() / np.square(noise).sum()) < -20


def test_the_command_prints_a_table_and_writes_its_numbers(tmp_path, capsys):
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), tmp_path / "model")
    for kind in ("noisy", "clean"):
        (tmp_path / "few" / kind).mkdir(parents=True)
        name = "voicebank_p232_242.flac"
        shutil.copy(ROOT / "samples" / kind / name, tmp_path / "few" / kind / name)
    assert evaluate.main([str(tmp_path / "model"), str(tmp_path / "few")]) == 0
    result = json.loads((tmp_path / "model/metrics.json").read_text())["few"]
    noisy = result["noisy"]
    row = f"| few (1) | noisy | {noisy['pesq']:.3f} | {noisy['estoi']:.3f} | {noisy['stoi']:.3f}"
    assert row in capsys.readouterr().out
    assert noisy["si_sdr"] == pytest.approx(0.50, abs=0.05)


def test_a_folder_without_pairs_is_a_sentence(tmp_path, capsys):
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), tmp_path / "model")
    assert evaluate.main([str(tmp_path / "model"), str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"No pairs in {tmp_path}: it needs noisy/ and clean/.\n"
