"""There is always a sign of what goes on, where a person sees it, and nothing of it is stale."""

import re

import numpy as np
import pytest
import soundfile as sf
from conftest import until
from sounds import speech_like
from visitor import download, is_seen, ten_looks, upload, wait_for_result

VIEWS = [{"width": 1280, "height": 800}, {"width": 390, "height": 844}]


def test_a_bar_is_seen_in_each_of_ten_looks_and_what_it_says_goes_on(page, slow, noisy):
    """On a wide and on a narrow screen."""
    upload(page, noisy)
    page.locator("#status .stop").wait_for()
    said = set()

    def look():
        assert is_seen(page, "#status .bar")
        said.add(page.locator("#status .what").inner_text())
        assert is_seen(page, "#status .what", 60)

    for size in VIEWS:
        page.set_viewport_size(size)
        ten_looks(look, slow)
    until(lambda: look() or len(said) >= 3)


def test_a_second_visitor_sees_a_place_in_line(page, url, slow, noisy):
    upload(page, noisy)
    page.locator("#status .what").get_by_text("left").wait_for()
    with page.context.new_page() as other:
        other.goto(url)
        other.get_by_role("button", name="Rain").click()
        what = other.locator("#status .what")
        what.get_by_text("2nd in line, about").wait_for()

        def look():
            assert is_seen(other, "#status .bar")
            assert re.match(r"2nd in line, about \d+ (s|min)", what.inner_text())

        ten_looks(look, slow)
        page.get_by_role("button", name="Stop", exact=True).click()
        what.get_by_text(re.compile("in line")).wait_for(state="hidden")


def test_a_short_clip_does_not_wait_for_a_long_file(page, url, tmp_path):
    sf.write(tmp_path / "long.flac", np.tile(speech_like(10.0, 16000), (40, 1)), 16000)
    upload(page, tmp_path / "long.flac")
    page.locator("#status .what").get_by_text("left").wait_for(timeout=60000)
    with page.context.new_page() as other:
        other.goto(url)
        other.get_by_role("button", name="Rain").click()
        wait_for_result(other, "rain.flac")
        assert page.locator("#status .stop").is_visible()  # the long one is still at work
    page.get_by_role("button", name="Stop", exact=True).click()


def test_stop_says_so_and_keeps_the_last_result(page, noisy, tmp_path, request):
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    assert not page.locator("#status .stop").is_visible()  # nothing runs
    request.getfixturevalue("slow")
    upload(page, noisy)
    assert page.locator("body").get_attribute("data-result") == "old"
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#status .what").get_by_text("Stopped.").first.wait_for()
    assert not page.locator("#status .stop").is_visible()
    assert page.locator("body").get_attribute("data-result") == "here"
    assert page.locator("#player .title").inner_text() == "rain.flac"
    assert download(page, tmp_path).name == "rain_denoised.wav"
    assert page.locator("#box .choose").is_visible()


# It scrolls, until it is where it was a frame before
STANDS = "() => window.scrolledTo === scrollY || void (window.scrolledTo = scrollY)"


@pytest.mark.parametrize("size", VIEWS)
def test_the_result_comes_into_view_with_the_focus_on_play(page, noisy, size):
    page.set_viewport_size(size)
    upload(page, noisy)
    wait_for_result(page, "inter.view.wav")
    assert page.evaluate("document.activeElement.classList.contains('play')")
    parts = [f"#player .{name}" for name in ("title", "facts", "sides", "picture")]
    until(lambda: all(is_seen(page, part) for part in parts))
    page.wait_for_function(STANDS)
    assert [part for part in parts if not is_seen(page, part)] == []
    assert is_seen(page, "#player .play", 40)
    assert page.locator("#status .said").inner_text() == "Result ready"


def test_the_upload_says_how_much_of_it_has_arrived(page, tmp_path):
    sf.write(tmp_path / "large.wav", speech_like(60.0, 48000), 48000)
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_500_000}
    session.send("Network.emulateNetworkConditions", slow)
    upload(page, tmp_path / "large.wav")
    page.locator("#status .what").get_by_text(re.compile(r"Uploading [1-9]\d? %")).first.wait_for()
    assert is_seen(page, "#status .bar")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#status .what").get_by_text("Stopped.").first.wait_for()


def test_closing_the_tab_stops_the_work(browser, url, cache, slow, noisy):
    page = browser.new_context().new_page()
    page.goto(url)
    before = {path.name for path in cache.glob("tmp*")}
    upload(page, noisy)
    page.locator("#status .what").get_by_text("left").wait_for()
    assert {path.name for path in cache.glob("tmp*")} != before
    page.context.close()
    until(lambda: {path.name for path in cache.glob("tmp*")} == before)


def test_many_runs_leave_one_audio_and_one_audiocontext(empty, url):
    count = """
    window.made = { Audio: 0, AudioContext: 0 };
    for (const name of Object.keys(window.made))
      window[name] = new Proxy(window[name], {
        construct(target, arguments) {
          window.made[name] += 1;
          return new target(...arguments);
        },
      });
    """
    page = empty
    page.add_init_script(count)
    page.goto(url)
    for _ in range(3):
        if page.locator("#box .change").is_visible():
            page.locator("#box .change").click()
        page.get_by_role("button", name="Rain").click()
        page.locator("#status .stop").wait_for()
        wait_for_result(page, "rain.flac")
        page.get_by_role("button", name="Pause").wait_for()
    assert page.evaluate("made") == {"Audio": 1, "AudioContext": 1}


def test_the_player_is_quiet_in_another_tab_and_while_another_sounds(page):
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("tab", name="Many files").click()
    until(lambda: page.evaluate("denoiser.sound.audio.paused"))


def test_a_click_on_the_picture_seeks_and_keys_do(page):
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    page.get_by_role("button", name="Pause").click()
    picture = page.locator("#player .picture")
    box = picture.bounding_box()
    picture.click(position={"x": 34 + (box["width"] - 34) / 2, "y": 100})
    now = "denoiser.sound.audio.currentTime"
    assert page.evaluate(now) == pytest.approx(
        page.evaluate("denoiser.sound.audio.duration") / 2, abs=0.1
    )
    picture.press("Home")
    assert page.evaluate(now) == 0
    page.get_by_role("button", name="Forward 5 s").click()
    assert page.evaluate(now) == pytest.approx(5, abs=0.05)
    page.get_by_role("button", name="Loop").click()
    assert page.evaluate("denoiser.sound.audio.loop") is True
    page.get_by_label("Speed").select_option("1.5")
    assert page.evaluate("denoiser.sound.audio.playbackRate") == 1.5


def test_the_bar_never_goes_back(page):
    """Between two signs of the server it goes on as expected, and a late sign is no step back."""
    page.evaluate("""() => {
      const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
      tell("denoiser:run", { run: "one", name: "x" });
      tell("denoiser:status", { run: "one", state: "working", share: 0.5, left: 60 });
      tell("denoiser:status", { run: "one", state: "working", share: 0.4, left: 60 });
    }""")
    assert page.locator("#status .what").inner_text().startswith("50 %")
    page.evaluate("""() => {
      const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
      tell("denoiser:run", { run: "two", name: "x" });
      tell("denoiser:status", { run: "two", state: "working", share: 0.1, left: 60 });
    }""")
    assert page.locator("#status .what").inner_text().startswith("10 %")
