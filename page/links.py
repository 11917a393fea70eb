"""A link's query <-> recording and settings, and other ways in than an upload."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from denoiser.files import fitting
from page.i18n import say
from page.registry import Entry, ModelRegistry
from page.results import LOUDNESS
from page.run import Settings
from page.session import kept_if_finished, new_folder, refusal, refusals, warn

SAMPLES = Path(__file__).parent.parent / "samples"


def example(name: str) -> Path:
    return SAMPLES / "noisy" / f"{name}.flac"


def fetched(url: str, request: gr.Request) -> str | None:
    """The file behind a public address, which a link can name again."""
    from page.fetch import fetch

    if not url or not url.strip():
        raise refusal(say(request, "none"))
    folder = new_folder()
    with kept_if_finished(folder), refusals():
        path = fetch(url.strip(), folder)
    _address_of(path).write_text(url.strip(), encoding="utf-8")
    return str(path)


def _address_of(path: Path) -> Path:
    """Where it is noted from which address a file came."""
    return path.with_name(".address")


def link(recording: str, entry: Entry, settings: Settings) -> dict:
    """The query of a link that computes this result again; an upload stays out of it.

    It names the model and the state of its weights. Strength is added by the player, which knows
    it as it is now.
    """
    path, query = Path(recording), {}
    if path == example(path.stem):
        query = {"example": path.stem}
    elif _address_of(path).exists():
        query = {"url": _address_of(path).read_text(encoding="utf-8")}
    query |= {"model": entry.name, "weights": entry.weights}
    query |= {"mono": "1"} if settings.mono else {}
    query |= {"loudness": settings.loudness} if settings.loudness != "keep" else {}
    return query


class Asked(NamedTuple):
    """What a link asks for."""

    settings: Settings
    source: dict  # {"example": name}, {"url": address}, or nothing
    weights: str | None


def asked(request: gr.Request, models: ModelRegistry) -> Asked:
    """The query of a link; a sentence says what of it does not exist, which is left as usual."""
    query = dict(request.query_params)

    def known(name: str, usual, valid: Callable):
        value = query.get(name, usual)
        try:
            fits = name not in query or valid(value)
        except ValueError:
            fits = False
        if not fits:
            warn(say(request, "link.no_choice", name=name, value=value[:40]))
        return value if fits else usual

    settings = Settings(
        strength=float(known("strength", 100, lambda text: 0 <= float(text) <= 100)) / 100,
        model=known("model", models.first, models.may_be),
        device="auto",
        mono=known("mono", "0", ("0", "1").__contains__) == "1",
        loudness=known("loudness", "keep", LOUDNESS.__contains__),
    )
    source = {name: query[name] for name in ("url", "example") if name in query}
    return Asked(settings, source, query.get("weights"))


def other_weights(wanted: Asked, models: ModelRegistry, request: gr.Request) -> str | None:
    """A sentence where a link was made with other weights than those that run now."""
    if not wanted.weights:
        return None
    with refusals():
        entry = models.get(wanted.settings.model)
    if entry.weights == wanted.weights:
        return None
    return say(
        request, "link.other_weights", model=entry.name, now=entry.weights,
        then=wanted.weights[:40],
    )  # fmt: skip


def recording_of(source: dict, request: gr.Request) -> str:
    """The file that a link names."""
    if "url" in source:
        return fetched(source["url"], request)
    path = example(Path(source["example"]).name)
    if not path.exists():
        raise refusal(say(request, "no_example", name=source["example"][:40]))
    return str(path)


def opening(models: ModelRegistry) -> Callable:
    """What a link asks for: recording, settings, and a mark that sets the run going."""

    def opened(request: gr.Request) -> list:
        wanted, recording, mark = asked(request, models), gr.skip(), gr.skip()
        settings = wanted.settings
        if wanted.source:
            recording, mark = recording_of(wanted.source, request), time.time()
            if sentence := other_weights(wanted, models, request):
                warn(sentence)
        percent = 100 * settings.strength
        return [recording, percent, settings.model, settings.mono, settings.loudness, mark]

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
