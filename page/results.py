"""A result as its visitor hears and sees it; the model has already run.

All files go beside the enhanced one, in the visitor's own folder, and are deleted with it in time.
Strength goes from 0 to 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from denoiser.files import fitting
from page.i18n import here
from page.session import warn

if TYPE_CHECKING:
    from denoiser.levels import Survey
    from denoiser.mixing import Listener

FORMS = {  # what can be taken away -> its name and ending
    "wav": ("denoised", ".wav"),
    "flac": ("denoised", ".flac"),
    "mp3": ("denoised", ".mp3"),
    "video": ("denoised", ""),  # the ending depends on the video
    "removed": ("removed", ".wav"),
    "pictures": ("pictures", ".zip"),
}
LOUDER_DB = 6.0  # at most, of one side of the player to match the other


class Result(NamedTuple):
    """What one run of the model left in the visitor's folder: all else is made from it."""

    original: str
    recording: str  # the original, or its mono mix
    enhanced: str  # at full strength, 32 bit float
    seconds: float
    model: str  # its name
    weights: str  # which state of it
    link: dict[str, str] | None = None  # what a link needs to compute it again
    took: float = 0.0  # seconds
    titles: tuple[str, str] = ("Before", "After")  # of the pictures


class Making:
    """What one pass over a result makes: the file, and the rest if it is shown."""

    def __init__(self, result: Result, strength: float, loudness: str, survey: Survey, shown: bool):
        from denoiser import audio, mixing, plot, preview, report
        from denoiser.audio.layouts import Downmix

        about, recording = audio.info(result.recording), result.recording
        self.result, self.shown = result, shown
        self.levels = {1.0: report.Levels(recording, 1.0)}
        self.levels.setdefault(strength, report.Levels(recording, strength))
        self.listeners: list[Listener] = list(self.levels.values())
        if loudness == "keep":
            path = path_of(result, strength, loudness, "wav")
            self.listeners.append(mixing.File(recording, path, strength=strength, notify=warn))
        if shown:
            downmix = Downmix(about.layout, survey.covariance)
            self.outline = preview.Outline(about.sample_rate)
            self.spectrograms = plot.Spectrograms(about.sample_rate, result.seconds, downmix)
            path = beside(result, preview.name(result.seconds))
            player = preview.Preview(recording, path, peak=survey.peak)
            self.listeners += [self.outline, self.spectrograms, player]

    def keep(self) -> None:
        """Write down what was measured and drawn."""
        for strength, levels in self.levels.items():
            report_path(self.result, strength).write_text(json.dumps(levels.numbers()))
        if not self.shown:
            return
        beside(self.result, "outline.json").write_text(json.dumps(self.outline.columns()))
        image = self.spectrograms.levels()
        beside(self.result, "picture.bin").write_bytes(image.tobytes())
        pictures = dict(zip(("before", "after"), self.spectrograms.pictures, strict=False))
        about = {"rows": image.shape[1], "columns": image.shape[2]}
        about |= {side: pictures["before"]._asdict()[side] for side in ("left", "right")}
        about |= {"ticks": self.spectrograms.ticks()}
        beside(self.result, "picture.json").write_text(json.dumps(about))
        arrays = {
            f"{side}_{field}": value
            for side, picture in pictures.items()
            for field, value in picture._asdict().items()
        }
        np.savez(beside(self.result, "pictures.npz"), **arrays)


def beside(result: Result, name: str) -> Path:
    return Path(result.enhanced).with_name(name)


def path_of(result: Result, strength: float, loudness: str, form: str) -> Path:
    """Where a file to take away belongs; its folder is there."""
    from denoiser import video

    name, suffix = FORMS[form]
    folder = beside(result, f"{100 * strength:g}-{loudness}")
    folder.mkdir(exist_ok=True)
    suffix = suffix or video.suffix(result.original)
    return folder / fitting(Path(result.original).stem, f"_{name}{suffix}")


def player(result: Result, strength: float) -> dict[str, Any]:
    """What page/parts/player.js plays and draws; both sides equally loud, as far as LOUDER_DB."""
    from denoiser import preview

    numbers = measured(result, 1.0)
    quieter = numbers["before"]["loudness_lufs"] - numbers["after"]["loudness_lufs"]
    picture = json.loads(beside(result, "picture.json").read_text())
    return {
        "name": Path(result.original).name,
        "path": str(beside(result, preview.name(result.seconds))),
        "sides": preview.sides(result.seconds, numbers["channels"]),
        "match_db": min(max(quieter, -LOUDER_DB), LOUDER_DB),
        "strength": strength,
        "outlines": json.loads(beside(result, "outline.json").read_text()),
        "picture": picture | {"path": str(beside(result, "picture.bin"))},
        "link": result.link,
        "facts": facts(result, strength),
    }


def facts(result: Result, strength: float) -> dict[str, Any]:
    """What the line for people says."""
    numbers = measured(result, strength)
    floors = {side: numbers[side]["noise_floor_db"] for side in ("before", "after")}
    told = {key: numbers[key] for key in ("seconds", "channels")}
    remark = numbers["remark"] and here(numbers["remark"])
    return told | {"remark": remark} | {"floors": floors, "took": result.took}


def measured(result: Result, strength: float) -> dict[str, Any]:
    """The report at a strength; one that was already made is read again."""
    from denoiser import report

    path = report_path(result, strength)
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength)
        path.write_text(json.dumps(numbers))
    return json.loads(path.read_text())


def opinions(result: Result, strength: float) -> dict[str, dict[str, float]] | None:
    """side -> DNSMOS at a strength; None for what is too short."""
    from denoiser import metrics, report

    if result.seconds < metrics.LEAST_JUDGED_SECONDS:
        return None
    path = report_path(result, strength, "-dnsmos")
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength, dnsmos=True)
        scores = {side: numbers[side]["dnsmos"] for side in ("before", "after")}
        path.write_text(json.dumps(scores))
    return json.loads(path.read_text())


def report_path(result: Result, strength: float, kind: str = "") -> Path:
    return beside(result, f"report-{100 * strength:g}{kind}.json")
