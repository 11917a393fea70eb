"""The page in other browsers: python bench/browsers.py [--pictures FOLDER]

Drives Firefox (Debian's firefox-esr, through Marionette) and WebKitGTK (webkit2gtk-driver and xvfb,
through WebDriver) where they are installed. In each: an example is denoised with one click and
plays, the tab Live cleans a microphone that only the browser hears, and the site's own code gives
what `denoiser.Stream` gives. Prints a table; exit code 1 if a row fails. Needs web/site.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import denoiser
from page import layout, loading, server

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds for a script
PREFERENCES = {  # Firefox: a microphone that beeps, and asks nobody
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.block-webaudio": False,
    "media.autoplay.blocking_policy": 0,
    "marionette.port": 0,
}
MINI_BROWSERS = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
WAIT = """
const until = async (look) => {
  for (let n = 0; n < 900; n++) {
    const found = look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`never came: ${look}`);
};
"""
EXAMPLE = """
  const rain = (button) => button.textContent.includes("Rain");
  (await until(() => [...document.querySelectorAll("button")].find(rain))).click();
  await until(() => document.querySelector("#player .play")?.checkVisibility());
  const box = document.querySelector("#player canvas").getBoundingClientRect();
  return { "width of the picture": Math.round(box.width) };
"""
SILENT = """
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return { silent: document.querySelector("#player .play").ariaLabel === "Play" };
"""
PLAYED = """
  const time = () => document.querySelector("#player").innerText.match(/0:0(\\d) \\/ 0:06/)?.[1];
  await until(() => time() > 0);
  return { "played, s": Number(time()) };
"""
LIVE = """
  const live = (tab) => tab.textContent.trim() === "Live";
  [...document.querySelectorAll("[role=tab]")].find(live).click();
  const inside = () => document.querySelector("iframe.live")?.contentDocument;
  const button = await until(() => [...inside()?.querySelectorAll("button") ?? []]
    .find((b) => b.textContent === "Start without sound" && b.checkVisibility()));
  button.click();
  const said = () => inside().body.innerText;
  const alert = () => inside().querySelector("[role=alert]");
  await until(() => said().includes("Running") || alert()?.checkVisibility());
  await new Promise((resolve) => setTimeout(resolve, 4000));
  return { said: said().split("\\n").slice(0, 14).join(" ") };
"""
SAME = """
  const worker = new Worker(new URL("live/sound/worker.js", document.baseURI), { type: "module" });
  const answer = () => new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) =>
      data.trouble ? reject(new Error(JSON.stringify(data.trouble))) : resolve(data);
  });
  worker.postMessage({ load: true });
  await answer();
  worker.postMessage({ file: 1 });
  const start = performance.now();
  worker.postMessage({ piece: [Float32Array.from(given)], last: true });
  const { enhanced } = await answer();
  const took = (performance.now() - start) / Math.ceil(given.length / 768);
  return { enhanced: Array.from(enhanced[0]), "ms a hop": took };
