"""The tab Files of the page in web/: cleaned in the browser, never uploaded."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import until
from sounds import speech_like

import denoiser
from denoiser import audio

NOISY = Path(__file__).parents[2] / "samples" / "noisy"


def choose(page, path) -> None:
    page.get_by_role("tab", name="Files").click()
    page.locator("#files .file").set_input_files(str(path))


def save(page) -> tuple[str, np.ndarray, int]:
    """Name, samples and rate of the download."""
    with page.expect_download() as waiting:
        page.locator("#files .save").click()
    return waiting.value.suggested_filename, *audio.read(waiting.value.path())


def below_signal_db(enhanced: np.ndarray, expected: np.ndarray) -> float:
    error = np.square(enhanced.astype(np.float64) - expected).sum()
    return 10 * np.log10(np.square(expected.astype(np.float64)).sum() / error)


def test_a_file_comes_back_as_python_enhances_it(live):
    """60 dB below the signal; at strength 0 it is the recording, to its 16th bit."""
    choose(live, NOISY / "rain.flac")
    live.locator("#files .result").wait_for()
    noisy, _ = audio.read(NOISY / "rain.flac")
    stream = denoiser.Stream()
    expected = np.concatenate((stream.push(noisy), stream.flush()), axis=1)
    name, wave, rate = save(live)
    assert (name, rate, wave.shape) == ("rain_denoised.wav", 48000, noisy.shape)
    assert below_signal_db(wave, expected) > 60
    live.locator("#files .strength").fill("0")
    assert np.abs(save(live)[1] - noisy).max() < 2**-15


def test_stereo_at_another_rate_beyond_full_scale_and_in_step(live, tmp_path):
    """Both channels are cleaned at 48 kHz; what exceeds full scale is not clipped."""
    wave = 4 * speech_like(2.5, 44100, 2)
    sf.write(tmp_path / "loud.wav", wave, 44100, subtype="FLOAT")
    choose(live, tmp_path / "loud.wav")
    live.locator("#files .result").wait_for()
    _, enhanced, rate = save(live)
    assert (rate, enhanced.shape) == (48000, (2, 120_000))
    assert np.abs(enhanced).max() > 1
    live.get_by_role("button", name="Play").click()
    live.keyboard.press("1")
    live.locator("#files [data-side=original][aria-pressed=true]").wait_for()
    until(lambda: live.locator("#files .time").inner_text().startswith("0:01"), seconds=30)
    live.get_by_role("button", name="Pause").click()
    live.locator("#files .position").fill("500")
    assert live.locator("#files .time").inner_text() == "0:01 / 0:02"


def test_cancel_and_another_file(live, tmp_path):
    sf.write(tmp_path / "long.flac", speech_like(120, 48000), 48000)
    choose(live, tmp_path / "long.flac")
    live.locator("#files progress[value]").wait_for()
    live.get_by_role("button", name="Cancel").click()
    live.get_by_text("Cancelled.").wait_for()
    choose(live, NOISY / "voicebank_p232_010.flac")
    live.locator("#files .title").get_by_text("voicebank_p232_010.flac").wait_for()


@pytest.mark.parametrize("live", [{"locale": "en-GB"}, {"locale": "de-AT"}], indirect=True)
def test_what_the_browser_cannot_take_is_refused_with_a_way_out(live, tmp_path):
    german = live.evaluate("document.documentElement.lang") == "de"
    live.get_by_role("tab", name="Dateien" if german else "Files").click()
    (tmp_path / "notes.mp3").write_text("not a recording")
    live.locator("#files .file").set_input_files(str(tmp_path / "notes.mp3"))
    trouble = live.locator("#files .trouble")
    trouble.wait_for()
    codec, way_out = (
        ("Dieser Browser kann notes.mp3 nicht dekodieren.", "Server-Version")
        if german
        else ("This browser cannot decode notes.mp3.", "server version")
    )
    assert trouble.inner_text().startswith(codec)
    assert way_out in trouble.inner_text()
    with sf.SoundFile(tmp_path / "long.wav", "w", 8000, 1, "PCM_U8") as file:
        for _ in range(31):
            file.write(np.zeros(60 * 8000))
    live.locator("#files .file").set_input_files(str(tmp_path / "long.wav"))
    trouble.get_by_text("30").wait_for()
    assert way_out in trouble.inner_text()
