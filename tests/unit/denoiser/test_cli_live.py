"""`denoiser stream` and `denoiser export`."""

import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from denoiser import audio
from denoiser.cli import main
from denoiser.stream import Stream

ROOT = Path(__file__).parents[3]


class Pipe(io.TextIOWrapper):
    """A standard stream that is no terminal."""

    def __init__(self, content: bytes = b""):
        super().__init__(io.BufferedReader(io.BytesIO(content)) if content else io.BytesIO())


@pytest.fixture(scope="module")
def noisy():
    return audio.read(ROOT / "samples" / "noisy" / "air_conditioner.flac")[0][:, :48000]


def piped(monkeypatch, content: bytes, *options: str) -> tuple[int, bytes]:
    """Exit code and stdout of `denoiser stream` for bytes on stdin."""
    out = Pipe()
    monkeypatch.setattr(sys, "stdin", Pipe(content))
    monkeypatch.setattr(sys, "stdout", out)
    code = main(["stream", *options])
    out.flush()
    return code, out.buffer.getvalue()


def expected(wave: np.ndarray, rate: int = 48000) -> np.ndarray:
    stream = Stream(sample_rate=rate, channels=len(wave))
    return np.concatenate([stream.push(wave), stream.flush()], axis=1)


def test_floats_come_out_as_the_stream_makes_them(monkeypatch, noisy):
    code, out = piped(monkeypatch, noisy.astype("<f4").tobytes(), "--format", "f32")
    assert code == 0
    assert np.abs(np.frombuffer(out, "<f4") - expected(noisy)[0]).max() < 1e-5


def test_integers_in_stereo_at_another_rate(monkeypatch, noisy):
    """Interleaved, as long as what came in, within two steps of 16 bit."""
    wave = np.stack((noisy[0, :20000], noisy[0, 20000:40000]))
    steps = np.rint(wave.T * 32768).astype("<i2")
    options = ("--rate", "44100", "--channels", "2")
    code, out = piped(monkeypatch, steps.tobytes() + b"\0", *options)
    assert code == 0
    got = np.frombuffer(out, "<i2").reshape(-1, 2).T
    want = expected((steps.T / np.float32(32768)).astype(np.float32), 44100)
    assert np.abs(got - 32768 * want).max() < 2


def test_strength_0_gives_every_16_bit_sample_back(monkeypatch):
    steps = np.random.default_rng(0).integers(-32768, 32768, 5000).astype("<i2")
    assert piped(monkeypatch, steps.tobytes(), "--strength", "0") == (0, steps.tobytes())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "band"], "Stream needs a causal model"),
        (["--model", "nothing"], "No checkpoint at nothing"),
        (["--model", "nothing.onnx"], "nothing.onnx cannot be read"),
        (["--rate", "5"], "Stream takes 4000 to 768000 Hz, got 5."),
        (["--channels", "9"], "Stream takes 1 to 8 channels, got 9."),
        (["--format", "f32"], "Stream takes finite samples, got NaN or infinity."),
    ],
)
def test_what_it_cannot_take_is_one_sentence_and_nothing_comes_out(
    monkeypatch, capsys, options, sentence
):
    assert piped(monkeypatch, np.full(3, np.nan, "<f4").tobytes(), *options) == (1, b"")
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert error.count("\n") == 1


class Card(types.ModuleType):
    """sounddevice with one card, which hears `heard` and then goes away."""

    class PortAudioError(Exception):
        pass

    def __init__(self, heard: np.ndarray):
        super().__init__("sounddevice")
        self.heard, self.played = heard, []

    def query_devices(self):
        return "  0 Microphone of a test"

    def InputStream(self, **options):
        return self._opened(options)

    OutputStream = InputStream

    def _opened(self, options):
        if options["device"] == "none":
            raise ValueError("No device matching 'none'")
        self.blocksize = options["blocksize"]
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, count):
        if not self.heard.shape[1]:
            raise KeyboardInterrupt
        piece, self.heard = self.heard[:, :count], self.heard[:, count:]
        return piece.T, True

    def write(self, samples):
        self.played.append(samples.T)


def test_from_a_microphone_to_a_loudspeaker(monkeypatch, capsys, noisy):
    """In hops of 16 ms; what a slow machine loses is said once; Ctrl+C ends it."""
    card = Card(noisy)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    code = main(["stream", "--input", "0", "--output", "default"])
    played = np.concatenate(card.played, axis=1)
    assert code == 130
    assert card.blocksize == 768
    assert played.shape[1] > 48000 - 2 * 768
    assert np.abs(played - expected(noisy)[:, : played.shape[1]]).max() < 1e-5
    assert capsys.readouterr().err.count("too slow for live sound") == 1


def test_devices_are_named_and_those_that_are_not_there_refused(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", Card(np.zeros((1, 0), np.float32)))
    assert main(["stream", "--list"]) == 0
    assert main(["stream", "--input", "none", "--output", "0"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "  0 Microphone of a test\n"
    assert captured.err.startswith("The microphone none cannot be opened (No device matching")


def test_without_sounddevice_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["stream", "--input", "0", "--output", "0"]) == 1
    said = "This needs sounddevice, which is not installed: pip install 'speech-denoiser[live]'.\n"
    assert capsys.readouterr().err == said


def test_a_model_that_hears_ahead_is_not_exported(tmp_path, capsys):
    target = tmp_path / "live.onnx"
    assert main(["export", str(ROOT / "checkpoints" / "band"), "-o", str(target)]) == 1
    assert "contains no causal model" in capsys.readouterr().err
