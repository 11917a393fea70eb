"""The page of web/ as a site: without a network, on a phone, by keys, for screen readers."""

import json
import re
from pathlib import Path

import pytest
import site_of_web
from axe_playwright_python.sync_playwright import Axe
from conftest import until

ROOT = Path(__file__).parents[2]


def test_all_languages_have_the_same_words():
    words = json.loads((ROOT / "web" / "strings.json").read_text("utf-8"))
    blanks = {
        language: {key: sorted(re.findall(r"{\w+}", text)) for key, text in texts.items()}
        for language, texts in words.items()
    }
    assert len(words) >= 3
    assert all(texts == blanks["en"] for texts in blanks.values())


def test_without_a_network_it_works_once_it_was_used(browser, tmp_path):
    folder = site_of_web.build(tmp_path / "denoiser")
    kept = re.findall(r'"\./([\w./]*)"', (folder / "sw.js").read_text("utf-8"))
    files = {
        str(path.relative_to(folder))
        for path in (*folder.iterdir(), *(folder / "sound").iterdir())
        if path.is_file()
    } - {"index.html", "sw.js"}
    assert set(kept) == files | {""}
    server = site_of_web.serve(folder)
    context = browser.new_context()
    page = context.new_page()
    page.goto(site_of_web.address(server, folder))
    until(lambda: page.evaluate("Boolean(navigator.serviceWorker.controller)"))
    page.get_by_role("button", name="Start without sound").click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    server.shutdown()
    server.server_close()
    page.reload()
    page.get_by_role("button", name="Start without sound").click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    context.close()


SMALL = """() => [...document.querySelectorAll(
    "button, select, a, summary, .check, input[type=range]")]
  .filter((node) => node.offsetParent)
  .map((node) => [node.className || node.textContent, node.getBoundingClientRect()])
  .filter(([_, { width, height }]) => width < 43.5 || height < 43.5)
  .map(([name]) => name)"""
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def with_a_result(page) -> None:
    """A file that was cleaned."""
    page.get_by_role("tab", name="Files").click()
    page.locator("#files .file").set_input_files(
        str(ROOT / "samples/noisy/voicebank_p232_170.flac")
    )
    page.locator("#files .result").wait_for()


def running(page) -> None:
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start without sound").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Finish recording").click()
    page.locator("#live summary").click()


@pytest.mark.parametrize("live", [PHONE], indirect=True)
def test_a_thumb_hits_everything_and_nothing_is_beside_the_screen(live):
    for view in (with_a_result, running):
        assert live.evaluate(SMALL) == []
        view(live)
        assert live.evaluate(SMALL) == []
        assert live.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]


@pytest.mark.parametrize("live", [{}, {"color_scheme": "dark"}], indirect=True)
def test_axe_finds_nothing_serious(live):
    for view in (with_a_result, running):
        view(live)
        found = Axe().run(live).response["violations"]
        assert [
            (finding["id"], node["html"][:160], node["failureSummary"][:200])
            for finding in found
            for node in finding["nodes"]
            if finding["impact"] in ("serious", "critical")
        ] == []


def test_keys_alone_are_enough(live):
    """From the tabs to a running line, its buttons and back, each with a ring around it."""
    live.keyboard.press("Tab")
    live.keyboard.press("ArrowRight")
    assert live.locator("#files").is_visible()
    live.keyboard.press("ArrowLeft")
    live.keyboard.press("Tab")
    live.keyboard.press("Tab")
    assert live.evaluate("document.activeElement.textContent") == "Start without sound"
    assert live.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    live.keyboard.press("Enter")
    live.locator("#live .stop:focus").wait_for()
    live.keyboard.press("1")
    live.locator("#live [data-side=original][aria-pressed=true]").wait_for()
    live.keyboard.press("Enter")
    live.locator("#live .start:focus").wait_for()
