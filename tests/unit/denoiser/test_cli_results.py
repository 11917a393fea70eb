"""Where results go on the command line, and that none replaces what is not its own."""

from pathlib import Path

import numpy as np
import pytest
from command import RATE, run

from denoiser import audio, offline
from denoiser.cli import main

pytestmark = pytest.mark.usefixtures("stand_in", "recordings")


def test_a_file_that_vanishes_costs_a_sentence(capsys, recordings, monkeypatch):
    whole = offline.denoise_file

    def denoise_file(model, source, target, **options):
        if source.name == "voice.wav":
            source.unlink()
            source.open()
        return whole(model, source, target, **options)

    monkeypatch.setattr(offline, "denoise_file", denoise_file)
    code, out, err = run(capsys, "denoise", "voice.wav", "deep/voice.flac")
    assert (code, out) == (1, ["deep/voice_denoised.wav"])
    assert err == ["voice.wav cannot be read: no such file or directory."]


@pytest.mark.parametrize(
    "arguments", [["denoise", ""], ["denoise", "a.wav", "-o", ""], ["plot", "", "b", "c"]]
)
def test_an_empty_name_is_not_the_working_folder(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("the name of a file or folder is empty\n")


def test_results_are_not_overwritten_without_force(capsys, recordings):
    (recordings / "voice_denoised.wav").write_text("precious")
    sentence = "voice_denoised.wav exists: overwrite it with --force, or choose a folder with -o."
    assert run(capsys, "denoise", "voice.wav") == (1, [], [sentence])
    assert (recordings / "voice_denoised.wav").read_text() == "precious"
    assert run(capsys, "denoise", "voice.wav", "--force") == (0, ["voice_denoised.wav"], [])
    assert audio.info("voice_denoised.wav").seconds == 1.0


def test_out_is_made_and_one_folder_alone_is_spread_into_it(capsys, recordings):
    code, out, err = run(capsys, "denoise", "deep", "-o", "a/b")
    assert (code, err) == (0, [])
    assert out == ["a/b/er/talk_denoised.wav", "a/b/voice_denoised.wav"]


def test_beside_others_a_folder_keeps_its_name(capsys, recordings):
    code, out, err = run(capsys, "denoise", "voice.wav", "deep", "-o", "a/b")
    assert (code, err) == (0, [])
    assert out == [
        "a/b/voice_denoised.wav", "a/b/deep/er/talk_denoised.wav", "a/b/deep/voice_denoised.wav"
    ]  # fmt: skip


@pytest.mark.parametrize("given", [("day1", "day2"), ("../days",), ("./day1/", "../days/day2")])
def test_days_in_folders_of_their_own_stay_apart(capsys, recordings, monkeypatch, given):
    for day in ("day1", "day2"):
        (recordings / "days" / day).mkdir(parents=True)
        audio.write(recordings / "days" / day / "01.wav", np.zeros((1, 800), np.float32), RATE)
    monkeypatch.chdir(recordings / "days")
    code, out, err = run(capsys, "denoise", *given, "-o", "../out")
    assert (code, err) == (0, [])
    assert out == ["../out/day1/01_denoised.wav", "../out/day2/01_denoised.wav"]


def test_two_folders_of_one_name_are_told_apart_by_those_above(capsys, recordings):
    for person in ("anna", "berta"):
        (recordings / person / "day").mkdir(parents=True)
        audio.write(recordings / person / "day/01.wav", np.zeros((1, 800), np.float32), RATE)
    code, out, _ = run(capsys, "denoise", "anna/day", "berta/day", "-o", "out")
    assert code == 0
    assert out == ["out/anna/day/01_denoised.wav", "out/berta/day/01_denoised.wav"]


@pytest.mark.parametrize(
    ("names", "results"),
    [
        (["talk.wav", "talk.mp3"], ["talk", "talk_mp3"]),
        (["talk.wav", "talk.mp3", "talk.MP3"], ["talk", "talk_mp3", "talk-2"]),
        (["Talk.wav", "talk.wav"], ["Talk", "talk-2"]),
        (["caf\u00e9.wav", "cafe\u0301.wav"], ["caf\u00e9", "cafe\u0301-2"]),
        (["\u0130x.wav", "i\u0307x.wav"], ["\u0130x", "i\u0307x-2"]),
        (["a/01.wav", "b/01.wav", "c/01.wav"], ["01", "01-2", "01-3"]),
        (["x" * 245 + ".wav", "x" * 244 + ".wav"], ["x" * 242, "x" * 240 + "-2"]),
        (["noise.wav", "noise-2.wav", "Noise.wav"], ["noise", "noise-2", "Noise-3"]),
    ],
)
def test_no_result_replaces_another_on_any_file_system(capsys, recordings, names, results):
    for name in names:
        (recordings / name).parent.mkdir(exist_ok=True)
        audio.write(recordings / name, np.zeros((1, 800), np.float32), RATE)
    for again in ([], ["--force"]):
        code, out, err = run(capsys, "denoise", *names, "-o", "out", *again)
        assert code == 0
        assert out == [f"out/{result}_denoised.wav" for result in results]
        renamed = [line.split(" is written to ")[0] for line in err]
        pairs = zip(names, results, strict=True)
        assert renamed == [name for name, result in pairs if result != Path(name).stem[:242]]


def test_what_is_to_be_denoised_is_not_overwritten(capsys, recordings):
    audio.write("voice_denoised.wav", np.ones((1, 800), np.float32), RATE)
    code, out, err = run(capsys, "denoise", "voice.wav", "voice_denoised.wav", "--force")
    assert (code, out) == (1, ["voice_denoised_denoised.wav"])
    assert err == [
        "voice_denoised.wav is also a source: choose a folder for the result of voice.wav with -o."
    ]
    assert audio.info("voice_denoised.wav").seconds == 0.05


def test_a_name_of_255_bytes_gets_a_result(capsys, recordings):
    for name in ("x" * 251 + ".wav", "語" * 83 + ".wav"):
        (recordings / "voice.wav").rename(name)
        code, out, err = run(capsys, "denoise", name)
        assert (code, err) == (0, [])
        assert (recordings / out[0]).exists()
        assert out[0].endswith("_denoised.wav")
        (recordings / name).rename("voice.wav")


def test_a_file_named_twice_is_denoised_once(capsys, recordings):
    code, out, err = run(capsys, "denoise", "voice.wav", recordings / "voice.wav", "./voice.wav")
    assert (code, out, err) == (0, ["voice_denoised.wav"], [])


def test_a_stop_leaves_no_result(capsys, recordings, monkeypatch):
    def write(self, wave):
        raise KeyboardInterrupt

    monkeypatch.setattr(audio.Writer, "write", write)
    assert run(capsys, "denoise", "voice.wav") == (130, [], ["stopped."])
    assert sorted(path.name for path in recordings.iterdir()) == [
        "deep", "notes.txt", "text.mp3", "voice.wav"
    ]  # fmt: skip


def test_a_folder_that_cannot_be_made(capsys, recordings):
    sentence = "notes.txt/out/voice_denoised.wav cannot be written: not a directory."
    assert run(capsys, "denoise", "voice.wav", "-o", "notes.txt/out") == (1, [], [sentence])
