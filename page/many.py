"""Processing many recordings, with a row of status for each and unique names."""

from __future__ import annotations

import os
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from denoiser.errors import DenoiserError
from denoiser.files import fitting
from page import downloads, results
from page.downloads import Taken
from page.lanes import Lanes
from page.loading import ModelRegistry
from page.run import Settings, Status, Work, run_in_lane

Row = dict[str, Any]  # status of one recording: see `run_many`


def run_many(
    models: ModelRegistry,
    lanes: Lanes,
    recordings: list[str],
    folder: Path,
    settings: Settings,
    form: str = "wav",
    said: Callable[[str], str] = str,
) -> Iterator[list[Row]]:
    """Yields the rows whenever one has changed; an invalid file does not stop the others.

    A row has a name and a state (see `run_in_lane`), finally done or refused: done with path, name
    of the `output`, seconds and noise floors (dBFS), refused with a sentence. `said` translates a
    sentence for the visitor.
    """
    rows: list[Row] = [{"name": Path(each).name, "state": "batch.waiting"} for each in recordings]
    for row, recording in zip(rows, recordings, strict=True):
        part = Path(tempfile.mkdtemp(dir=folder))
        notes: list[str] = []
        try:
            for status in (
                one := Work(_one(models, lanes, recording, part, settings, form, notes))
            ):
                row.update(status)
                yield rows
            taken, numbers = one.result
            row |= _kept(taken.path, folder, rows)
            row |= numbers | {"state": "done", "notes": [said(note) for note in notes]}
        except DenoiserError as error:
            row |= {"state": "refused", "sentence": said(str(error))}
        finally:
            shutil.rmtree(part, ignore_errors=True)
        yield rows


def _one(
    models: ModelRegistry,
    lanes: Lanes,
    recording: str,
    part: Path,
    settings: Settings,
    form: str,
    notes: list[str],
) -> Generator[Status, None, tuple[Taken, dict[str, Any]]]:
    """Processes one recording: yields the status, returns the download and the measurements."""
    from denoiser import audio, video

    # WAV replaces a format that the file does not allow
    possible = {"video": lambda: video.has_picture(recording)}
    possible["mp3"] = lambda: settings.mono or audio.info(recording).channels <= 2
    form = form if possible.get(form, lambda: True)() else "wav"
    result = yield from run_in_lane(models, lanes, recording, part, settings)
    making = Work(downloads.take(result, settings.strength, settings.loudness, form, notes.append))
    for share in making:
        yield {"state": "preparing", "share": share, "form": form}
    numbers = results.facts(result, settings.strength)
    floors = [max(-80.0, numbers["floors"][side]) for side in ("before", "after")]
    told = {"seconds": numbers["seconds"], "floors": floors}
    return making.result, told | {"quieter": round(floors[0] - floors[1])}


def _kept(path: str, folder: Path, rows: list[Row]) -> Row:
    """Moves the file to a unique name in `folder`."""
    output = unused(Path(path).name, [row["output"] for row in rows if "output" in row])
    target = folder / output
    os.replace(path, target)
    return {"path": str(target), "output": output}


def archive(folder: Path, rows: list[Row]) -> str | None:
    """A ZIP of all outputs; None if there are none."""
    done = [row for row in rows if row["state"] == "done"]
    if not done:
        return None
    path = folder / "denoised.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        for row in done:
            bundle.write(row["path"], row["output"])
    return str(path)


def unused(name: str, taken: list[str]) -> str:
    """A name such as `talk_denoised.wav`, or `talk_denoised-2.wav` if the first is taken.

    Names count as equal if they differ only in case or Unicode normalization, as on some disks.
    """
    stem, ending = name.rsplit("_", 1)
    kind, suffix = os.path.splitext(ending)
    there, number = {_folded(other) for other in taken}, 1
    while _folded(name) in there:
        number += 1
        name = fitting(stem, f"_{kind}-{number}{suffix}")
    return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
