"""Making a download in any format, at any strength (0 to 1) and loudness.

A download is made from a result when it is first requested, and kept beside the enhanced file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from denoiser.files import fitting, replacing
from page.results import Result, beside, measured, path_of, report_path
from page.run import Work
from page.session import warn

if TYPE_CHECKING:
    from denoiser.audio import Info, Notify
    from denoiser.loudness import Limiter
    from denoiser.mixing import Listener

LOUDNESS = ("keep", "-16", "-23")  # LUFS
# Of the work that is left: measuring levels, the sound of a video, finding a gain
LEVELS_SHARE, SOUND_SHARE, PASSES_SHARE = 0.5, 0.3, 0.75
CLEAR_DB = 3.0  # below full scale: peaks between samples then stay under the ceiling
First = TypeVar("First")
Second = TypeVar("Second")


class Taken(NamedTuple):
    """A download and its properties."""

    path: str
    lufs: float = -70.0
    peak: float = -140.0
    unit: str = "dBFS"
    target: float | None = None  # LUFS, if one was chosen
    silent: bool = False  # without speech, so that the loudness is unchanged


def take(
    result: Result, strength: float, loudness: str, form: str, notify: Notify = warn
) -> Generator[float, None, Taken]:
    """The download, made on the first request: yields the shares done, 0 to 1, ascending.

    Raises AudioError.
    """
    path = path_of(result, strength, loudness, form)
    kept = path.with_name(f"{form}.json")
    if path.exists() and kept.exists():
        return Taken(**json.loads(kept.read_text()))
    taken = yield from _in_turn(
        _levelled(result, strength),
        lambda _: _made(result, path, strength, loudness, form, notify),
        LEVELS_SHARE,
    )
    kept.write_text(json.dumps(taken._asdict()))
    return taken


def _in_turn(
    first: Generator[float, None, First],
    then: Callable[[First], Generator[float, None, Second]],
    weight: float,
) -> Generator[float, None, Second]:
    """Two pieces of work, the second made from the result of the first: yields shares of both.

    The first is `weight` of the work; if it yields nothing, none of it.
    """
    done, work = 0.0, Work(first)
    for share in work:
        done = weight * share
        yield done
    second = Work(then(work.result))
    for share in second:
        yield done + (1 - done) * share
    return second.result


def _levelled(result: Result, strength: float) -> Generator[float, None, None]:
    """Writes the report at a strength if there is none."""
    from denoiser import report

    if not report_path(result, strength).exists():
        levels = report.Levels(result.recording, strength)
        yield from _pass(result, [levels])
        report_path(result, strength).write_text(json.dumps(levels.numbers()))


def _made(
    result: Result, path: Path, strength: float, loudness: str, form: str, notify: Notify
) -> Generator[float, None, Taken]:
    """Makes the download in the format `form` at `path`."""
    if form == "video":
        sound = take(result, strength, loudness, "wav", notify)
        film = partial(_film, result, path, notify)
        return (yield from _in_turn(sound, film, SOUND_SHARE))
    if form == "removed":
        yield from _written(result, path, strength, 1.0, None, notify)
        return Taken(str(path))
    if form == "pictures":
        with replacing(path) as whole, zipfile.ZipFile(whole, "w") as bundle:
            for picture in pictures(result, strength):
                stem = Path(result.original).stem
                bundle.write(picture, fitting(stem, f"_{Path(picture).name}"))
        return Taken(str(path))
    return (yield from _taken(result, path, strength, loudness, notify))


def _film(
    result: Result, path: Path, notify: Notify, sound: Taken
) -> Generator[float, None, Taken]:
    """Makes the video with the new sound."""
    from denoiser import video

    yield from video.replacing_sound(result.original, sound.path, path, notify)
    return sound._replace(path=str(path))


def _taken(
    result: Result, path: Path, strength: float, loudness: str, notify: Notify
) -> Generator[float, None, Taken]:
    """Makes the mixture as WAV, FLAC or MP3, at the chosen loudness."""
    from denoiser import audio

    after = measured(result, strength)["after"]
    taken = Taken(str(path), after["loudness_lufs"], after["peak_dbfs"])
    if loudness == "keep" or _is_without_speech(result, strength):
        gain = audio.fitting_gain(path, 10 ** (after["peak_dbfs"] / 20), notify)
        if not path.exists():
            yield from _written(result, path, strength, gain, None, notify)
        gain_db = 20 * float(np.log10(gain))
        silent = loudness != "keep"
        return taken._replace(lufs=taken.lufs + gain_db, peak=taken.peak + gain_db, silent=silent)
    return (
        yield from _in_turn(
            _met(result, strength, float(loudness), taken),
            lambda met: _limited(result, strength, *met, notify),
            PASSES_SHARE,
        )
    )


def _limited(
    result: Result, strength: float, gain_db: float, taken: Taken, notify: Notify
) -> Generator[float, None, Taken]:
    """Writes the file of `taken` with a gain and the limiter."""
    from denoiser.loudness import Limiter

    about = _about(result)
    limiter = Limiter(about.sample_rate, about.channels)
    gain = 10 ** (gain_db / 20)
    yield from _written(result, Path(taken.path), strength, gain, limiter, notify)
    return taken


def _met(
    result: Result, strength: float, target: float, taken: Taken
) -> Generator[float, None, tuple[float, Taken]]:
    """The gain in dB for a loudness after the limiter, and `taken` with the values reached."""
    from denoiser import loudness

    gain_db, about = target - taken.lufs, _about(result)
    taken = taken._replace(target=target)
    if taken.peak + gain_db < -CLEAR_DB:  # the limiter stays inactive
        return gain_db, taken._replace(lufs=target, peak=taken.peak + gain_db)
    for number in range(loudness.PASSES):
        measure = loudness.Measure(
            about.sample_rate, about.layout, about.channels, strength, gain_db
        )
        for share in _pass(result, [measure]):
            yield (number + share) / loudness.PASSES
        short = target - measure.loudness_lufs
        if abs(short) <= loudness.CLOSE_LU or number == loudness.PASSES - 1:
            break
        gain_db += short
    return gain_db, taken._replace(lufs=measure.loudness_lufs, peak=measure.peak_dbtp, unit="dBTP")


def _is_without_speech(result: Result, strength: float) -> bool:
    """Whether a recording has no speech, so that its loudness must not be raised."""
    from denoiser.levels import SILENT_LUFS
    from denoiser.report import MUCH_DB

    before, after = (measured(result, strength)[side] for side in ("before", "after"))
    return after["loudness_lufs"] <= max(SILENT_LUFS, before["loudness_lufs"] + MUCH_DB)


def _about(result: Result) -> Info:
    from denoiser import audio

    return audio.info(result.enhanced)


def _written(
    result: Result,
    path: Path,
    strength: float,
    gain: float,
    limiter: Limiter | None,
    notify: Notify,
) -> Iterator[float]:
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


def _pass(result: Result, listeners: list[Listener]) -> Iterator[float]:
    """Passes recording and enhanced file to the listeners; yields the shares done."""
    from denoiser import mixing

    samples = result.seconds * _about(result).sample_rate
    for done in mixing.observe(result.recording, result.enhanced, *listeners):
        yield min(done / samples, 1.0)


def pictures(result: Result, strength: float) -> tuple[str, str]:
    """Spectrograms before and after, as two PNG files of equal size. Raises AudioError."""
    from denoiser import plot

    folder = path_of(result, strength, "keep", "wav").parent
    paths = str(folder / "before.png"), str(folder / "after.png")
    if all(Path(path).exists() for path in paths):
        return paths
    kept = beside(result, "pictures.npz")
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
