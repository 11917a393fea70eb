"""What the page of web/ costs its visitors: python bench/live.py [--minutes 2]

Bytes of a first visit; milliseconds of a hop (of 16) in onnxruntime and in Chromium, live from a
fake microphone; what the line says meanwhile, and how far the memory grows; ten minutes as a
file. Prints a table. Needs chromium and web/runtime (make .venv/web.stamp).
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import site_of_web
import soundfile as sf
from playwright.sync_api import sync_playwright
from sounds import speech_like

from denoiser import export, hops

SETTLED = 20  # seconds, after which a browser's memory should not grow
PACKED = (".gz", ".svg")  # everything else a host packs by itself
# The worker says how long each hop took
LISTEN = """
window.times = [];
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => data.hop && times.push(data.hop.milliseconds));
  }
};"""


def spread(milliseconds) -> str:
    median, most = np.quantile(milliseconds, (0.5, 0.99))
    return f"{median:.1f} ms, p99 {most:.1f} ms"


def wire(folder: Path) -> str:
    """Megabytes of all files, with and without a host that packs text."""
    sizes = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    packed = sum(
        len(content if path.suffix in PACKED else gzip.compress(content))
        for path, content in sizes.items()
    )
    return f"{packed / 1e6:.2f} MB packed, {sum(map(len, sizes.values())) / 1e6:.2f} MB as they lie"


def in_python(folder: Path) -> str:
    """A thousand hops of one channel."""
    path = export.export(site_of_web.ROOT / "checkpoints" / "band-live", folder / "model.onnx")
    line, rng, times = hops.Hops(hops.load(path), 1), np.random.default_rng(0), []
    for _ in range(1000):
        wave = 0.1 * rng.standard_normal((1, line.model.hop_length)).astype(np.float32)
        start = time.perf_counter()
        list(line.push(wave))
        times.append(1000 * (time.perf_counter() - start))
    return spread(times[20:])


def resident(browser) -> float:
    """Megabytes that the processes of its pages hold: Chromium starts others when it likes."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    renderers = [each["id"] for each in processes if each["type"] == "renderer"]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in renderers]
    return sum(pages) * 4096 / 1e6


def live(browser, url: str, minutes: float) -> dict[str, str]:
    page = browser.new_page()
    page.add_init_script(LISTEN)
    page.goto(url)
    page.locator("#live .start:not(:empty)").click()
    page.locator("#live .stop").wait_for()
    page.wait_for_timeout(1000 * SETTLED)
    at_first, held = page.locator("#live .facts").inner_text(), []
    for _ in range(round(6 * minutes)):
        page.wait_for_timeout(10_000)
        held.append(resident(browser))
    half = len(held) // 2
    before, after = min(held[:half]), min(held[half:])  # the least: garbage comes and goes
    rows = {
        "a hop in Chromium, live": spread(page.evaluate("times")),
        "the line after 20 s": at_first,
        f"the line after {minutes:g} min": page.locator("#live .facts").inner_text(),
        f"memory, second half of {minutes:g} min": f"{before:.0f} MB {after - before:+.1f} MB",
    }
    page.close()
    return rows


def of_a_file(browser, url: str, folder: Path) -> str:
    seconds = 600
    sf.write(folder / "long.flac", speech_like(seconds, 48000), 48000)
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Files").click()
    page.set_default_timeout(1000 * seconds)
    start = time.perf_counter()
    page.locator("#files .file").set_input_files(str(folder / "long.flac"))
    page.locator("#files .result").wait_for()
    took = time.perf_counter() - start
    page.close()
    return f"{took:.0f} s, {seconds / took:.1f} times as fast as it plays"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=2, help="of live sound (default: 2)")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        site = site_of_web.build(folder / "site")
        server = site_of_web.serve(site)
        url = site_of_web.address(server, site)
        sf.write(folder / "voice.wav", speech_like(30, 48000), 48000)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={folder / 'voice.wav'}",
            ],
        )
        rows = {"a first visit": wire(site), "a hop in onnxruntime": in_python(folder)}
        rows |= live(browser, url, minutes)
        rows["ten minutes as a file"] = of_a_file(browser, url, folder)
        browser.close()
        server.shutdown()
    for name, value in rows.items():
        print(f"{name:<45} {value}")


if __name__ == "__main__":
    main()
