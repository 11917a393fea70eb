"""What comes in by other ways than an upload: examples, links, noise on a clean recording."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from denoiser.files import fitting
from page.i18n import say
from page.registry import Shelf
from page.results import LOUDNESS, new_folder, refusal, refusals, warn

SAMPLES = Path(__file__).parent.parent / "samples"


def example(name: str) -> Path:
    return SAMPLES / "noisy" / f"{name}.flac"


def fetched(url: str, request: gr.Request) -> str | None:
    """The file behind a public address, which a link can name again."""
    from page.fetch import fetch

    if not url or not url.strip():
        raise refusal(say(request, "none"))
    folder = new_folder()
    try:
        with refusals():
            path = fetch(url.strip(), folder)
    except gr.Error:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _address_of(path).write_text(url.strip(), encoding="utf-8")
    return str(path)


def _address_of(path: Path) -> Path:
    """Where it is noted from which address a file came."""
    return path.with_name(".address")


def link(recording: str, shelf: Shelf, *, model: str, mono: bool, loudness: str) -> dict:
    """The query of a link that computes this result again; an upload stays out of it."""
    path = Path(recording)
    settings = {"model": model} if model and model != shelf.first else {}
    settings |= {"mono": "1"} if mono else {}
    settings |= {"loudness": loudness} if loudness != "keep" else {}
    if path == example(path.stem):
        return {"example": path.stem} | settings
    if _address_of(path).exists():
        return {"url": _address_of(path).read_text(encoding="utf-8")} | settings
    return settings


def opening(shelf: Shelf) -> Callable:
    """What a link asks for: recording, settings, and a mark that sets the run going."""

    def opened(request: gr.Request) -> list:
        asked = dict(request.query_params)

        def known(name: str, usual, valid: Callable):
            value = asked.get(name, usual)
            try:
                fits = name not in asked or valid(value)
            except ValueError:
                fits = False
            if fits:
                return value
            warn(say(request, "link.no_choice", name=name, value=value[:40]))
            return usual

        strength = float(known("strength", 100, lambda text: 0 <= float(text) <= 100))
        mono = known("mono", "0", ("0", "1").__contains__) == "1"
        loudness = known("loudness", "keep", LOUDNESS.__contains__)
        recording = mark = gr.skip()
        if "example" in asked:
            recording = example(Path(asked["example"]).name)
            if not recording.exists():
                raise refusal(say(request, "no_example", name=asked["example"][:40]))
        elif "url" in asked:
            recording = fetched(asked["url"], request)
        if {"example", "url"} & set(asked):
            recording, mark = str(recording), time.time()
        return [recording, strength, asked.get("model", shelf.first), mono, loudness, mark]

    return opened


def noisier(
    recording: str | None, name: str | None, own: str | None, snr_db: float, clean: tuple,
    request: gr.Request,
) -> tuple[str, tuple[str, str]]:  # fmt: skip
    """A noise, an example's or the visitor's own, under a clean recording.

    `clean` is what came out the last time, and the clean recording under it: a second noise takes
    the place of the first.
    """
    from denoiser import mixing

    if not recording:
        raise refusal(say(request, "no_clean"))
    if not own and not name:
        raise refusal(say(request, "no_noise"))
    speech = clean[1] if clean and recording == clean[0] else recording
    folder = new_folder()
    mixture = folder / fitting(Path(speech).stem, ".wav")
    with refusals():
        if not own:
            own = str(folder / f"{name}_noise.wav")
            mixing.remix(example(name), SAMPLES / "clean" / f"{name}.flac", own, removed=True)
        mixing.add_noise(speech, own, mixture, snr_db=snr_db)
    return str(mixture), (str(mixture), speech)
