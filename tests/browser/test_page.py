"""The page as its visitors meet it, in a real browser with a microphone."""

import os
import re
import threading
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from conftest import until
from sounds import noise, speech_like, write_video
from visitor import choose, denoise, download, upload, wait_for_result

from page import layout, results, server, session


@pytest.fixture
def quickly_forgetting(models, cache, monkeypatch):
    """The address of a server that looks ten times a second for what is to be deleted."""
    monkeypatch.setattr(session, "SWEEP_SECONDS", 0.1)
    page = layout.build(models)
    server.serve(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


def test_record_denoise_listen_and_download(page, cache, tmp_path):
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2000)
    page.locator("#recording").get_by_role("button", name="Stop").click()
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    denoise(page)
    wait_for_result(page)
    sent = max(cache.glob("*/audio.wav"), key=lambda path: path.stat().st_mtime)
    result = download(page, tmp_path)
    assert result.name == "audio_denoised.wav"
    before, after = sf.info(sent), sf.info(result)
    assert after.frames == before.frames > 1.5 * 48000
    assert (after.samplerate, after.channels) == (48000, before.channels)
    heard = sf.read(sent, always_2d=True)[0][:, 0]
    assert np.abs(heard).max() > 0.1, "the fake microphone was silent"
    stretches = heard[len(heard) // 960 * -480 :].reshape(-1, 480)  # the second half, by 10 ms
    pauses = np.quantile(np.sqrt(np.square(stretches).mean(1)), 0.1)
    assert pauses > 0.02, "the browser took some of the noise (0.03) before us"


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


def test_before_after_and_removed_are_heard_in_step(page, tmp_path):
    """A stereo recording, keys, and the mouse; the slider is heard without the server."""
    page.add_init_script(LISTEN)
    page.reload()
    sf.write(tmp_path / "hiss.wav", noise(8 * 48000, 2).T, 48000)
    upload(page, tmp_path / "hiss.wav")
    denoise(page)
    wait_for_result(page)
    page.locator("h1").click()
    page.keyboard.press("1")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()

    def level() -> float:
        """Of a second that has been played since."""
        now = page.evaluate("ears.context.currentTime")
        page.wait_for_function("then => ears.context.currentTime > then + 1", arg=now)
        return page.evaluate("level()")

    before = level()
    assert before == pytest.approx(0.1 / np.sqrt(2), rel=0.15)  # both sides mixed to one
    page.keyboard.press("3")
    assert page.get_by_role("button", name="Removed").get_attribute("aria-pressed") == "true"
    removed = level()
    assert removed == pytest.approx(before, rel=0.1)  # hiss alone is nearly all removed
    page.get_by_role("button", name="After", exact=True).click()
    after = level()
    assert after < 0.1 * before
    page.route("**/queue/join*", lambda route: None)  # from here on the server hears nothing
    page.locator(".run input[type=range]").first.fill("0")
    assert level() == pytest.approx(before, rel=0.1)


def test_strength_and_format_change_the_download_without_the_model(page, noisy, tmp_path):
    upload(page, noisy)
    denoise(page)
    wait_for_result(page)
    page.locator(".run input[type=range]").first.press("Home")
    page.get_by_text("Almost nothing was removed").wait_for()
    page.get_by_label("With DNSMOS").check()
    page.locator("#report").get_by_text("DNSMOS overall").wait_for()
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)
    page.get_by_label("Format").click()
    page.get_by_role("option", name="FLAC").click()
    until(lambda: download(page, tmp_path).suffix == ".flac")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)


def test_a_strength_chosen_during_the_run_is_that_of_everything(page, slow, noisy, tmp_path):
    upload(page, noisy)
    denoise(page)
    page.get_by_text("s left").wait_for()
    page.locator(".run input[type=range]").first.press("Home")
    slow.set()
    wait_for_result(page)
    page.get_by_text("Almost nothing was removed").wait_for()
    sent, _ = sf.read(noisy, dtype="int32")
    until(lambda: np.array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent))


def test_a_strength_chosen_while_another_is_at_work_is_the_one_that_stays(
    page, noisy, tmp_path, monkeypatch
):
    upload(page, noisy)
    denoise(page)
    wait_for_result(page)
    quick, taken, done, go_on = results.take, [], [], threading.Event()

    def slow(result, strength, *form):
        taken.append(strength)
        go_on.wait(60)
        path = quick(result, strength, *form)
        done.append(strength)
        return path

    monkeypatch.setattr(results, "take", slow)
    strength = page.locator(".run input[type=range]").first
    strength.press("ArrowLeft")
    until(lambda: taken)
    strength.press("Home")
    go_on.set()
    until(lambda: 0 in done and len(done) == len(taken))
    sent, _ = sf.read(noisy, dtype="int32")
    until(lambda: np.array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent))
    assert taken[0] == pytest.approx(0.95)
    assert len(taken) <= 4  # file and pictures at either strength


def test_stop_leaves_the_page_ready(page, slow, noisy, monkeypatch):
    upload(page, noisy)
    denoise(page)
    page.get_by_text("s left").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("s left").wait_for(state="detached")  # the run itself would never end
    assert not page.locator("#player").is_visible()
    monkeypatch.undo()
    denoise(page)
    wait_for_result(page)


