"""The files for the player, the picture and the measurements of a result.

All are in the folder of the enhanced file, and are deleted with it. Strengths are from 0 to 1.
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

FORMS = {  # format of a download -> its name and ending
    "wav": ("denoised", ".wav"),
    "flac": ("denoised", ".flac"),
    "mp3": ("denoised", ".mp3"),
    "video": ("denoised", ""),  # the ending depends on the video
    "removed": ("removed", ".wav"),
    "pictures": ("pictures", ".zip"),
}
LOUDER_DB = 6.0  # largest gain of one side of the player to match the other


class Result(NamedTuple):
    """The output of one run of the model, from which all other files are made."""

    original: str
    recording: str  # the original, or its mono mix
    enhanced: str  # at full strength, 32-bit float
    seconds: float
    model: str  # name
    weights: str  # version
    link: dict[str, str] | None = None  # query of a link that reproduces it
    took: float = 0.0  # seconds of processing
    titles: tuple[str, str] = ("Before", "After")  # of the pictures


class Making:
    """The outputs of one pass over a result: the download, and the player's files if `shown`."""

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
        """Writes the measurements and pictures."""
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
    """The path of a download, in an existing folder."""
    from denoiser import video

    name, suffix = FORMS[form]
    folder = beside(result, f"{100 * strength:g}-{loudness}")
    folder.mkdir(exist_ok=True)
    suffix = suffix or video.suffix(result.original)
    return folder / fitting(Path(result.original).stem, f"_{name}{suffix}")


def player(result: Result, strength: float) -> dict[str, Any]:
    """The value of page/parts/player.js; both sides are equally loud, within LOUDER_DB."""
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
    """The values of the summary line: seconds, channels, remark, floors (dBFS) and time taken."""
    numbers = measured(result, strength)
    floors = {side: numbers[side]["noise_floor_db"] for side in ("before", "after")}
    told = {key: numbers[key] for key in ("seconds", "channels")}
    remark = numbers["remark"] and here(numbers["remark"])
    return told | {"remark": remark} | {"floors": floors, "took": result.took}


def measured(result: Result, strength: float) -> dict[str, Any]:
    """The report at a strength, from its file if there is one."""
    from denoiser import report

    path = report_path(result, strength)
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength)
        path.write_text(json.dumps(numbers))
    return json.loads(path.read_text())


def opinions(result: Result, strength: float) -> dict[str, dict[str, float]] | None:
    """side -> DNSMOS scores at a strength; None for a recording that is too short."""
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