"""


class Marionette:
    """Firefox's own protocol: lengths, colons and JSON."""

    def __init__(self, folder: Path):
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items())
        (folder / "user.js").write_text("\n".join(lines))
        self.process = subprocess.Popen(
            ["firefox-esr", "--headless", "--marionette", "--profile", str(folder), "--no-remote"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        port = folder / "MarionetteActivePort"
        while not port.exists() or not port.read_text():
            time.sleep(0.1)
        address = "127.0.0.1", int(port.read_text())
        self.stream = socket.create_connection(address, timeout=1.5 * PATIENCE).makefile("rwb")
        self.number = 0
        self._receive()
        self.command("NewSession", {})
        self.command("SetTimeouts", {"script": 1000 * PATIENCE})

    def command(self, name: str, values: dict[str, Any]) -> Any:
        self.number += 1
        message = json.dumps([0, self.number, f"WebDriver:{name}", values]).encode()
        self.stream.write(b"%d:%s" % (len(message), message))
        self.stream.flush()
        _, _, error, result = self._receive()
        if error:
            raise RuntimeError(error["message"])
        return result.get("value") if isinstance(result, dict) else result

    def _receive(self) -> Any:
        length = b""
        while (digit := self.stream.read(1)) != b":":
            length += digit
        return json.loads(self.stream.read(int(length)))

    def visit(self, url: str) -> None:
        self.command("Navigate", {"url": url})

    def run(self, script: str, *given: Any) -> Any:
        return self.command("ExecuteAsyncScript", {"script": script, "args": list(given)})

    def press(self, selector: str) -> None:
        found = self.command("FindElement", {"using": "css selector", "value": selector})
        self.command("ElementClick", {"id": next(iter(found.values()))})

    def picture(self) -> bytes:
        return base64.b64decode(self.command("TakeScreenshot", {"full": False}))


class WebDriver:
    """WebKitGTK, through its driver."""

    def __init__(self, _: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/session"
        self.process = subprocess.Popen(
            ["xvfb-run", "-a", "WebKitWebDriver", f"--port={port}"], start_new_session=True
        )
        options = {"binary": str(MINI_BROWSERS[-1]), "args": ["--automation"]}
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        session = self._ask("POST", self.url, {"capabilities": wanted}, patient=True)
        self.url += f"/{session['sessionId']}"
        self._ask("POST", f"{self.url}/timeouts", {"script": 1000 * PATIENCE})

    def _ask(self, method: str, url: str, values: Any = None, patient: bool = False) -> Any:
        body = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(url, body, method=method)
        request.add_header("Content-Type", "application/json")
        while True:
            try:
                with urllib.request.urlopen(request, timeout=2 * PATIENCE) as answer:
                    return json.load(answer)["value"]
            except urllib.error.HTTPError as error:
                raise RuntimeError(json.load(error)["value"]["message"]) from error
            except urllib.error.URLError:
                if not patient or self.process.poll() is not None:
                    raise
                time.sleep(0.2)

    def visit(self, url: str) -> None:
        self._ask("POST", f"{self.url}/url", {"url": url})

    def run(self, script: str, *given: Any) -> Any:
        return self._ask("POST", f"{self.url}/execute/async", {"script": script, "args": given})

    def press(self, selector: str) -> None:
        wanted = {"using": "css selector", "value": selector}
        found = self._ask("POST", f"{self.url}/element", wanted)
        self._ask("POST", f"{self.url}/element/{next(iter(found.values()))}/click", {})

    def picture(self) -> bytes:
        return base64.b64decode(self._ask("GET", f"{self.url}/screenshot"))


Driver = Marionette | WebDriver


def browsers() -> dict[str, type[Driver]]:
    """Those that are installed."""
    found: dict[str, type[Driver]] = {}
    if shutil.which("firefox-esr"):
        found["Firefox"] = Marionette
    if shutil.which("WebKitWebDriver") and shutil.which("xvfb-run") and MINI_BROWSERS:
        found["WebKitGTK"] = WebDriver
    return found


@contextmanager
def opened(kind: type[Driver]) -> Iterator[Driver]:
    with tempfile.TemporaryDirectory() as folder:
        driver = kind(Path(folder))
        try:
            yield driver
        finally:
            os.killpg(driver.process.pid, signal.SIGKILL)  # with all that it has started
            driver.process.wait()


def play(driver: Driver, body: str, *given: Any) -> dict[str, Any]:
    """An async function's body in the page -> what it returns; {"failed": why} if it throws."""
    script = f"""
      const done = arguments[arguments.length - 1], given = arguments[0];
      {WAIT}
      (async () => {{ {body} }})().then(done, (error) => done({{ failed: String(error) }}));
    """
    try:
        return driver.run(script, *given)
    except (RuntimeError, TimeoutError) as error:  # the latter if the whole browser hangs
        return {"failed": str(error)}


def same(driver: Driver) -> dict[str, Any]:
    """How far the browser's result is below the signal, in dB, from that of Python."""
    wave = denoiser.read(ROOT / "samples" / "noisy" / "rain.flac")[0][:1, : 48000 * 3]
    stream = denoiser.Stream()
    expected = np.concatenate((stream.push(wave), stream.flush()), axis=1)[0].astype(np.float64)
    found = play(driver, SAME, wave[0].tolist())
    if "failed" in found:
        return found
    error = np.square(np.array(found.pop("enhanced")) - expected).sum()
    below = 10 * np.log10(np.square(expected).sum() / error)
    if below < 60:
        found["failed"] = "differs from Python"
    return {"below the signal, dB": round(float(below), 1), **found}


def walk(driver: Driver, url: str, save: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    driver.visit(url)
    for name, act in (("example", EXAMPLE), ("its player", PLAYED), ("live", LIVE)):
        # Until a real click, as a browser's policy may be
        if name == "its player" and play(driver, SILENT)["silent"]:
            driver.press("#player .play")
        yield name, play(driver, act)
        if save:
            with suppress(RuntimeError):
                save.with_name(f"{save.name}_{name}.png").write_bytes(driver.picture())
    yield "same as Python", same(driver)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--only", choices=("Firefox", "WebKitGTK"))
    options = parser.parse_args()
    pictures = options.pictures
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        models, _ = loading.start(None, "auto")
        server.warm_up(models.get().model)
        page = layout.build(models)
        server.serve(page, prevent_thread_lock=True, quiet=True)
        print("| browser | what | outcome |\n|:--|:--|:--|", flush=True)
        for name, kind in browsers().items():
            if options.only not in (None, name):
                continue
            with opened(kind) as driver:
                for what, found in walk(driver, page.local_url, pictures and pictures / name):
                    outcome = ", ".join(f"{key}: {value}" for key, value in found.items())
                    print(f"| {name} | {what} | {outcome} |", flush=True)
                    failed += "failed" in found
        page.close()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
