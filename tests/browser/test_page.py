"""The page as its visitors meet it, in a real browser with a microphone."""

import os
import re
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from conftest import until
from sounds import noise, speech_like, write_video
from visitor import choose, download, strength, upload, wait_for_result

from denoiser import preview
from page import downloads, layout, server, session


@pytest.fixture
def quickly_forgetting(models, cache, monkeypatch):
    """The address of a server that looks ten times a second for what is to be deleted."""
    monkeypatch.setattr(session, "SWEEP_SECONDS", 0.1)
    page = layout.build(models)
    server.serve(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


def test_record_listen_and_download(page, cache, tmp_path):
    """Two clicks on the page: Record, and Finish."""
    page.get_by_role("button", name="Record", exact=True).click()
    page.locator("#box .since").get_by_text("0:02").wait_for()
    page.get_by_role("button", name="Finish and denoise").click()
    wait_for_result(page, "recording.wav")
    sent = max(cache.glob("*/recording.wav"), key=lambda path: path.stat().st_mtime)
    result = download(page, tmp_path)
    assert result.name == "recording_denoised.wav"
    before, after = sf.info(sent), sf.info(result)
    assert after.frames == before.frames > 1.5 * 48000
    assert (after.samplerate, after.channels) == (48000, before.channels)
    heard = sf.read(sent, always_2d=True)[0][:, 0]
    assert np.abs(heard).max() > 0.1, "the fake microphone was silent"
    stretches = heard[len(heard) // 960 * -480 :].reshape(-1, 480)  # the second half, by 10 ms
    pauses = np.quantile(np.sqrt(np.square(stretches).mean(1)), 0.1)
    assert pauses > 0.02, "the browser took some of the noise (0.03) before us"


def test_an_example_is_heard_after_one_click(page):
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    page.get_by_role("button", name="Pause").wait_for()
    assert page.evaluate("denoiser.sound.audio.currentTime") > 0
    facts = page.locator("#player .facts").inner_text()
    assert re.fullmatch(r"Background noise \d\d dB quieter · 0:06 · mono · done in [\d.]+ s", facts)


LISTEN = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination) {  // hear what the loudspeakers get
    window.ears = this.context.createAnalyser();
    window.ears.fftSize = 32768;
    connect.call(this, window.ears);
  }
  return connect.call(this, target, ...rest);
};
window.level = () => {  // RMS of the last two thirds of a second
  const wave = new Float32Array(32768);
  window.ears.getFloatTimeDomainData(wave);
  return Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length);
};
"""


@pytest.mark.parametrize(("lossless", "channels"), [(300, 2), (300, 1), (5, 1)])
def test_before_after_and_removed_are_heard_in_step(
    empty, url, tmp_path, monkeypatch, lossless, channels
):
    """Keys, and the mouse; the slider is heard without the server; also of a long recording.

    Long ones are played as Opus: here those of more than `lossless` seconds.
    """
    monkeypatch.setattr(preview, "LOSSLESS_SECONDS", lossless)
    page = empty
    page.add_init_script(LISTEN)
    page.goto(url)
    sf.write(tmp_path / "hiss.flac", noise(8 * 48000, channels).T, 48000)
    upload(page, tmp_path / "hiss.flac")
    wait_for_result(page)
    page.locator("#player .title").click()
    page.keyboard.press("1")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()

    def heard(least: float, most: float) -> None:
        """The level comes to lie there: a busy machine has gaps in its sound."""
        until(lambda: least < page.evaluate("level()") < most, seconds=30)

    whole = 0.1 / np.sqrt(channels)  # both sides mixed to one
    heard(0.85 * whole, 1.15 * whole)
    page.get_by_role("button", name="After", exact=True).click()
    heard(0, 0.1 * whole)
    page.keyboard.press("3")
    assert page.get_by_role("button", name="Removed noise").get_attribute("aria-pressed") == "true"
    heard(0.85 * whole, 1.15 * whole)  # hiss alone is nearly all removed
    page.keyboard.press("2")
    heard(0, 0.1 * whole)
    page.route("**/queue/join*", lambda route: None)  # from here on the server hears nothing
    strength(page).fill("0")
    heard(0.85 * whole, 1.15 * whole)


def test_strength_and_format_change_the_download_without_the_model(page, noisy, tmp_path):
    upload(page, noisy)
    wait_for_result(page)
    strength(page).press("Home")
    page.get_by_text("Almost nothing was removed").wait_for()
    page.get_by_text("Measurements").click()
    page.get_by_label("Estimate listening quality").check()
    page.locator("#report").get_by_text("Quality overall").wait_for()
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)
    choose(page, "form", "FLAC")
    path = download(page, tmp_path)
    assert path.suffix == ".flac"
    np.testing.assert_array_equal(sf.read(path, dtype="int32")[0], sent)


def test_a_strength_chosen_during_the_run_is_that_of_everything(page, slow, noisy, tmp_path):
    upload(page, noisy)
    page.locator("#status .stop").wait_for()
    page.evaluate("document.body.dataset.result = 'here'")  # the slider is with the result
    strength(page).press("Home")
    slow.set()
    wait_for_result(page, "inter.view.wav")
    page.get_by_text("Almost nothing was removed").wait_for()
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)


def test_the_download_is_never_that_from_before_the_last_change(page, noisy, tmp_path, monkeypatch):
    """From the moment something is changed the button says Preparing, and gives nothing."""
    upload(page, noisy)
    wait_for_result(page)
    quick, asked, go_on = downloads.take, [], threading.Event()

    def slow(result, strength, *rest):
        asked.append(strength)
        while not go_on.wait(0.1):
            yield 0.38
        return (yield from quick(result, strength, *rest))

    monkeypatch.setattr(downloads, "take", slow)
    button = page.locator("#download")
    strength(page).press("ArrowLeft")
    assert button.get_attribute("href") is None
    assert button.inner_text() == "Preparing WAV"
    page.get_by_text("Preparing WAV 38 %").wait_for()
    strength(page).press("Home")  # while another is at work
    choose(page, "form", "FLAC")
    assert button.inner_text() == "Preparing FLAC"
    page.get_by_text("Preparing FLAC 38 %").wait_for()
    assert button.get_attribute("href") is None
    go_on.set()
    sent, _ = sf.read(noisy, dtype="int32")
    path = download(page, tmp_path)
    assert path.suffix == ".flac"
    np.testing.assert_array_equal(sf.read(path, dtype="int32")[0], sent)
    assert asked[0] == pytest.approx(0.95)
    assert asked[-1] == 0


def test_a_loudness_that_is_asked_for_is_reached_and_said(page, tmp_path):
    """Speech with one thump of nearly full scale in it."""
    wave = speech_like(8.0, 48000) * 0.3
    t = np.arange(len(wave)) / 48000
    wave[:, 0] += 0.9 * np.exp(-((t - 4) ** 2) / 2e-4) * np.sin(2 * np.pi * 60 * t)
    sf.write(tmp_path / "plosive.wav", wave, 48000)
    upload(page, tmp_path / "plosive.wav")
    wait_for_result(page)
    choose(page, "loudness", "−16 LUFS, podcasts")
    page.locator(".reached").get_by_text("LUFS, peak").wait_for()
    said = page.locator(".reached").inner_text()
    lufs, peak = re.match(r"Your file: −([\d.]+) LUFS, peak −([\d.]+) dBTP", said).groups()
    assert float(lufs) == pytest.approx(16, abs=0.2)
    assert float(peak) >= 1
    meter = __import__("pyloudnorm").Meter(48000)
    result = sf.read(download(page, tmp_path))[0]
    assert meter.integrated_loudness(result) == pytest.approx(-float(lufs), abs=0.15)


def test_a_video_comes_back_as_a_video_and_a_bad_file_is_named(page, tmp_path):
    movie, letter = tmp_path / "movie.mp4", tmp_path / "letter.mp3"
    write_video(movie, speech_like(1.0, 48000))
    upload(page, movie)
    wait_for_result(page)
    assert page.locator("#download").inner_text() == "Download Video with clean sound"
    assert download(page, tmp_path).name == "movie_denoised.mp4"
    with av.open(str(movie)) as before, av.open(str(tmp_path / "movie_denoised.mp4")) as after:
        pictures = [
            [bytes(packet) for packet in container.demux(container.streams.video[0])]
            for container in (before, after)
        ]
        assert pictures[0] == pictures[1]
        assert len(after.streams.audio) == 1

    letter.write_text("This is a letter, not a sound.")
    upload(page, letter)
    page.locator("#box .warning").get_by_text("letter.mp3 is not a readable audio").wait_for()
    assert page.get_by_text("Error", exact=True).count() == 0
    assert page.locator("#player .title").inner_text() == "movie.mp4"  # the last result stays
    assert page.locator("body").get_attribute("data-result") == "here"


def test_files_are_deleted_in_time_but_examples_stay(
    empty, quickly_forgetting, cache, tmp_path, monkeypatch
):
    def files() -> set[Path]:  # rglob fails where a folder is deleted meanwhile
        return {Path(folder, name) for folder, _, names in os.walk(cache) for name in names}

    def folders() -> set[str]:
        return {folder for folder, _, _ in os.walk(cache)}

    before, there = files(), folders()

    def kept() -> set[str]:
        return {path.name for path in files() - before}

    page = empty
    page.goto(quickly_forgetting)
    sf.write(tmp_path / "fleeting!.wav", speech_like(1.2, 16000), 16000)
    upload(page, tmp_path / "fleeting!.wav")
    wait_for_result(page)
    made = {"enhanced.wav", "outline.json", "picture.bin", "picture.json", "pictures.npz"}
    made |= {"preview.flac", "fleeting!_denoised.wav", "report-100.json", "wav.json"}
    assert kept() == {"fleeting.wav", "fleeting!.wav"} | made  # Gradio's name, the visitor's
    monkeypatch.setattr(session, "KEPT_SECONDS", 0.1)
    until(lambda: not kept())
    until(lambda: not folders() - there)
    monkeypatch.setattr(session, "KEPT_SECONDS", 3600)
    page.locator("#box .change").click()
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    assert download(page, tmp_path).name == "rain_denoised.wav"


def test_noise_is_added_to_a_clean_recording_and_replaced_by_the_next(page, cache, tmp_path):
    clean = speech_like(3.0, 16000)
    sf.write(tmp_path / "clean.wav", clean, 16000, subtype="FLOAT")
    upload(page, tmp_path / "clean.wav")
    wait_for_result(page)
    page.get_by_text("Test with added noise").click()
    page.get_by_label("Noise", exact=True).click()
    page.get_by_role("option", name="Rain").click()
    made = set()
    for _ in range(2):
        there = set(cache.glob("tmp*/clean.wav"))
        page.get_by_role("button", name="Add this noise").click()
        until(lambda there=there: set(cache.glob("tmp*/clean.wav")) - there, seconds=20)
        (path,) = set(cache.glob("tmp*/clean.wav")) - there
        assert path not in made
        made.add(path)
        wait_for_result(page)
        wave, rate = sf.read(path, dtype="float32", always_2d=True)
        added = wave - clean
        assert np.abs(wave).max() < 0.98  # not turned down
        assert rate == 16000
        active = np.sqrt(np.square(clean[clean[:, 0] != 0]).mean())
        assert 20 * np.log10(active / np.sqrt(np.square(added).mean())) == pytest.approx(5, abs=4)
