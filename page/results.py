"""A result as its visitor hears, sees, reads and takes it; the model has already run.

All files go beside the enhanced one, in the visitor's own folder, and are deleted with it in time.
Strength goes from 0 to 1.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np

from denoiser.files import fitting, replacing
from page.i18n import FOR_PLAYER, say
from page.session import warn

LOUDER_DB = 6.0  # at most, of one side of the player to match the other
HIGHEST_PEAK_DBFS = -1.0  # after loudness has been brought to a target
UNITS = {"noise_floor_db": "dBFS", "snr_db": "dB", "loudness_lufs": "LUFS", "peak_dbfs": "dBFS"}
OPINIONS = ("ovrl", "sig", "bak", "p808")
LOUDNESS = ("keep", "-16", "-23")  # LUFS
FORMS = {  # what can be taken away -> its name and ending
    "wav": ("denoised", ".wav"),
    "flac": ("denoised", ".flac"),
    "mp3": ("denoised", ".mp3"),
    "film": ("denoised", ""),  # the ending depends on the video
    "removed": ("removed", ".wav"),
    "pictures": ("pictures", ".zip"),
}


class Result(NamedTuple):
    """What one run of the model left in the visitor's folder: all else is made from it."""

    original: str
    recording: str  # the original, or its mono mix
    enhanced: str  # at full strength, 32 bit float
    seconds: float
    model: str  # its name
    weights: str  # which state of it
    link: dict | None = None  # what a link needs to compute it again
    took: float = 0.0  # seconds
    titles: tuple[str, str] = ("Before", "After")  # of the pictures


class Making:
    """What one pass over a result makes: the file, and the rest if it is shown."""

    def __init__(self, result: Result, strength: float, loudness: str, survey, shown: bool):
        from denoiser import audio, mixing, plot, report
        from denoiser.audio.layouts import Downmix

        about, recording = audio.info(result.recording), result.recording
        self.result, self.shown = result, shown
        self.levels = {1.0: report.Levels(recording, 1.0)}
        self.levels.setdefault(strength, report.Levels(recording, strength))
        self.listeners = list(self.levels.values())
        if loudness == "keep":
            path = _path(result, strength, loudness, "wav")
            self.listeners.append(mixing.File(recording, path, strength=strength, notify=warn))
        if shown:
            downmix = Downmix(about.layout, survey.covariance)
            self.outline = mixing.Outline(about.sample_rate)
            self.spectrograms = plot.Spectrograms(about.sample_rate, result.seconds, downmix)
            preview = mixing.Preview(recording, preview_of(result), peak=survey.peak)
            self.listeners += [self.outline, self.spectrograms, preview]

    def keep(self) -> None:
        """Write down what was measured and drawn."""
        for strength, levels in self.levels.items():
            _report_path(self.result, strength).write_text(json.dumps(levels.numbers()))
        if self.shown:
            path = Path(self.result.enhanced)
            path.with_name("outline.json").write_text(json.dumps(self.outline.columns()))
            pictures = {
                f"{side}_{field}": getattr(picture, field)
                for side, picture in zip(
                    ("before", "after"), self.spectrograms.pictures[:2], strict=True
                )
                for field in picture._fields
            }
            np.savez(path.with_name("pictures.npz"), **pictures)


def preview_of(result: Result) -> Path:
    return Path(result.enhanced).with_name("preview.flac")


def player(result: Result, strength: float, request: gr.Request | None) -> dict:
    """What page/player.js plays and draws; both sides equally loud, as far as LOUDER_DB does it."""
    numbers = measured(result, 1.0)
    quieter = numbers["before"]["loudness_lufs"] - numbers["after"]["loudness_lufs"]
    return {
        "path": str(preview_of(result)),
        "sides": min(numbers["channels"], 2),
        "match_db": min(max(quieter, -LOUDER_DB), LOUDER_DB),
        "strength": strength,
        "outlines": json.loads(Path(result.enhanced).with_name("outline.json").read_text()),
        "link": result.link,
        "words": {key: say(request, key) for key in FOR_PLAYER},
    }


def measured(result: Result, strength: float, dnsmos: bool = False) -> dict:
    """The report at a strength; one that was already made is read again."""
    from denoiser import report

    path = _report_path(result, strength, "-dnsmos" if dnsmos else "")
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength, dnsmos=dnsmos)
        path.write_text(json.dumps(numbers))
    return json.loads(path.read_text())


def _report_path(result: Result, strength: float, kind: str = "") -> Path:
    return Path(result.enhanced).with_name(f"report-{100 * strength:g}{kind}.json")


