"""Converting between a link's query and a recording with settings; recordings besides uploads."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from denoiser.errors import CheckpointError, DenoiserError
from denoiser.files import fitting
from page.downloads import LOUDNESS
from page.i18n import say
from page.loading import Entry, ModelRegistry
from page.run import Settings
from page.session import kept_if_finished, new_folder

SAMPLES = Path(__file__).parent.parent / "samples"


def example(name: str) -> Path:
    return SAMPLES / "noisy" / f"{name}.flac"


def fetched(url: str, request: gr.Request) -> str:
    """Downloads the file at a public link, and records the link beside it for `link`."""
    from page.fetch import fetch

    if not url or not url.strip():
        raise DenoiserError(say(request, "none"))
    folder = new_folder()
    with kept_if_finished(folder):
        path = fetch(url.strip(), folder)
    _address_of(path).write_text(url.strip(), encoding="utf-8")
    return str(path)


def _address_of(path: Path) -> Path:
    """The path of the note about a file's link."""
    return path.with_name(".address")


def link(recording: str, entry: Entry, settings: Settings) -> dict[str, str] | None:
    """The query of a link that reproduces this result; None for an upload.

    It contains the model and the version of its weights. The player adds the current strength.
    """
    path = Path(recording)
    if path == example(path.stem):
        query = {"example": path.stem}
    elif _address_of(path).exists():
        query = {"url": _address_of(path).read_text(encoding="utf-8")}
    else:
        return None
    query |= {"model": entry.name, "weights": entry.weights}
    query |= {"mono": "1"} if settings.mono else {}
    query |= {"loudness": settings.loudness} if settings.loudness != "keep" else {}
    return query


class Asked(NamedTuple):
    """The contents of a link."""

    settings: Settings
    source: dict[str, str]  # {"example": name}, {"url": address}, or nothing
    weights: str | None


def asked(request: gr.Request, models: ModelRegistry, notify: Callable[[str], None]) -> Asked:
    """Parses the query of a link; `notify` receives a sentence about each invalid value.

    Invalid values are replaced by the defaults.
    """
    query = dict(request.query_params)

    def known(name: str, usual: str, valid: Callable[[str], bool]) -> str:
        value = query.get(name, usual)
        try:
            fits = name not in query or valid(value)
        except ValueError:
            fits = False
        if not fits:
            notify(say(request, "link.no_choice", name=name, value=value[:40]))
        return value if fits else usual

    settings = Settings(
        strength=float(known("strength", "100", lambda text: 0 <= float(text) <= 100)) / 100,
        model=known("model", models.first, models.may_be),
        device="auto",
        mono=known("mono", "0", ("0", "1").__contains__) == "1",
        loudness=known("loudness", "keep", LOUDNESS.__contains__),
    )
    source = {name: query[name] for name in ("url", "example") if name in query}
    return Asked(settings, source, query.get("weights"))


def other_weights(wanted: Asked, models: ModelRegistry, request: gr.Request) -> str | None:
    """A sentence if a link was made with other weights than the current ones, otherwise None."""
    if not wanted.weights:
        return None
    try:
        entry = models.get(wanted.settings.model)
    except CheckpointError:  # the run reports it
        return None
    if entry.weights == wanted.weights:
        return None
    return say(
        request, "link.other_weights", model=entry.name, now=entry.weights,
        then=wanted.weights[:40],
    )  # fmt: skip


def recording_of(source: dict[str, str], request: gr.Request) -> str:
    """The path of the recording that a link names. Raises DenoiserError."""
    if "url" in source:
        return fetched(source["url"], request)
    path = example(Path(source["example"]).name)
    if not path.exists():
        raise DenoiserError(say(request, "no_example", name=source["example"][:40]))
    return str(path)


def opening(models: ModelRegistry) -> Callable[[gr.Request], list[Any]]:
    """A handler that reads the page's address: returns the value of the box, and the settings."""

    def opened(request: gr.Request) -> list[Any]:
        warnings: list[str] = []
        wanted = asked(request, models, warnings.append)
        settings = wanted.settings
        box: dict[str, Any] = {"at": now()}
        if wanted.source:
            kind, value = next(iter(wanted.source.items()))
            key = "url" if kind == "url" else "name"
            box |= {"open": {"kind": kind, key: value}}
            if sentence := other_weights(wanted, models, request):
                warnings.append(sentence)
        if warnings:
            box |= {"warning": " ".join(warnings)}
        chosen = [100 * settings.strength, settings.model, settings.mono, settings.loudness]
        return [box if len(box) > 1 else gr.skip(), *chosen]

    return opened


def now() -> float:
    """A timestamp that makes a value of the box differ from an equal one before."""
    return time.time()


def noisier(
    speech: str | None, name: str | None, own: str | None, snr_db: float, request: gr.Request
) -> dict[str, Any]:
    """Adds noise, an example's or the visitor's own, to a recording: the value of the box.

    Raises DenoiserError.
    """
    from denoiser import mixing

    if not speech:
        raise DenoiserError(say(request, "no_clean"))
    if not own and not name:
        raise DenoiserError(say(request, "no_noise"))
    clean = _clean_of(Path(speech))
    folder = new_folder()
    mixture = folder / fitting(clean.stem, ".wav")
    with kept_if_finished(folder):
        if not own:
            own = str(folder / f"{name}_noise.wav")
            mixing.remix(example(str(name)), SAMPLES / "clean" / f"{name}.flac", own, removed=True)
        mixing.add_noise(clean, own, mixture, snr_db=snr_db)
        mixture.with_name(".clean").write_text(str(clean), encoding="utf-8")
    return {"open": {"kind": "file", "path": str(mixture), "name": mixture.name}, "at": now()}


def _clean_of(speech: Path) -> Path:
    """The recording before noise was added, so that a second noise replaces the first."""
    noted = speech.with_name(".clean")
    return Path(noted.read_text(encoding="utf-8")) if noted.exists() else speech