def test_a_video_comes_back_as_a_video_and_a_bad_file_is_named(page, tmp_path):
    movie, letter = tmp_path / "movie.mp4", tmp_path / "letter.mp3"
    write_video(movie, speech_like(1.0, 48000))
    other = page.locator("input[data-testid$=upload-button]").first
    other.set_input_files(str(movie))
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    denoise(page)
    wait_for_result(page)
    assert download(page, tmp_path).name == "movie_denoised.wav"
    choose(page, "Format", "The video with the new sound")
    until(lambda: download(page, tmp_path).suffix == ".mp4")
    with av.open(str(movie)) as before, av.open(str(tmp_path / "movie_denoised.mp4")) as after:
        pictures = [
            [bytes(packet) for packet in container.demux(container.streams.video[0])]
            for container in (before, after)
        ]
        assert pictures[0] == pictures[1]
        assert len(after.streams.audio) == 1

    letter.write_text("This is a letter, not a sound.")
    other.set_input_files(str(letter))
    page.locator("#recording audio[src*=letter]").wait_for(state="attached")
    denoise(page)
    page.get_by_text("letter.mp3 is not audio").wait_for()
    assert not page.locator("#pictures").is_visible()


def test_files_are_deleted_in_time_but_examples_stay(
    page, quickly_forgetting, cache, tmp_path, monkeypatch
):
    def files() -> set[Path]:  # rglob fails where a folder is deleted meanwhile
        return {Path(folder, name) for folder, _, names in os.walk(cache) for name in names}

    def folders() -> set[str]:
        return {folder for folder, _, _ in os.walk(cache)}

    before, there = files(), folders()

    def kept() -> set[str]:
        return {path.name for path in files() - before}

    page.goto(quickly_forgetting)
    sf.write(tmp_path / "fleeting!.wav", speech_like(1.2, 16000), 16000)
    upload(page, tmp_path / "fleeting!.wav")
    denoise(page)
    wait_for_result(page)
    made = {
        "enhanced.wav",
        "outline.json",
        "pictures.npz",
        "preview.flac",
        "fleeting!_denoised.wav",
        "before.png",
        "after.png",
    }
    made |= {"report-100.json"}
    assert kept() == {"fleeting.wav", "fleeting!.wav"} | made  # Gradio's name, the visitor's
    monkeypatch.setattr(session, "KEPT_SECONDS", 0.1)
    until(lambda: not kept())
    until(lambda: not folders() - there)
    monkeypatch.setattr(session, "KEPT_SECONDS", 3600)
    page.get_by_role("button", name="Rain").click()
    denoise(page)
    wait_for_result(page)
    assert download(page, tmp_path).name == "rain_denoised.wav"


def test_noise_is_added_to_a_clean_recording_and_replaced_by_the_next(page, cache, tmp_path):
    clean = speech_like(3.0, 16000)
    sf.write(tmp_path / "clean.wav", clean, 16000, subtype="FLOAT")
    upload(page, tmp_path / "clean.wav")
    page.get_by_text("A link, or noise for a clean recording").click()
    made = set()
    for _ in range(2):
        with page.expect_response(lambda response: re.search("tmp.*clean.wav", response.url)):
            page.get_by_role("button", name="Add this noise").click()
        (path,) = set(cache.glob("tmp*/clean.wav")) - made
        made.add(path)
        wave, rate = sf.read(path, dtype="float32", always_2d=True)
        noise = wave - clean
        assert np.abs(wave).max() < 0.98  # not turned down
        assert rate == 16000
        active = np.sqrt(np.square(clean[clean[:, 0] != 0]).mean())
        assert 20 * np.log10(active / np.sqrt(np.square(noise).mean())) == pytest.approx(5, abs=4)


def test_several_files_with_a_bad_one_among_them(page, noisy, tmp_path):
    (tmp_path / "letter.txt").write_text("This is a letter, not a sound.")
    sf.write(tmp_path / "second.flac", speech_like(1.0, 16000), 16000)
    names = [noisy, tmp_path / "letter.txt", tmp_path / "second.flac"]
    page.get_by_role("tab", name="Several files").click()
    page.locator("#files input[type=file]").set_input_files([str(name) for name in names])
    page.get_by_role("button", name="Denoise all").click()
    page.locator("#table").get_by_text("letter.txt is not audio").wait_for()
    with page.expect_download() as waiting:
        page.locator("#archive a").first.click()
    waiting.value.save_as(tmp_path / "denoised.zip")
    with zipfile.ZipFile(tmp_path / "denoised.zip") as bundle:
        assert bundle.namelist() == ["inter.view_denoised.wav", "second_denoised.wav"]


def test_closing_the_tab_stops_the_work(browser, url, cache, slow, noisy):
    page = browser.new_context().new_page()
    page.goto(url)
    upload(page, noisy)
    before = {path.name for path in cache.glob("tmp*")}
    denoise(page)
    page.get_by_text("s left").wait_for()
    assert {path.name for path in cache.glob("tmp*")} != before
    page.context.close()
    until(lambda: {path.name for path in cache.glob("tmp*")} == before)
