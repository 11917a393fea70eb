"""Many files: a row for each, which says what becomes of it, plays and gives what was made."""

import re
import threading

import pytest
import soundfile as sf
from conftest import until
from sounds import speech_like, write_video
from visitor import is_seen, ten_looks

from page import downloads


@pytest.fixture
def tab(page):
    """The tab of many files."""
    page.get_by_role("tab", name="Many files").click()
    page.locator("#many .choose").wait_for()
    return page


def add(tab, *paths) -> None:
    tab.locator("#many .file").set_input_files([str(path) for path in paths])
    until(lambda: tab.locator("#many .rows li").count() == len(paths))


def words(tab, row: int) -> str:
    return tab.locator("#many .what").nth(row).inner_text()


def test_a_bad_file_has_its_sentence_and_the_others_play_and_download(tab, noisy, tmp_path):
    (tmp_path / "letter.txt").write_text("This is a letter, not a sound.")
    sf.write(tmp_path / "second.flac", speech_like(1.0, 16000), 16000)
    add(tab, noisy, tmp_path / "letter.txt", tmp_path / "second.flac")
    tab.get_by_role("button", name="Denoise all").click()
    tab.locator("#many .zip").wait_for()
    assert tab.locator("#many .tally").inner_text() == "2 of 3 done"
    assert re.fullmatch(r"0:02 · Background noise \d+ dB quieter", words(tab, 0))
    assert words(tab, 1).startswith("letter.txt is not a readable audio")
    assert tab.locator("#many .output").all_inner_texts() == [
        "→ inter.view_denoised.wav",
        "",
        "→ second_denoised.wav",
    ]
    tab.get_by_role("button", name="Play: second_denoised.wav").click()
    until(lambda: tab.evaluate("denoiser.taster.currentTime") > 0)
    with tab.expect_download() as waiting:
        tab.get_by_role("link", name="Download second_denoised.wav").click()
    waiting.value.save_as(tmp_path / "taken.wav")
    assert waiting.value.suggested_filename == "second_denoised.wav"
    assert sf.info(tmp_path / "taken.wav").frames == 16000


def test_a_row_shows_its_progress_in_each_of_ten_looks_and_stop_ends_it(tab, slow, noisy, tmp_path):
    sf.write(tmp_path / "second.flac", speech_like(1.0, 16000), 16000)
    add(tab, noisy, tmp_path / "second.flac")
    assert not tab.locator("#many .stop").is_visible()
    tab.get_by_role("button", name="Denoise all").click()
    tab.locator("#many .bar:visible").wait_for()

    def look():
        assert is_seen(tab, "#many .bar:visible")
        assert words(tab, 1) == "waiting"

    ten_looks(look, slow)
    assert tab.locator("#many .tally").inner_text() == "0 of 2 done"
    tab.get_by_role("button", name="Stop", exact=True).click()
    assert [words(tab, row) for row in range(2)] == ["Stopped.", "Stopped."]
    slow.set()
    tab.get_by_role("button", name="Denoise all").click()  # again, and to the end
    tab.locator("#many .zip").wait_for()
    assert tab.locator("#many .tally").inner_text() == "2 of 2 done"


def test_each_file_becomes_what_was_asked_for_as_far_as_it_can(tab, noisy, tmp_path):
    write_video(tmp_path / "film.mp4", speech_like(1.0, 48000))
    add(tab, noisy, tmp_path / "film.mp4")
    tab.locator("button.label-wrap:visible").filter(has_text="Settings").click()
    tab.locator("label:visible").get_by_text("Video with clean sound").click()
    tab.get_by_role("button", name="Denoise all").click()
    tab.locator("#many .zip").wait_for()
    assert tab.locator("#many .output").all_inner_texts() == [
        "→ inter.view_denoised.wav",
        "→ film_denoised.mp4",
    ]


def test_a_row_says_how_far_its_video_is_and_stop_ends_it(tab, tmp_path, monkeypatch):
    ended = threading.Event()

    def slow(*settings):
        try:
            while not ended.wait(0.1):
                yield 0.38
        finally:
            ended.set()

    monkeypatch.setattr(downloads, "take", slow)
    write_video(tmp_path / "film.mp4", speech_like(1.0, 48000))
    add(tab, tmp_path / "film.mp4")
    tab.locator("button.label-wrap:visible").filter(has_text="Settings").click()
    tab.locator("label:visible").get_by_text("Video with clean sound").click()
    tab.get_by_role("button", name="Denoise all").click()
    tab.get_by_text("Preparing Video with clean sound 38 %").wait_for()
    tab.get_by_role("button", name="Stop", exact=True).click()
    assert words(tab, 0) == "Stopped."
    assert ended.wait(30)
