"""The command line in process, with a stand-in for the model."""

import pytest

RATE = 16_000


@pytest.fixture
def stand_in(monkeypatch):
    """A model that halves what it hears, and the calls that were made with it."""
    import denoiser
    from denoiser import audio, checkpoint, offline

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


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """voice.wav, text.mp3, deep/voice.flac and deep/er/talk.mp3 in the working folder."""
    import numpy as np

    from denoiser import audio

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
    from denoiser.cli import main

    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def denoised(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*_denoised*"))
