"""Pairs made of what training leaves out, for choosing without the pairs that score."""

from pathlib import Path

import numpy as np
import pytest
import torch

from denoiser import audio
from evaluation import pairs
from training.data import augment
from training.data.sources import Sources
from training.prepare import make_pairs

SAMPLES = Path(__file__).parents[3] / "samples"


def test_the_pairs_have_the_snr_of_their_names_and_can_be_scored(tmp_path):
    command = ["--clean", str(SAMPLES / "clean"), "--noise", str(SAMPLES / "noisy")]
    assert make_pairs.main([*command, "--count", "6", "--out", str(tmp_path / "pairs")]) == 0
    found = pairs.find(tmp_path / "pairs")
    assert len(found) == 6
    for pair, snr_db in zip(found, (-5, 0, 5, 10, 15, -5), strict=True):
        assert pair.noisy.stem.endswith(f"_{snr_db}dB")
        noisy, clean, rate = pair.read()
        assert (len(noisy), rate) == (196608, 48000)
        noise = torch.from_numpy(noisy - clean).square().mean().sqrt()
        speech = augment.active_rms(torch.from_numpy(clean)[None])[0, 0]
        assert float(20 * (speech / noise).log10()) == pytest.approx(snr_db, abs=0.1)


def test_nothing_that_is_trained_on_is_in_a_pair(tmp_path, monkeypatch):
    files = sorted((SAMPLES / "clean").glob("*.flac"))
    sources = [Sources([file], [file], []) for file in files[:2]]
    monkeypatch.setattr(make_pairs, "find_sources", lambda *_: sources)
    assert make_pairs.main(["--count", "5", "--out", str(tmp_path / "pairs")]) == 0
    for path in (tmp_path / "pairs/noisy").iterdir():
        assert path.stem[4:].startswith(files[1].stem)


def test_silent_recordings_are_a_sentence_and_no_endless_search(tmp_path, capsys):
    (tmp_path / "voices").mkdir()
    audio.write(tmp_path / "voices/silence.wav", np.zeros((1, 480000), np.float32), 48000)
    command = ["--clean", str(tmp_path / "voices"), "--noise", str(SAMPLES / "noisy")]
    assert make_pairs.main([*command, "--count", "2", "--out", str(tmp_path / "pairs")]) == 1
    few, silent = capsys.readouterr().err.splitlines()
    assert few == "Of fewer than 50 recordings training leaves none out."
    assert silent == "Only 0 pairs: the recordings of speech are mostly silent."


def test_no_audio_is_a_sentence(tmp_path, capsys):
    assert make_pairs.main(["--clean", str(tmp_path), "--noise", str(tmp_path), "--out", "x"]) == 1
    assert str(tmp_path) in capsys.readouterr().err
