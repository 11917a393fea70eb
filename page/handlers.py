"""The event handlers of the page, most of which yield a status.

An error is a sentence in the part of the page where its cause is; earlier results stay.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from denoiser.errors import DenoiserError
from page import downloads, links, many, results
from page.i18n import here, say
from page.lanes import Lanes
from page.loading import ModelRegistry
from page.many import Row
from page.results import FORMS, Result
from page.run import Settings, Work, ZeroGpuRun, run_in_lane
from page.session import (
    Latest,
    Stopped,
    kept_if_finished,
    new_folder,
    received,
)

UNITS = {"noise_floor_db": "dBFS", "snr_db": "dB", "loudness_lufs": "LUFS", "peak_dbfs": "dBFS"}
OPINIONS = ("ovrl", "sig", "bak", "p808")
LOWEST = -80.0  # dB; lower values are inaudible and shown as "below"
latest = Latest()


def starting(
    models: ModelRegistry, lanes: Lanes, zerogpu_run: ZeroGpuRun | None
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """The handler for a new recording, from an upload, the microphone, a link or an example."""

    def start(data: gr.EventData, request: gr.Request, *chosen: Any) -> Iterator[tuple[Any, ...]]:
        """Yields the status, the player's value, the result, the formats and the recording."""
        wanted, nothing = data._data, (gr.skip(),) * 4
        settings = Settings.chosen(*chosen)
        run = {"run": wanted["run"]}
        try:
            with latest.begin(request, "run") as check:
                yield run | {"state": "starting"}, *nothing
                recording = recording_of(wanted, request)
                folder = new_folder()
                with kept_if_finished(folder):
                    entry = models.get(settings.model, settings.device)
                    link = links.link(recording, entry, settings)
                    work = Work(
                        run_in_lane(
                            models,
                            lanes,
                            recording,
                            folder,
                            settings,
                            link=link,
                            shown=True,
                            zerogpu_run=zerogpu_run,
                        )
                    )
                    for status in work:
                        yield run | status | {"name": Path(recording).name}, *nothing
                        check()
                    titles = (say(request, "before"), say(request, "after"))
                    result = work.result._replace(titles=titles)
                    play = {"play": wanted["kind"] == "example"}
                    shown = results.player(result, settings.strength) | run | play
                    yield run | {"state": "done"}, shown, result, forms(result, request), recording
        except Stopped:
            pass
        except DenoiserError as error:
            yield run | {"state": "refused", "sentence": here(str(error))}, *nothing
        except Exception:  # a bug: the visitor sees that the run has ended, the log shows the cause
            yield run | {"state": "refused", "sentence": say(request, "failed")}, *nothing
            raise

    return start


def recording_of(wanted: dict[str, Any], request: gr.Request) -> str:
    """The path of the recording that the browser has sent or named. Raises DenoiserError."""
    kind = wanted["kind"]
    if kind == "file":
        recording = received(str(wanted["path"]), str(wanted["name"]))
    else:
        source = {"url": wanted["url"]} if kind == "url" else {"example": wanted["name"]}
        recording = links.recording_of(source, request)
    if not Path(recording).exists():
        raise DenoiserError(say(request, "gone"))
    return recording


def forms(result: Result, request: gr.Request) -> gr.Radio:
    """The formats of a download: video first if there is one; MP3 for up to two channels."""
    from denoiser import audio, video

    has_picture = video.has_picture(result.original)
    possible = {"video": has_picture, "mp3": audio.info(result.recording).channels <= 2}
    order = sorted(FORMS, key=lambda form: form != "video")
    choices = [(say(request, f"form.{form}"), form) for form in order if possible.get(form, True)]
    return gr.Radio(choices=choices, value="video" if has_picture else "wav")


def stop(request: gr.Request) -> None:
    latest.stop(request, "run")


def stop_many(request: gr.Request) -> None:
    latest.stop(request, "many")


