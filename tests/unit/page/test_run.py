"""One recording through the model, and what is made of it."""

from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf
import torch
from sounds import speech_like, write_video

from denoiser import audio, loudness
from denoiser.audio import sandbox
from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.video import remux
from page import downloads, loading, results
from page.run import READING, Settings, Work, finished, run


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(0)
    entry = loading.Entry(BandUNet(BandUNetConfig(channels=16)).eval(), "small", "12345678")
    return loading.ModelRegistry(entry, tmp_path, "cpu")


@pytest.fixture
def decoded(monkeypatch):
    """The paths of all files that are decoded, in order."""
    paths, blocks = [], audio.blocks

    def counting(path, *arguments, **more):
        paths.append(str(path))
        return blocks(path, *arguments, **more)

    monkeypatch.setattr(audio, "blocks", counting)
    return paths


@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_the_upload_is_decoded_twice_for_everything_that_is_shown(
    small, decoded, tmp_path, strength
):
    """Once for its level, once for the model and all that is made of its output."""
    path = tmp_path / "talk.flac"
    sf.write(path, speech_like(3.0, 44100, 2), 44100)
    settings = Settings(strength, "small", "auto", False, "keep")
    result = finished(run(small, str(path), tmp_path, settings, shown=True))
    taken = finished(downloads.take(result, strength, "keep", "wav"))
    assert len(results.player(result, strength)["outlines"]["after"]) == 300
    assert decoded == [str(path)] * 2
    decoded.clear()
    downloads.pictures(result, 1.0)
    assert decoded == []
    noisy, enhanced = audio.read(path)[0], audio.read(result.enhanced)[0]
    expected = noisy + np.float32(strength) * (enhanced - noisy)
    assert np.abs(audio.read(taken.path)[0] - expected).max() <= 2**-16


def test_mono_decodes_the_upload_twice_as_well(small, decoded, tmp_path):
    path = tmp_path / "talk.flac"
    sf.write(path, speech_like(1.0, 16000, 2), 16000)
    finished(run(small, str(path), tmp_path, Settings(1.0, "small", "auto", True, "keep")))
    assert decoded.count(str(path)) == 2


def test_a_run_that_is_stopped_leaves_no_file(small, tmp_path):
    path, folder = tmp_path / "talk.wav", tmp_path / "work"
    folder.mkdir()
    sf.write(path, speech_like(45.0, 8000), 8000)
    work = run(small, str(path), folder, Settings(1.0, "small", "auto", False, "keep"), shown=True)
    assert 0 < next(work) < 1
    work.close()
    assert [item for item in folder.rglob("*") if item.is_file()] == []


def test_the_share_done_grows_while_the_recording_is_read_and_worked_on(small, tmp_path):
    """Step by step, so that the seconds left can be told from it soon after the start."""
    path = tmp_path / "talk.flac"
    sf.write(path, speech_like(45.0, 16000, 1), 16000)
    settings = Settings(1.0, "small", "auto", False, "keep")
    shares = np.array(list(run(small, str(path), tmp_path, settings)))
    read = shares[shares <= READING]
    assert len(read) > 10
    assert np.diff(shares).min() >= 0.01
    assert np.diff(read, prepend=0).max() < 0.02
    assert shares[-1] == 1.0


@pytest.mark.parametrize("form", ["wav", "removed", "video"])
@pytest.mark.parametrize("loudness", ["keep", "-23"])
def test_the_share_done_of_a_download_grows_to_its_end(
    small, tmp_path, monkeypatch, form, loudness
):
    """Levels, gain, sound and pictures one after another, without a step back."""
    monkeypatch.setattr(sandbox, "_inside", True)  # where a test can ask for every share
    monkeypatch.setattr(remux, "SHARE_SECONDS", -1.0)
    path = tmp_path / "talk.mp4"
    write_video(path, speech_like(40.0, 16000), 16000)
    settings = Settings(1.0, "small", "auto", False, "keep")
    result = finished(run(small, str(path), tmp_path, settings))
    making = Work(downloads.take(result, 0.5, loudness, form))
    shares = np.array(list(making))
    assert Path(making.result.path).suffix == (".mp4" if form == "video" else ".wav")
    assert shares[0] < 0.2
    assert np.diff(shares).min() >= 0
    assert shares[-1] == pytest.approx(1, abs=0.01)
    assert len(shares) > (100 if form == "video" else 4)


@pytest.mark.parametrize("target", [-16, -23])
def test_a_loudness_is_met_on_speech_with_a_loud_plosive(small, tmp_path, target):
    """Within 0.2 LU, and below -1 dBTP; the thump is five times as high as the voice."""
    path, rate = tmp_path / "talk.wav", 48000
    wave = 0.1 * speech_like(10.0, rate)[:, 0]
    t = np.arange(len(wave)) / rate
    wave += 0.9 * np.exp(-((t - 5) ** 2) / 2e-4) * np.sin(2 * np.pi * 60 * t)
    sf.write(path, wave, rate, subtype="FLOAT")
    settings = Settings(0.0, "small", "auto", False, str(target))
    result = finished(run(small, str(path), tmp_path, settings))
    taken = finished(downloads.take(result, 0.0, str(target), "wav"))
    out, _ = sf.read(taken.path, dtype="float32")
    assert np.abs(wave).max() > 5 * np.abs(wave[:rate]).max()
    assert pyloudnorm.Meter(rate).integrated_loudness(out) == pytest.approx(target, abs=0.2)
    assert loudness.true_peak(out[None]) <= 10 ** (-1 / 20)
