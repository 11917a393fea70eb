"""What a model learns from is chosen by its quality."""

import shutil
from pathlib import Path

from training import train
from training.data.sources import audio_files
from training.prepare import select_speech

SAMPLES = Path(__file__).parents[3] / "samples"


def test_noisy_and_unreadable_recordings_of_speech_are_left_out(tmp_path, capsys):
    for kind in ("clean", "noisy"):
        shutil.copy(SAMPLES / kind / "rain.flac", tmp_path / f"{kind}.flac")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert select_speech.main([str(tmp_path), "--least", "2.9"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "clean.flac")]
    assert str(tmp_path / "broken.wav") in err


def test_training_takes_the_list(tmp_path, monkeypatch):
    chosen = [str(SAMPLES / "clean" / "rain.flac"), str(SAMPLES / "clean" / "crackling_fire.flac")]
    (tmp_path / "voices.txt").write_text("\n".join(chosen) + "\n")
    heard = []
    monkeypatch.setattr(train, "train", lambda recipe, sources, *_, **__: heard.append(sources[0]))
    command = ["--clean", f"@{tmp_path / 'voices.txt'}", "--noise", str(SAMPLES / "noisy")]
    assert train.main([*command, "--out", str(tmp_path / "run")]) == 0
    assert sorted(map(str, heard[0].clean)) == sorted(chosen)


def test_no_audio_is_a_sentence(tmp_path, capsys):
    assert select_speech.main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert audio_files([SAMPLES / "clean" / "rain.flac"]) == [SAMPLES / "clean" / "rain.flac"]