def prepare(
    data: gr.EventData,
    result: Result | None,
    strength: float,
    loudness: str,
    form: str,
    dnsmos: bool,
    request: gr.Request,
) -> Iterator[tuple[Any, ...]]:
    """Makes the download at these settings; yields the button's value, and the measurements."""
    asked = {"number": data._data["number"], "form": form}
    notes: list[str] = []
    try:
        with latest.begin(request, "take") as check:
            yield asked | {"state": "preparing", "share": 0}, gr.skip()
            if not result:
                return
            making = Work(downloads.take(result, strength / 100, loudness, form, notes.append))
            for share in making:
                yield asked | {"state": "preparing", "share": share}, gr.skip()
                check()
            taken = making.result
            ready = taken._asdict() | {"state": "ready", "name": Path(taken.path).name}
            ready |= {"notes": [*map(here, notes)], "facts": results.facts(result, strength / 100)}
            yield asked | ready, details(result, strength / 100, dnsmos, request)
    except Stopped:
        pass
    except DenoiserError as error:
        yield asked | {"state": "failed", "notes": [here(str(error))]}, gr.skip()


def details(result: Result, strength: float, dnsmos: bool, request: gr.Request | None) -> str:
    """The measurements as HTML, in the visitor's language."""
    numbers = results.measured(result, strength)
    rows = [[say(request, key) for key in ("table.quantity", "before", "after")]]
    for name, unit in UNITS.items():
        values = (_number(numbers[side][name], unit, request) for side in ("before", "after"))
        rows.append([say(request, f"table.{name}"), *values])
    scores = results.opinions(result, strength) if dnsmos else {}
    if scores:
        for name in OPINIONS:
            marks = (f"{scores[side][name]:.1f}" for side in ("before", "after"))
            rows.append(
                [say(request, f"table.{name}"), *(say(request, "of_5", n=n) for n in marks)]
            )
    head, *body = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    lines = "".join(f"<tr>{cells}</tr>" for cells in body)
    short = f" · {say(request, 'dnsmos.short')}" if scores is None else ""
    about = html.escape(_about(result, numbers, request) + short)
    head = head.replace("td>", "th>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table><p>{about}</p>"


def _number(value: float, unit: str, request: gr.Request | None) -> str:
    if value < LOWEST:
        return say(request, "below", limit=f"−{-LOWEST:.0f} {unit}")
    return f"{value:.1f} {unit}".replace("-", "−")


def _about(result: Result, numbers: dict[str, Any], request: gr.Request | None) -> str:
    channels = numbers["channels"]
    return say(
        request,
        "about",
        length=f"{numbers['seconds']:.1f} s",
        khz=f"{numbers['sample_rate'] / 1000:g}",
        channels=say(request, f"channels.{channels if channels < 3 else 'n'}", n=channels),
        model=result.model,
        weights=result.weights,
    )


def starting_many(models: ModelRegistry, lanes: Lanes) -> Callable[..., Iterator[dict[str, Any]]]:
    """The handler for many files, which yields their rows."""

    def start_many(
        data: gr.EventData, request: gr.Request, form: str, *chosen: Any
    ) -> Iterator[dict[str, Any]]:
        run = {"run": data._data["run"]}
        settings = Settings.chosen(*chosen)
        folder = new_folder()
        rows: list[Row] = []
        try:
            with latest.begin(request, "many") as check, kept_if_finished(folder):
                yield run | {"rows": []}
                files = [received(str(f["path"]), str(f["name"])) for f in data._data["files"]]
                for rows in many.run_many(models, lanes, files, folder, settings, form, here):
                    yield run | {"rows": [dict(row) for row in rows]}
                    check()
                zipped = many.archive(folder, rows)
                yield run | {"rows": rows, "zip": zipped, "over": True}
        except Stopped:
            pass
        except DenoiserError as error:
            refused = {"state": "refused", "sentence": here(str(error))}
            count = len(data._data["files"])
            yield run | {"rows": [refused] * count, "zip": None, "over": True}

    return start_many


def noisier(
    source: str | None, name: str | None, own: str | None, snr_db: float, request: gr.Request
) -> dict[str, Any]:
    """`links.noisier`, with errors as a warning in the box."""
    try:
        return links.noisier(source, name, own, snr_db, request)
    except DenoiserError as error:
        return {"warning": here(str(error)), "at": links.now()}
