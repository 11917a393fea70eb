"""A result as its visitor hears, sees, reads and takes it; the model has already run.

All files go beside the estimate, in the visitor's own folder, and are deleted with it in time.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from denoiser.files import fitting, replacing
from page.i18n import FOR_PLAYER, say

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
    estimate: str  # at full strength, 32 bit float
    speed: float  # seconds of audio a second
    model: str  # its name and commit
    link: dict  # what a link needs to compute it again
    titles: tuple[str, str] = ("Before", "After")  # of the pictures


def player(result: Result, percent: float, request: gr.Request | None) -> dict:
    """What page/player.js plays and draws; both sides equally loud, as far as LOUDER_DB does it."""
    from denoiser import mixing

    path = Path(result.estimate).with_name("preview.flac")
    numbers = measured(result, 1.0)
    peak_dbfs = max(numbers[side]["peak_dbfs"] for side in ("before", "after"))
    peak = 10 ** (peak_dbfs / 20)
    outlines = mixing.preview(result.recording, result.estimate, path, peak=peak)
    quieter = numbers["before"]["loudness_lufs"] - numbers["after"]["loudness_lufs"]
    return {
        "path": str(path),
        "sides": min(numbers["channels"], 2),
        "match_db": min(max(quieter, -LOUDER_DB), LOUDER_DB),
        "strength": percent / 100,
        "outlines": outlines,
        "link": result.link,
        "words": {key: say(request, key) for key in FOR_PLAYER},
    }


def measured(result: Result, strength: float, dnsmos: bool = False) -> dict:
    """The report at a strength; one that was already made is read again."""
    from denoiser import report

    path = Path(result.estimate).with_name(f"report-{100 * strength:g}{'-dnsmos' * dnsmos}.json")
    if not path.exists():
        numbers = report.report(result.recording, result.estimate, strength=strength, dnsmos=dnsmos)
        path.write_text(json.dumps(numbers))
    return json.loads(path.read_text())


def take(result: Result, strength: float, loudness: str = "keep", form: str = "wav") -> str:
    """The file to take away; made when it is first asked for. Raises AudioError."""
    from denoiser import mixing, video

    name, suffix = FORMS[form]
    stem = Path(result.original).stem
    suffix = suffix or video.suffix(result.original)
    folder = Path(result.estimate).with_name(f"{100 * strength:g}-{loudness}")
    folder.mkdir(exist_ok=True)
    path = folder / fitting(stem, f"_{name}{suffix}")
    if path.exists():
        return str(path)
    if form == "film":
        sound = take(result, strength, loudness)
        video.replace_sound(result.original, sound, path, notify=warn)
    elif form == "pictures":
        with replacing(path) as whole, zipfile.ZipFile(whole, "w") as bundle:
            for picture in pictures(result, strength):
                bundle.write(picture, fitting(stem, f"_{Path(picture).name}"))
    else:
        mixing.remix(
            result.recording,
            result.estimate,
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
    from denoiser import plot

    after = Path(take(result, strength))
    paths = tuple(str(after.with_name(f"{side}.png")) for side in ("before", "after"))
    if not all(Path(path).exists() for path in paths):
        figures = plot.compare_files(result.recording, str(after), result.titles)
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
        speed=f"{result.speed:.0f}",
        model=result.model,
    )
    remark = f"**{numbers['remark']}** " if numbers["remark"] else ""
    return "\n".join(lines) + f"\n\n{remark}{about}"


def cache() -> Path:
    """Where Gradio keeps what visitors send, and serves from."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_folder() -> Path:
    """For one request: a file there is served as it is, and deleted in time."""
    return Path(tempfile.mkdtemp(dir=cache()))


@contextlib.contextmanager
def refusals():
    """What is wrong with a visitor's file, link or model becomes a sentence on the page."""
    from denoiser.audio import AudioError
    from denoiser.checkpoint import CheckpointError
    from page.fetch import FetchError

    try:
        yield
    except (AudioError, CheckpointError, FetchError) as error:
        raise refusal(str(error)) from None


def refusal(sentence: str) -> gr.Error:
    return gr.Error(_text(sentence), print_exception=False)


def warn(sentence: str) -> None:
    gr.Warning(_text(sentence))


def _text(sentence: str) -> str:
    """Gradio shows messages as HTML: a file's name, or a link's words, could load a picture."""
    return sentence.replace("<", "&lt;")
