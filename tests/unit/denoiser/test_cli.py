"""The command line in process: exit codes, sentences and files; the model is a stand-in."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import denoiser
from denoiser import audio, checkpoint, offline, plot
from denoiser.cli import main

RATE = 16_000


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """A model that halves what it hears, and the calls that were made with it."""
    calls = []

    def load(source=None, device="auto"):
        calls.append(("load", source, device))
        if source is not None:
            raise checkpoint.CheckpointError(f"{source} holds no config.json: choose another.")
        return "model"

    def denoise_file(model, source, target, *, strength=1.0, notify=None):
        calls.append((model, source.name, strength))
        about = audio.info(source)
        with audio.Writer(target, about.sample_rate, about.channels, about.subtype) as writer:
            for block in audio.blocks(source):
                writer.write(block / 2)
                yield 0.5
        yield 1.0

    monkeypatch.setattr(denoiser, "load", load)
    monkeypatch.setattr(offline, "denoise_file", denoise_file)
    return calls


@pytest.fixture(autouse=True)
def recordings(tmp_path, monkeypatch):
    """voice.wav, text.mp3, deep/voice.flac and deep/er/talk.mp3 in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    wave = np.full((1, RATE), 0.5, np.float32)
    for name in ("voice.wav", "deep/voice.flac", "deep/er/talk.mp3"):
        audio.write(tmp_path / name, wave, RATE)
    (tmp_path / "text.mp3").write_text("This is not music.\n" * 500)
    (tmp_path / "notes.txt").write_text("nor is this")
    return tmp_path


def run(capsys, *arguments) -> tuple[int, list[str], list[str]]:
    """Exit code, lines on stdout, lines on stderr."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def denoised(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*_denoised*"))


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
    sentence = "empty holds no audio or video file: nothing to denoise there."
    assert run(capsys, "denoise", "empty") == (1, [], [sentence])
    (recordings / "empty" / "a.txt").write_text("no sound")
    (recordings / "empty" / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\0")
    sentence = (
        "empty holds no audio or video file, only a.txt and 1 more, in which no sound was found."
    )
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
    assert capsys.readouterr().err.endswith("an empty name is no file or folder\n")


def test_results_are_not_overwritten_without_force(capsys, recordings):
    (recordings / "voice_denoised.wav").write_text("precious")
    sentence = "voice_denoised.wav exists: give --force to overwrite it, or -o for another folder."
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
        renamed = [line.split(" becomes ")[0] for line in err]
        pairs = zip(names, results, strict=True)
        assert renamed == [name for name, result in pairs if result != Path(name).stem[:242]]


def test_what_is_to_be_denoised_is_not_overwritten(capsys, recordings):
    audio.write("voice_denoised.wav", np.ones((1, 800), np.float32), RATE)
    code, out, err = run(capsys, "denoise", "voice.wav", "voice_denoised.wav", "--force")
    assert (code, out) == (1, ["voice_denoised_denoised.wav"])
    assert err == [
        "voice_denoised.wav is to be denoised itself: give -o for the result of voice.wav."
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


def test_a_bad_checkpoint(capsys, recordings):
    code, out, err = run(capsys, "denoise", "voice.wav", "--model", "deep")
    assert (code, out, err) == (1, [], ["deep holds no config.json: choose another."])
    assert denoised(recordings) == []


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
        "The three files differ in length, channels or sample rate: 16000 x 1 at 16000 Hz, "
        "100 x 2 at 8000 Hz, 16000 x 1 at 16000 Hz; give three versions of one recording."
    ]
    assert run(capsys, "plot", "voice.wav", "text.mp3", "voice.wav", "-o", "images") == (
        1,
        [],
        [BAD_TEXT],
    )
    assert not (recordings / "images").exists()
