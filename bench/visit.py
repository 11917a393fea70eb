"""A visitor who stays: python bench/visit.py [--runs N]

Runs an example again and again in one tab of Chromium, and prints what the tab holds after five
runs and after all: memory of scripts after a collection, elements, and how many Audio and
AudioContext were made. Then a minute of audio: how long after the last share of the work the player
can play, and the longest time in which nothing visible changed before that. Needs chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import soundfile as sf
from playwright.sync_api import Browser, Page, sync_playwright
from sounds import speech_like

from page import layout, loading, server

FEW = 5  # runs, after which all that stays is there
COUNT = """
window.made = { Audio: 0, AudioContext: 0 };
for (const name of Object.keys(window.made))
  window[name] = new Proxy(window[name], {
    construct(target, given) { window.made[name] += 1; return new target(...given); },
  });
"""
WATCH = """
window.times = { still: 0, worked: 0, ready: 0 };
let text = "", since = performance.now();
const look = () => {
  const now = performance.now(), shown = document.querySelector("#status .status")?.innerText ?? "";
  if (shown !== text) [text, since] = [shown, now];
  else if (shown) times.still = Math.max(times.still, now - since);
  const play = document.querySelector("#player .play");
  if (play?.checkVisibility()) times.ready = now;
  else requestAnimationFrame(look);
};
document.addEventListener("denoiser:status", ({ detail }) => {
  if (detail.state === "working") times.worked = performance.now();
});
look();
"""


@contextmanager
def visited() -> Iterator[tuple[Browser, str, Path]]:
    """A browser, the page's address, and a folder."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "cache"))
        models, _ = loading.start(None, "auto")
        server.warm_up(models.get().model)
        page = layout.build(models)
        server.serve(page, prevent_thread_lock=True, quiet=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser, page.local_url, Path(folder)
        browser.close()
        page.close()


def held(tab: Page) -> dict[str, float]:
    """What a tab holds after a collection."""
    tools = tab.context.new_cdp_session(tab)
    tools.send("HeapProfiler.collectGarbage")
    usage = tools.send("Runtime.getHeapUsage")
    elements = tab.evaluate("document.getElementsByTagName('*').length")
    return {"MB of scripts": usage["usedSize"] / 1e6, "elements": elements, **tab.evaluate("made")}


def runs(browser: Browser, url: str, count: int) -> Iterator[tuple[int, dict[str, float]]]:
    tab = browser.new_page()
    tab.add_init_script(COUNT)
    tab.goto(url)
    for number in range(1, count + 1):
        if tab.locator("#box .change").is_visible():
            tab.locator("#box .change").click()
        tab.get_by_role("button", name="Rain").click()
        tab.locator("#status .stop").wait_for()
        tab.locator("#status .stop").wait_for(state="hidden")
        tab.get_by_role("button", name="Pause").wait_for()
        if number in (FEW, count):
            yield number, held(tab)
    tab.close()


def minute(browser: Browser, url: str, folder: Path) -> dict[str, float]:
    """Seconds from the last share to the player, and of the longest stillness."""
    path = folder / "minute.flac"
    sf.write(path, speech_like(60, 48000), 48000)
    tab = browser.new_page()
    tab.goto(url)
    tab.locator("#box .file").wait_for(state="attached")
    tab.evaluate(WATCH)
    tab.locator("#box .file").set_input_files(str(path))
    tab.wait_for_function("times.ready", timeout=300_000)
    times = tab.evaluate("times")
    tab.close()
    return {
        "the player, after the last share of a minute": (times["ready"] - times["worked"]) / 1000,
        "the longest time without a visible change": times["still"] / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=50)
    count = parser.parse_args().runs
    with visited() as (browser, url, folder):
        print("| after | MB of scripts | elements | Audio | AudioContext |\n|:--|--:|--:|--:|--:|")
        for number, what in runs(browser, url, count):
            cells = (f"{value:.1f}" if value % 1 else f"{value:.0f}" for value in what.values())
            print(f"| {number} runs | {' | '.join(cells)} |", flush=True)
        print("\n| what | seconds |\n|:--|--:|")
        for name, took in minute(browser, url, folder).items():
            print(f"| {name} | {took:.2f} |")


if __name__ == "__main__":
    main()
