"""The command line in process: exit codes, sentences and files; the model is a stand-in."""

import io
import os
import sys

import numpy as np
import pytest
from command import RATE, denoised, run

from denoiser import audio, plot
from denoiser.cli import main

pytestmark = pytest.mark.usefixtures("stand_in", "recordings")


BAD_TEXT = (
    "text.mp3 is not a readable audio or video file, or it is damaged: choose another file, or "
    "export it as WAV or MP3."
)


def test_a_good_file(capsys, stand_in, recordings):
    assert run(capsys, "denoise", "voice.wav", "--strength", "0.7", "--device", "cpu") == (
        0,
        ["voice_denoised.wav"],
        [],
    )
    assert stand_in == [("load", None, "cpu"), ("model", "voice.wav", 0.7)]
    wave, rate = audio.read("voice_denoised.wav")
    assert rate == RATE
    np.testing.assert_array_equal(wave, np.full((1, RATE), 0.25, np.float32))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing.wav", "missing.wav does not exist: check the name and the folder."),
     ("text.mp3", BAD_TEXT)],
)  # fmt: skip
def test_a_bad_file_is_named_and_the_batch_goes_on(capsys, recordings, name, sentence):
    code, out, err = run(capsys, "denoise", name, "voice.wav")
    assert (code, out, err) == (1, ["voice_denoised.wav"], [sentence])
    assert denoised(recordings) == ["voice_denoised.wav"]


def test_a_folder_is_searched_for_sound_and_not_for_our_results(capsys, recordings):
    (recordings / "deep" / "._voice.flac").write_bytes(b"what macOS leaves")
    for again in ([], ["--force"]):
        code, out, err = run(capsys, "denoise", "deep", *again)
        assert (code, err) == (0, [])
        assert sorted(out) == ["deep/er/talk_denoised.wav", "deep/voice_denoised.wav"]
    assert denoised(recordings) == ["deep/er/talk_denoised.wav", "deep/voice_denoised.wav"]


def test_nothing_matched(capsys, stand_in, recordings):
    (recordings / "empty").mkdir()
    sentence = "empty contains no audio or video file: choose another folder."
    assert run(capsys, "denoise", "empty") == (1, [], [sentence])
    (recordings / "empty" / "a.txt").write_text("no sound")
    (recordings / "empty" / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\0")
    sentence = "empty contains no audio or video file, only a.txt and 1 more, without audio."
    assert run(capsys, "denoise", "empty") == (1, [], [sentence])
    assert stand_in == []  # no model was loaded for it


def test_a_folder_that_may_not_be_read_costs_a_sentence(capsys, recordings, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    code, out, err = run(capsys, "denoise", "deep")
    assert (code, out) == (1, ["deep/voice_denoised.wav"])
    assert err == ["deep/er cannot be searched: permission denied."]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", ["caf\\udce9", "語"]), ("cp1252", ["caf\\udce9", "\\u8a9e"]),
     ("ascii", ["caf\\udce9", "\\u8a9e"])],
)  # fmt: skip
def test_a_console_that_lacks_a_character_stops_nothing(
    capsys, recordings, monkeypatch, encoding, shown
):
    names = [os.fsdecode(b"caf\xe9.wav"), "語.wav"]
    for name in names:
        audio.write(recordings / name, np.zeros((1, 800), np.float32), RATE)
    console = io.TextIOWrapper(io.BytesIO(), encoding, "strict", newline="")
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["denoise", *names]) == 0
    printed = console.buffer.getvalue().decode(encoding)
    assert printed.splitlines() == [f"{name}_denoised.wav" for name in shown]
    assert all((recordings / name).with_stem(f"{name[:-4]}_denoised").exists() for name in names)


@pytest.mark.parametrize(
    ("error", "code", "sentences"),
    [(BrokenPipeError(32, "Broken pipe"), 0, []),
     (OSError(28, "No space left on device"), 1,
      2 * ["Results cannot be printed: no space left on device."])],
)  # fmt: skip
def test_a_console_that_fails_stops_nothing(
    capsys, recordings, monkeypatch, error, code, sentences
):
    class Console(io.StringIO):
        def flush(self):
            raise error

    monkeypatch.setattr(sys, "stdout", Console())
    assert main(["denoise", "voice.wav", "deep/voice.flac"]) == code
    assert capsys.readouterr().err.splitlines() == sentences
    assert denoised(recordings) == ["deep/voice_denoised.wav", "voice_denoised.wav"]


def test_without_a_console_all_is_done(recordings, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["denoise", "voice.wav", "missing.wav"]) == 1
    assert denoised(recordings) == ["voice_denoised.wav"]


def test_a_bad_checkpoint(capsys, recordings):
    code, out, err = run(capsys, "denoise", "voice.wav", "--model", "deep")
    assert (code, out, err) == (1, [], ["deep holds no config.json: choose another."])
    assert denoised(recordings) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "the following arguments are required: COMMAND"),
     (["denoise"], "the following arguments are required: FILES"),
     (["denoise", "x.wav", "--strength", "1.5"],
      "argument --strength: 1.5 is not a number from 0 to 1"),
     (["denoise", "x.wav", "--strength", "nan"],
      "argument --strength: nan is not a number from 0 to 1"),
     (["denoise", "x.wav", "--strength", "half"],
      "argument --strength: half is not a number from 0 to 1"),
     (["denoise", "x.wav", "-o", "notes.txt"],
      "argument -o/--out: notes.txt is a file, not a folder"),
     (["plot", "a", "b", "c"], "the following arguments are required: -o/--out")],
)  # fmt: skip
def test_wrong_usage(capsys, arguments, sentence):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {sentence}")


# ---- plot


def test_plot_pictures_clean_noise_mixture_and_denoised(capsys, recordings, monkeypatch):
    clean = np.linspace(-0.5, 0.5, RATE, dtype=np.float32)[None].repeat(2, axis=0)
    noise = np.array([[0.125], [0.375]], np.float32)
    for name, wave in {"clean": clean, "noisy": clean + noise, "denoised": clean / 2}.items():
        audio.write(f"{name}.wav", wave, RATE, "FLOAT")
    seen = {}
    draw = plot.compare

    def compare(waves, sample_rate):
        seen.update(waves, rate=sample_rate)
        return draw(waves, sample_rate)

    monkeypatch.setattr(plot, "compare", compare)
    code, out, err = run(capsys, "plot", "clean.wav", "noisy.wav", "denoised.wav", "-o", "images")
    assert (code, out, err) == (0, ["images/waveforms.png", "images/spectrograms.png"], [])
    assert list(seen) == ["Clean", "Noise", "Mixture", "Denoised", "rate"]
    assert seen["rate"] == RATE
    np.testing.assert_allclose(seen["Noise"], np.full(RATE, 0.25), atol=1e-7)  # mean of both sides
    for name in out:
        assert (recordings / name).read_bytes().startswith(b"\x89PNG")


def test_plot_refuses_files_that_are_not_one_recording(capsys, recordings):
    audio.write("short.wav", np.zeros((2, 100), np.float32), 8_000)
    code, out, err = run(capsys, "plot", "voice.wav", "short.wav", "voice.wav", "-o", "images")
    assert (code, out) == (1, [])
    assert err == [
        "The three files differ in length, channels or sample rate (16000 x 1 at 16000 Hz, "
        "100 x 2 at 8000 Hz, 16000 x 1 at 16000 Hz): give three versions of one recording."
    ]
    assert run(capsys, "plot", "voice.wav", "text.mp3", "voice.wav", "-o", "images") == (
        1,
        [],
        [BAD_TEXT],
    )
    assert not (recordings / "images").exists()
