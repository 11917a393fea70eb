"""What can go wrong in the page of web/: one sentence each, and what was recorded can be kept."""

import re

import pytest
from conftest import until
from playwright.sync_api import Page

from denoiser import audio

# How a browser shows each trouble, before the page's scripts run
REFUSES = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{}'))"
OTHER_RATE = """
window.AudioContext = class extends AudioContext { get sampleRate() { return 44100; } };"""
NO_CONVERSION = """AudioContext.prototype.createMediaStreamSource = () => {
  throw new DOMException("", "NotSupportedError"); };"""
NO_OUTPUT = """
AudioContext.prototype.setSinkId = () => Promise.reject(new DOMException("", "NotFoundError"));
Object.defineProperty(AudioContext.prototype, "sinkId", { get: () => "another" });"""
NO_CARD = """
AudioContext.prototype.resume = () => new Promise(() => {});
const later = setTimeout;
window.setTimeout = (call, ms, ...given) => later(call, ms === 10000 ? 0 : ms, ...given);"""
KEEPS_STREAM = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => (window.stream = await ask(wish));"""


def start(page: Page) -> None:
    page.get_by_role("button", name="Start without sound").click()


def record(page: Page) -> None:
    """A second, at least, however slow this machine is."""

    def patient(route):
        response = route.fetch()
        script = response.text()
        assert "TOO_LATE = 128;" in script
        route.fulfill(response=response, body=script.replace("TOO_LATE = 128;", "TOO_LATE = 1e9;"))

    page.route("**/line.js", patient)
    start(page)
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_text(re.compile("Finish recording 0:(0[1-9]|[1-5])")).wait_for()


def told(page: Page, words: str) -> None:
    """The sentence is in sight, and said to screen readers."""
    page.locator("#live .trouble[role=alert]").get_by_text(words).wait_for()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (REFUSES.format("NotFoundError"), "No microphone was found"),
        (REFUSES.format("NotAllowedError"), "does not allow the microphone"),
        (REFUSES.format("NotReadableError"), "another program may be using it"),
        (OTHER_RATE, "cannot play at 48 kHz"),
        (NO_CONVERSION, "set the microphone to 48 kHz"),
        (NO_OUTPUT, "choose another output"),
        (NO_CARD, "finds no sound output that works"),
        ("delete Navigator.prototype.mediaDevices", "https"),
    ],
)
def test_what_the_browser_refuses(live, script, words):
    live.add_init_script(script)
    live.reload()
    start(live)
    told(live, words)


def test_webassembly_blocked_by_a_policy(live):
    def blocked(route):
        response = route.fetch()
        policy = {"Content-Security-Policy": "script-src 'self'"}
        route.fulfill(response=response, headers=response.headers | policy)

    live.route("**/worker.js", blocked)
    start(live)
    told(live, "WebAssembly is blocked")


def test_files_missing_or_changed(live):
    def cut_off(route):
        response = route.fetch()
        route.fulfill(response=response, body=response.body()[:-1000])

    def of_other_weights(route):
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"sha256": 64 * "0"})

    live.route("**/runtime/*", lambda route: route.abort())
    start(live)
    told(live, "the folder runtime is missing")
    live.unroute("**/runtime/*")
    live.route("**/model.json", lambda route: route.fulfill(status=404))
    start(live)
    told(live, "the file model/model.onnx is missing")
    live.unroute("**/model.json")
    live.route("**/model.json", lambda route: route.fulfill(body="<p>Not found"))
    start(live)
    told(live, "the file model/model.onnx is missing")
    live.unroute("**/model.json")
    live.route("**/model.json", of_other_weights)
    start(live)
    told(live, "not the one that this page was made with")
    live.unroute("**/model.json")
    live.route("**/model.onnx*", cut_off)
    start(live)
    told(live, "model/model.onnx")
    told(live, "not the one that this page was made with")
    live.unroute("**/model.onnx*")
    start(live)
    live.get_by_role("button", name="Stop", exact=True).wait_for()


def test_a_microphone_unplugged_leaves_what_was_recorded(live):
    live.add_init_script(KEEPS_STREAM)
    live.reload()
    record(live)
    live.evaluate("stream.getTracks()[0].dispatchEvent(new Event('mute'))")
    told(live, "The microphone is silent")
    live.evaluate("stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    told(live, "The microphone was disconnected")
    with live.expect_download() as waiting:
        live.get_by_role("link", name="Download WAV").click()
    wave, rate = audio.read(waiting.value.path())
    assert wave.shape[1] >= rate
    start(live)
    live.get_by_role("button", name="Stop", exact=True).wait_for()


SLOW = "const until = performance.now() + 60; while (performance.now() < until); out = await"


def test_a_machine_too_slow_is_told_so_and_hears_the_original(live):
    """60 ms for each hop of 16. What was cleaned until then can be kept."""

    def slow(route):
        response = route.fetch()
        script = response.text()
        assert "out = await" in script
        script = script.replace("const start = performance.now(), out = await", f"let out; {SLOW}")
        script = script.replace("performance.now() - start", "0")
        route.fulfill(response=response, body=script)

    live.route("**/worker.js", slow)
    start(live)
    live.get_by_role("button", name="Record", exact=True).click()
    told(live, "too slow right now")
    live.get_by_role("link", name="Download WAV").wait_for()
    live.get_by_text(re.compile("[1-9]\\d* dropouts?")).wait_for()
    heard = live.locator("#live .meter.before")
    until(lambda: int(heard.get_attribute("aria-valuenow")) > -40)


def test_a_browser_that_stalls_in_the_background(live):
    start(live)
    live.get_by_role("button", name="Stop", exact=True).wait_for()
    live.evaluate("""() => {
      const seen = (hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      };
      seen(true);
      const now = performance.now.bind(performance);
      performance.now = () => now() + 5000;
      seen(false);
    }""")
    told(live, "stopped the sound for 5 s")


@pytest.mark.parametrize("live", [{"locale": "de-DE"}, {"locale": "fr-CA"}], indirect=True)
def test_sentences_are_in_the_visitors_language(live):
    live.add_init_script(REFUSES.format("NotAllowedError"))
    live.reload()
    live.locator("#live .start:not(:empty)").click()
    language = live.evaluate("document.documentElement.lang")
    told(live, {"de": "gibt das Mikrofon nicht frei", "fr": "n’autorise pas le micro"}[language])
