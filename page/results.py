"""A result as its visitor hears, sees and takes it; the model has already run.

All files go beside the enhanced one, in the visitor's own folder, and are deleted with it in time.
Strength goes from 0 to 1.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from denoiser.files import fitting, replacing
from page.i18n import here
from page.session import warn

LOUDER_DB = 6.0  # at most, of one side of the player to match the other
LOUDNESS = ("keep", "-16", "-23")  # LUFS
FORMS = {  # what can be taken away -> its name and ending
    "wav": ("denoised", ".wav"),
    "flac": ("denoised", ".flac"),
    "mp3": ("denoised", ".mp3"),
    "video": ("denoised", ""),  # the ending depends on the video
    "removed": ("removed", ".wav"),
    "pictures": ("pictures", ".zip"),
}
FULLEST = 0.98  # peak of what is turned down to fit FLAC or MP3
CLEAR_DB = 3.0  # below full scale: no peak between samples reaches the ceiling from there


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
        from denoiser import audio, mixing, plot, preview, report
        from denoiser.audio.layouts import Downmix

        about, recording = audio.info(result.recording), result.recording
        self.result, self.shown = result, shown
        self.levels = {1.0: report.Levels(recording, 1.0)}
        self.levels.setdefault(strength, report.Levels(recording, strength))
        self.listeners = list(self.levels.values())
        if loudness == "keep":
            path = path_of(result, strength, loudness, "wav")
            self.listeners.append(mixing.File(recording, path, strength=strength, notify=warn))
        if shown:
            downmix = Downmix(about.layout, survey.covariance)
            self.outline = preview.Outline(about.sample_rate)
            self.spectrograms = plot.Spectrograms(about.sample_rate, result.seconds, downmix)
            path = _beside(result, preview.name(result.seconds))
            player = preview.Preview(recording, path, peak=survey.peak)
            self.listeners += [self.outline, self.spectrograms, player]

    def keep(self) -> None:
        """Write down what was measured and drawn."""
        for strength, levels in self.levels.items():
            _report_path(self.result, strength).write_text(json.dumps(levels.numbers()))
        if not self.shown:
            return
        _beside(self.result, "outline.json").write_text(json.dumps(self.outline.columns()))
        levels = self.spectrograms.levels()
        _beside(self.result, "picture.bin").write_bytes(levels.tobytes())
        pictures = dict(zip(("before", "after"), self.spectrograms.pictures, strict=False))
        about = {"rows": levels.shape[1], "columns": levels.shape[2]}
        about |= {side: pictures["before"]._asdict()[side] for side in ("left", "right")}
        about |= {"ticks": self.spectrograms.ticks()}
        _beside(self.result, "picture.json").write_text(json.dumps(about))
        arrays = {
            f"{side}_{field}": value
            for side, picture in pictures.items()
            for field, value in picture._asdict().items()
        }
        np.savez(_beside(self.result, "pictures.npz"), **arrays)


def _beside(result: Result, name: str) -> Path:
    return Path(result.enhanced).with_name(name)


def player(result: Result, strength: float) -> dict:
    """What page/parts/player.js plays and draws; both sides equally loud, as far as LOUDER_DB."""
    from denoiser import preview

    numbers = measured(result, 1.0)
    quieter = numbers["before"]["loudness_lufs"] - numbers["after"]["loudness_lufs"]
    picture = json.loads(_beside(result, "picture.json").read_text())
    return {
        "name": Path(result.original).name,
        "path": str(_beside(result, preview.name(result.seconds))),
        "sides": preview.sides(result.seconds, numbers["channels"]),
        "match_db": min(max(quieter, -LOUDER_DB), LOUDER_DB),
        "strength": strength,
        "outlines": json.loads(_beside(result, "outline.json").read_text()),
        "picture": picture | {"path": str(_beside(result, "picture.bin"))},
        "link": result.link,
        "facts": facts(result, strength),
    }


def facts(result: Result, strength: float) -> dict:
    """What the line for people says."""
    numbers = measured(result, strength)
    floors = {side: numbers[side]["noise_floor_db"] for side in ("before", "after")}
    told = {key: numbers[key] for key in ("seconds", "channels")}
    remark = numbers["remark"] and here(numbers["remark"])
    return told | {"remark": remark} | {"floors": floors, "took": result.took}


def measured(result: Result, strength: float) -> dict:
    """The report at a strength; one that was already made is read again."""
    from denoiser import report

    path = _report_path(result, strength)
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength)
        path.write_text(json.dumps(numbers))
    return json.loads(path.read_text())


def opinions(result: Result, strength: float) -> dict | None:
    """side -> DNSMOS at a strength; None for what is too short."""
    from denoiser import metrics, report

    if result.seconds < metrics.LEAST_JUDGED_SECONDS:
        return None
    path = _report_path(result, strength, "-dnsmos")
    if not path.exists():
        numbers = report.report(result.recording, result.enhanced, strength=strength, dnsmos=True)
        scores = {side: numbers[side]["dnsmos"] for side in ("before", "after")}
        path.write_text(json.dumps(scores))
    return json.loads(path.read_text())


def _report_path(result: Result, strength: float, kind: str = "") -> Path:
    return _beside(result, f"report-{100 * strength:g}{kind}.json")


def path_of(result: Result, strength: float, loudness: str, form: str) -> Path:
    """Where a file to take away belongs; its folder is there."""
    from denoiser import video

    name, suffix = FORMS[form]
    folder = _beside(result, f"{100 * strength:g}-{loudness}")
    folder.mkdir(exist_ok=True)
    suffix = suffix or video.suffix(result.original)
    return folder / fitting(Path(result.original).stem, f"_{name}{suffix}")


# ---- the file to take away


class Taken(NamedTuple):
    """A file to take away, and what is to be said of it."""

    path: str
    lufs: float = -70.0
    peak: float = -140.0
    unit: str = "dBFS"
    target: float | None = None  # LUFS, where one was asked for
    silent: bool = False  # without speech: no loudness to change


def take(
    result: Result, strength: float, loudness: str, form: str, notify: Callable[[str], None] = warn
) -> Generator[float, None, Taken]:
    """The file to take away, made when it is first asked for: yields shares. Raises AudioError."""
    from denoiser import report, video

    path = path_of(result, strength, loudness, form)
    kept = path.with_name(f"{form}.json")
    if path.exists() and kept.exists():
        return Taken(**json.loads(kept.read_text()))
    if not _report_path(result, strength).exists():
        levels = report.Levels(result.recording, strength)
        yield from _pass(result, [levels])
        _report_path(result, strength).write_text(json.dumps(levels.numbers()))
    if form == "pictures":
        with replacing(path) as whole, zipfile.ZipFile(whole, "w") as bundle:
            for picture in pictures(result, strength):
                stem = Path(result.original).stem
                bundle.write(picture, fitting(stem, f"_{Path(picture).name}"))
        taken = Taken(str(path))
    elif form == "removed":
        yield from _written(result, path, strength, 1.0, None, notify)
        taken = Taken(str(path))
    elif form == "video":
        sound = yield from take(result, strength, loudness, "wav", notify)
        video.replace_sound(result.original, sound.path, path, notify=notify)
        taken = sound._replace(path=str(path))
    else:
        taken = yield from _taken(result, path, strength, loudness, notify)
    kept.write_text(json.dumps(taken._asdict()))
    return taken


def _taken(result, path: Path, strength: float, loudness: str, notify):
    """The mixture as WAV, FLAC or MP3, as loud as asked for."""
    from denoiser.loudness import Limiter

    after = measured(result, strength)["after"]
    taken = Taken(str(path), after["loudness_lufs"], after["peak_dbfs"])
    if loudness == "keep" or _is_without_speech(result, strength):
        gain = _fitting_gain(path, after["peak_dbfs"], notify)
        if not path.exists():
            yield from _written(result, path, strength, gain, None, notify)
        gain_db = 20 * float(np.log10(gain))
        silent = loudness != "keep"
        return taken._replace(lufs=taken.lufs + gain_db, peak=taken.peak + gain_db, silent=silent)
    target = float(loudness)
    gain_db, taken = yield from _met(result, strength, target, taken)
    about = _about(result)
    limiter = Limiter(about.sample_rate, about.channels)
    yield from _written(result, path, strength, 10 ** (gain_db / 20), limiter, notify)
    return taken._replace(target=target)


def _met(result, strength: float, target: float, taken: Taken):
    """The gain in dB that brings a mixture to a loudness, limiter and all; what it reaches."""
    from denoiser import loudness

    gain_db, about = target - taken.lufs, _about(result)
    if taken.peak + gain_db < -CLEAR_DB:  # the limiter has nothing to do
        return gain_db, taken._replace(lufs=target, peak=taken.peak + gain_db)
    for number in range(loudness.PASSES):
        measure = loudness.Measure(
            about.sample_rate, about.layout, about.channels, strength, gain_db
        )
        yield from _pass(result, [measure])
        short = target - measure.loudness_lufs
        if abs(short) <= loudness.CLOSE_LU or number == loudness.PASSES - 1:
            break
        gain_db += short
    return gain_db, taken._replace(lufs=measure.loudness_lufs, peak=measure.peak_dbtp, unit="dBTP")


def _is_without_speech(result: Result, strength: float) -> bool:
    """What is left of a recording without speech stays as quiet as it is."""
    from denoiser.levels import SILENT_LUFS
    from denoiser.report import MUCH_DB

    before, after = (measured(result, strength)[side] for side in ("before", "after"))
    return after["loudness_lufs"] <= max(SILENT_LUFS, before["loudness_lufs"] + MUCH_DB)


def _fitting_gain(path: Path, peak_dbfs: float, notify) -> float:
    """What keeps a peak within a FLAC or MP3; a WAV holds any."""
    if path.suffix == ".wav" or peak_dbfs <= 0:
        return 1.0
    gain = FULLEST / 10 ** (peak_dbfs / 20)
    notify(
        f"{path.name} was lowered by {-20 * np.log10(gain):.1f} dB to avoid clipping: choose WAV "
        "to keep the level."
    )
    return gain


def _about(result: Result):
    from denoiser import audio

    return audio.info(result.enhanced)


def _written(result, path: Path, strength, gain, limiter, notify) -> Iterator[float]:
    from denoiser import mixing

    removed = path.stem.endswith("_removed")
    yield from _pass(
        result,
        [
            mixing.File(
                result.recording,
                path,
                strength=strength,
                removed=removed,
                gain=gain,
                limiter=limiter,
                notify=notify,
            )
        ],
    )


def _pass(result: Result, listeners: list) -> Iterator[float]:
    """One pass over recording and enhanced file: the shares done."""
    from denoiser import mixing

    samples = result.seconds * _about(result).sample_rate
    for done in mixing.observe(result.recording, result.enhanced, *listeners):
        yield min(done / samples, 1.0)


def pictures(result: Result, strength: float) -> tuple[str, str]:
    """Spectrograms before and after, as two PNG files of one size. Raises AudioError."""
    from denoiser import plot

    folder = path_of(result, strength, "keep", "wav").parent
    paths = tuple(str(folder / f"{side}.png") for side in ("before", "after"))
    if all(Path(path).exists() for path in paths):
        return paths
    kept = _beside(result, "pictures.npz")
    if strength == 1 and kept.exists():
        with np.load(kept) as saved:
            drawn = [
                plot.Picture(*(saved[f"{side}_{field}"] for field in plot.Picture._fields))
                for side in ("before", "after")
            ]
        figures = plot.compare_pictures(drawn, _about(result).sample_rate, result.titles)
    else:
        after = path_of(result, strength, "keep", "wav")
        if not after.exists():
            for _ in _written(result, after, strength, 1.0, None, warn):
                pass
        figures = plot.compare_files(result.recording, str(after), result.titles)
    for figure, path in zip(figures, paths, strict=True):
        with replacing(path) as whole:
            figure.savefig(whole, format="png")
    return paths
