"""Noisy and clean recordings find each other."""

from pathlib import Path

import numpy as np
import pytest

from denoiser import audio
from evaluation import pairs


def named(folder: Path, noisy: list[str], clean: list[str]) -> list[tuple[str, str]]:
    """Empty files in two folders -> the names that belong together."""
    for path in [folder / name for name in noisy + clean]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [(pair.noisy.name, pair.clean.name) for pair in pairs.find(folder)]


def test_layouts_of_public_test_sets(tmp_path):
    found = named(
        tmp_path / "dns",
        ["noisy/fan_snr15_tl-21_fileid_1.wav", "noisy/book_snr2_fileid_10.wav", "noisy/.DS_Store"],
        ["clean/clean_fileid_10.wav", "clean/clean_fileid_1.wav", "clean/clean_fileid_2.wav"],
    )
    assert found == [
        ("book_snr2_fileid_10.wav", "clean_fileid_10.wav"),
        ("fan_snr15_tl-21_fileid_1.wav", "clean_fileid_1.wav"),
    ]
    found = named(
        tmp_path / "voicebank",
        ["noisy_testset_wav/p232_002.wav", "noisy_testset_wav/p232_001.wav"],
        ["clean_testset_wav/p232_001.wav", "clean_testset_wav/p232_002.wav"],
    )
    assert found == [("p232_001.wav", "p232_001.wav"), ("p232_002.wav", "p232_002.wav")]
    with pytest.raises(audio.AudioError, match="b.wav: clean/ has no recording of that name"):
        named(tmp_path / "gap", ["noisy/a.wav", "noisy/b.wav"], ["clean/a.wav"])


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((1, 8001), "a.wav: the noisy and the clean file differ in rate or length."),
        ((2, 8000), "a.wav: scores are for one channel, this has 2."),
    ],
)
def test_pairs_that_cannot_be_compared_are_a_sentence(tmp_path, shape, sentence):
    lengths = {"noisy": shape, "clean": (shape[0], 8000)}
    for kind, size in lengths.items():
        (tmp_path / kind).mkdir()
        audio.write(tmp_path / kind / "a.wav", np.zeros(size, np.float32), 16000)
    with pytest.raises(audio.AudioError) as error:
        pairs.find(tmp_path)[0].read()
    assert str(error.value) == sentence
