"""What a visitor of the page waits for: python bench/page.py

The page in this process, with a real browser: how long its first paint takes beside that of a page
with one button, a minute of audio from the upload to the player beside denoise() alone, another
visitor's two seconds after Stop in the middle of ten minutes, and twenty visitors at once. Then a
fresh process: its imports, and its first answer. Prints a table. Needs chromium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import gradio as gr
import gradio_client
import soundfile as sf
from playwright.sync_api import sync_playwright
from sounds import speech_like

import denoiser
from page import layout, loading, server


def seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def begin(tab, path: Path) -> None:
    """Upload a recording: the work begins by itself."""
    tab.locator("#box .file").set_input_files(str(path))


def visits(browser, url: str, folder: Path, model) -> dict[str, float]:
    client = gradio_client.Client(url, verbose=False, download_files=str(folder / "downloads"))
    files = {}
    for length in (2, 10, 60, 600):
        files[length] = folder / f"{length}.flac"
        sf.write(files[length], speech_like(length, 48000), 48000)

    def answer(length: int) -> None:
        client.predict(gradio_client.handle_file(str(files[length])), api_name="/denoise")

    def twenty() -> None:
        sent = gradio_client.handle_file(str(files[10]))
        for job in [client.submit(sent, 100, api_name="/denoise") for _ in range(20)]:
            job.result()

    wave, rate = denoiser.read(files[60])
    rows = {"denoise() of a minute": seconds(denoiser.denoise, model, wave, rate)}
    tab = browser.new_page()
    tab.goto(url)
    begin(tab, files[60])
    rows["a minute, from the upload to the player"] = seconds(tab.locator("#player .play").wait_for)
    tab.reload()
    begin(tab, files[600])
    tab.locator("#status .what").get_by_text("left").wait_for()
    tab.get_by_role("button", name="Stop", exact=True).click()
    rows["another's two seconds after Stop in ten minutes"] = seconds(answer, 2)
    tab.close()
    rows["twenty visitors with 10 s each, all served"] = seconds(twenty)
    return rows


def first_paint(browser, url: str) -> float:
    """The best of three visits."""

    def visit() -> None:
        tab = browser.new_page()
        tab.goto(url)
        tab.get_by_role("button", name="Choose file", exact=True).wait_for()
        tab.close()

    return min(seconds(visit) for _ in range(3))


def fresh_process(folder: Path) -> dict[str, float]:
    def imports() -> None:
        subprocess.run([sys.executable, "-c", "import gradio, torch"], check=True)

    def first_answer() -> None:
        command = [sys.executable, "-u", "app.py"]
        page = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
        )
        try:
            url = next(line.split()[-1] for line in page.stdout if "http://" in line)
            client = gradio_client.Client(url, verbose=False, download_files=str(folder / "more"))
            client.predict(gradio_client.handle_file(str(folder / "2.flac")), api_name="/denoise")
        finally:
            page.terminate()
            page.wait()

    imports()  # from the disk to memory
    return {
        "import gradio, torch": seconds(imports),
        "first answer of a fresh process": seconds(first_answer),
    }


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "cache")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        models, _ = loading.start(None, "auto")
        server.warm_up(models.get().model)
        page = layout.build(models)
        server.serve(page, prevent_thread_lock=True, quiet=True)
        with gr.Blocks() as smallest:
            gr.Button("Choose file")
        smallest.launch(prevent_thread_lock=True, quiet=True)
        rows = {
            "first paint of a page with one button": first_paint(browser, smallest.local_url),
            "first paint": first_paint(browser, page.local_url),
        }
        rows |= visits(browser, page.local_url, folder, models.get().model)
        smallest.close()
        page.close()
        browser.close()
        rows |= fresh_process(folder)
    print("| what | seconds |\n|:--|--:|")
    for name, took in rows.items():
        print(f"| {name} | {took:.2f} |")


if __name__ == "__main__":
    main()
