"""Pictures of the page: python docs/screenshots.py

Starts the page with the embedded weights and photographs it in Chromium, into images/: with a
result, wide, as on a phone, and dark; empty; at work; with many files; and its numbers alone. Then
its tab Live as a page of its own, with a recording as the microphone.
"""

import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
WIDE = {"viewport": {"width": 1000, "height": 900}}
VIEWS = {
    "page": WIDE,
    "page_phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
    "page_dark": WIDE | {"color_scheme": "dark"},
}


def save(of, name: str, **options) -> None:
    """A page, or a part of one, in 256 colours."""
    from PIL import Image

    path = ROOT / "images" / f"{name}.png"
    of.screenshot(path=path, **options)
    with Image.open(path) as image:
        fewer = image.convert("RGB").quantize(256)
    fewer.save(path, optimize=True)


def photograph_result(browser, url: str, name: str, settings: dict) -> None:
    """One view of the page with a result."""
    page = browser.new_context(**settings).new_page()
    page.goto(url)
    page.get_by_role("button", name="Rain").click()
    page.locator("#download[href]").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1500)  # it scrolls
    save(page, name, full_page=name != "page_phone")
    if name == "page":
        page.get_by_text("Measurements").click()
        page.get_by_label("Estimate listening quality").check()
        page.locator("#report").get_by_text("Quality overall").wait_for()
        save(page.locator("#report"), "report")


def photograph_work(browser, url: str, go_on: threading.Event) -> None:
    """The empty page, one at work, and many files."""
    page = browser.new_context(**WIDE).new_page()
    page.goto(url)
    page.locator("#box .choose").wait_for()
    page.wait_for_timeout(500)
    save(page, "page_empty")
    page.get_by_role("button", name="Rain").click()
    page.locator("#status .what").get_by_text("left").wait_for()
    page.wait_for_timeout(700)  # the bar moves to its place
    save(page, "page_working")
    go_on.set()
    page.locator("#download[href]").wait_for()
    page.get_by_role("tab", name="Many files").click()
    files = sorted((ROOT / "samples" / "noisy").glob("*.flac"))
    page.locator("#many .file").set_input_files([*map(str, files[:4]), str(ROOT / "LICENSE")])
    page.get_by_role("button", name="Denoise all").click()
    page.locator("#many .zip").wait_for()
    save(page, "page_many")


def microphone(folder: str) -> list[str]:
    """What Chromium needs to take a sample for its microphone."""
    import denoiser

    voice = Path(folder) / "voice.wav"
    denoiser.write(voice, *denoiser.read(ROOT / "samples" / "noisy" / "rain.flac"))
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    return ["--no-sandbox", *fake, f"--use-file-for-fake-audio-capture={voice}"]


def photograph_live(browser, url: str, name: str, settings: dict) -> None:
    """One view of the site of web/, ten seconds after its start."""
    page = browser.new_context(**settings).new_page()
    page.goto(url)
    page.get_by_role("button", name="Start with headphones").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_text("Finish recording 0:11").wait_for()
    save(page, name.replace("page", "live"), full_page=True)


def main() -> None:
    from playwright.sync_api import sync_playwright

    from denoiser import mixing
    from page import layout, loading, server

    observe, go_on = mixing.observe, threading.Event()

    def held(source, enhanced, *listeners):
        """The pass stands still in the middle until the picture has been taken."""
        for done in observe(source, enhanced, *listeners):
            while not go_on.wait(0.1):
                yield 0.43 * done
            yield done

    mixing.observe = held
    page = layout.build(loading.start(None, "auto")[0])
    server.serve(page, prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=microphone(scratch))
        photograph_work(browser, page.local_url, go_on)
        for name, settings in VIEWS.items():
            photograph_result(browser, page.local_url, name, settings)
            photograph_live(browser, f"{page.local_url}live/index.html", name, settings)
        browser.close()
    page.close()


if __name__ == "__main__":
    main()
