"""The command line in process: exit codes, sentences and files; the model is a stand-in."""

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
    "text.mp3 is not audio or video that can be read, or it is damaged: choose another file, or "
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
    assert stand_in == []  # no model was loaded for it


def test_results_are_not_overwritten_without_force(capsys, recordings):
    (recordings / "voice_denoised.wav").write_text("precious")
    sentence = "voice_denoised.wav exists: give --force to overwrite it, or -o for another folder."
    assert run(capsys, "denoise", "voice.wav") == (1, [], [sentence])
    assert (recordings / "voice_denoised.wav").read_text() == "precious"
    assert run(capsys, "denoise", "voice.wav", "--force") == (0, ["voice_denoised.wav"], [])
    assert audio.info("voice_denoised.wav").seconds == 1.0


def test_out_is_made_and_of_two_results_with_one_name_the_second_is_refused(capsys, recordings):
    code, out, err = run(capsys, "denoise", "voice.wav", "deep", "-o", "a/b")
    assert code == 1
    assert out == ["a/b/voice_denoised.wav", "a/b/talk_denoised.wav"]
    assert err == [
        "deep/voice.flac is left out: a/b/voice_denoised.wav is already the result of voice.wav."
    ]


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
