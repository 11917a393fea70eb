"""Waves -> files: what can be written, whole or not at all, and what is refused."""

import numpy as np
import pytest
from sounds import noise

from denoiser import audio
from denoiser.audio import AudioError


@pytest.mark.parametrize(
    ("name", "channels", "sentence"),
    [("x.ogg", 1, "the name must end in .wav, .flac or .mp3."),
     ("x.mp3", 6, ".mp3 takes 1 to 2 channels, not 6."),
     ("x.flac", 9, ".flac takes 1 to 8 channels, not 9."),
     ("missing/x.wav", 1, "no such file or directory."),
     ("folder.wav", 1, "is a directory.")],
)  # fmt: skip
def test_what_cannot_be_written_is_said(tmp_path, name, channels, sentence):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError) as error:
        audio.write(tmp_path / name, noise(100, channels), 48_000)
    assert str(error.value) == f"{name.rpartition('/')[2]} cannot be written: {sentence}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize(
    ("wave", "sentence"),
    [(np.zeros((480_000, 2), np.float32), r"got \(480000, 2\): is it transposed\?"),
     (np.zeros(480_000, np.float32), r"shape \(channels, samples\), got \(480000,\)"),
     ([[0.0, 0.1]], r"shape \(channels, samples\), got list")],
)  # fmt: skip
def test_an_array_of_another_shape_is_refused_by_its_shape(tmp_path, wave, sentence):
    with pytest.raises(ValueError, match=sentence):
        audio.write(tmp_path / "x.wav", wave, 48_000)
    with pytest.raises(ValueError, match=sentence):
        audio.resample(wave, 48_000, 16_000)
    assert list(tmp_path.iterdir()) == []


def test_a_piece_with_its_axes_the_other_way_round_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="is it transposed"),
        audio.Writer(tmp_path / "x.wav", 48_000, 2) as writer,
    ):
        writer.write(noise(100, 2).T)


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_file_leaves_nothing_and_keeps_the_old_one(tmp_path, ending, reason):
    path = tmp_path / f"x{ending}"
    path.write_text("the old one")
    writer = audio.Writer(path, 48_000, 1)
    writer.write(noise(10_000))
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(reason), writer:
        raise reason
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "the old one"


def test_pieces_written_are_the_whole(tmp_path):
    wave = noise(20_000, 2)
    audio.write(tmp_path / "whole.flac", wave, 48_000)
    with audio.Writer(tmp_path / "pieces.flac", 48_000, 2) as writer:
        for start in range(0, 20_000, 333):
            writer.write(wave[:, start : start + 333])
    assert (tmp_path / "whole.flac").read_bytes() == (tmp_path / "pieces.flac").read_bytes()


@pytest.mark.parametrize(
    "wave",
    [np.zeros(10), np.zeros((2, 10)), np.full((1, 10), np.nan), np.zeros((1, 10), np.int16)],
)
def test_a_wave_of_the_wrong_shape_or_without_numbers_is_refused(tmp_path, wave):
    error = r"expected a wave of shape|contains NaN|expected a wave of floats"
    with (
        pytest.raises(ValueError, match=error),
        audio.Writer(tmp_path / "x.wav", 8_000, 1) as file,
    ):
        file.write(wave)
    assert list(tmp_path.iterdir()) == []


def test_what_would_end_the_mp3_encoder_and_the_program_with_it_is_refused(tmp_path):
    audio.write(tmp_path / "loud.mp3", noise(48_000) * np.float32(1e3), 48_000)
    with pytest.raises(AudioError, match="at most 10,000 times full scale"):
        audio.write(tmp_path / "louder.mp3", noise(48_000) * np.float32(1e8), 48_000)


def test_an_unknown_bit_depth_is_a_sentence(tmp_path):
    with pytest.raises(AudioError, match="'PCM_32' is not one of PCM_16, PCM_24, FLOAT"):
        audio.write(tmp_path / "x.wav", noise(10), 48_000, "PCM_32")