def _path(result: Result, strength: float, loudness: str, form: str) -> Path:
    """Where a file to take away belongs; its folder is there."""
    from denoiser import video

    name, suffix = FORMS[form]
    folder = Path(result.enhanced).with_name(f"{100 * strength:g}-{loudness}")
    folder.mkdir(exist_ok=True)
    suffix = suffix or video.suffix(result.original)
    return folder / fitting(Path(result.original).stem, f"_{name}{suffix}")


def take(result: Result, strength: float, loudness: str = "keep", form: str = "wav") -> str:
    """The file to take away; made when it is first asked for. Raises AudioError."""
    from denoiser import mixing, video

    path = _path(result, strength, loudness, form)
    if path.exists():
        return str(path)
    if form == "film":
        sound = take(result, strength, loudness)
        video.replace_sound(result.original, sound, path, notify=warn)
    elif form == "pictures":
        with replacing(path) as whole, zipfile.ZipFile(whole, "w") as bundle:
            for picture in pictures(result, strength):
                stem = Path(result.original).stem
                bundle.write(picture, fitting(stem, f"_{Path(picture).name}"))
    else:
        mixing.remix(
            result.recording,
            result.enhanced,
            path,
            strength=strength,
            removed=form == "removed",
            gain_db=0.0 if form == "removed" else _gain_db(result, strength, loudness),
            notify=warn,
        )
    return str(path)


def _gain_db(result: Result, strength: float, loudness: str) -> float:
    """Up or down to a loudness, but no further up than the highest peak allows.

    What is left of a recording without speech stays as quiet as it is.
    """
    from denoiser.levels import SILENT_LUFS
    from denoiser.report import MUCH_DB

    if loudness == "keep":
        return 0.0
    before, after = (measured(result, strength)[side] for side in ("before", "after"))
    if after["loudness_lufs"] <= max(SILENT_LUFS, before["loudness_lufs"] + MUCH_DB):
        return 0.0
    wanted = float(loudness) - after["loudness_lufs"]
    return min(wanted, max(0.0, HIGHEST_PEAK_DBFS - after["peak_dbfs"]))


def pictures(result: Result, strength: float) -> tuple[str, str]:
    """Spectrograms before and after, as two PNG files of one size. Raises AudioError."""
    from denoiser import audio, plot

    folder = _path(result, strength, "keep", "wav").parent
    paths = tuple(str(folder / f"{side}.png") for side in ("before", "after"))
    if all(Path(path).exists() for path in paths):
        return paths
    kept = Path(result.enhanced).with_name("pictures.npz")
    if strength == 1 and kept.exists():
        with np.load(kept) as saved:
            drawn = [
                plot.Picture(*(saved[f"{side}_{field}"] for field in plot.Picture._fields))
                for side in ("before", "after")
            ]
        rate = audio.info(result.enhanced).sample_rate
        figures = plot.compare_pictures(drawn, rate, result.titles)
    else:
        figures = plot.compare_files(result.recording, take(result, strength), result.titles)
    for figure, path in zip(figures, paths, strict=True):
        with replacing(path) as whole:
            figure.savefig(whole, format="png")
    return paths


def table(result: Result, numbers: dict, request: gr.Request | None) -> str:
    """A report as Markdown in the language of the visitor; its remark is English."""

    def values(side: str, name: str) -> str:
        all_of_them = numbers[side] | numbers[side].get("dnsmos", {})
        return f"{all_of_them[name]:.1f} {UNITS.get(name, '')}".replace("-", "−")

    head = [say(request, key) for key in ("table.quantity", "before", "after")]
    lines = [f"| {' | '.join(head)} |", "|:--|--:|--:|"]
    for name in (*UNITS, *(OPINIONS if "dnsmos" in numbers["before"] else ())):
        before, after = values("before", name), values("after", name)
        lines.append(f"| {say(request, f'table.{name}')} | {before} | {after} |")
    many = "1" if numbers["channels"] == 1 else "n"
    about = say(
        request,
        "about",
        seconds=f"{numbers['seconds']:.1f}",
        khz=f"{numbers['sample_rate'] / 1000:g}",
        channels=say(request, f"channels.{many}", n=numbers["channels"]),
        speed=f"{result.seconds / max(result.took, 1e-3):.0f}",
        model=f"{result.model}, weights {result.weights}",
    )
    remark = f"**{numbers['remark']}** " if numbers["remark"] else ""
    return "\n".join(lines) + f"\n\n{remark}{about}"
