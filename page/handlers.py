"""What the page does when something is clicked: translation into calls of `denoiser`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gradio as gr

LONG_SECONDS = 600  # from here on ZeroGPU's GPU is worth its start and the visitor's daily share
LOUDER_DB = 6.0  # at most, of one side of the player to match the other
FORMS = {
    "WAV": ("denoised", ".wav"),
    "FLAC": ("denoised", ".flac"),
    "MP3": ("denoised", ".mp3"),
    "The removed noise, WAV": ("removed", ".wav"),
}
REPORTED = {
    "noise_floor_db": ("Noise floor", "dBFS"),
    "snr_db": ("Speech over noise floor", "dB"),
    "loudness_lufs": ("Loudness", "LUFS"),
    "peak_dbfs": ("Peak", "dBFS"),
}


class Result(NamedTuple):
    """What one run of the model left in the visitor's folder: all else is made from it."""

    recording: str
    estimate: str  # at full strength, 32 bit float
    took: float  # seconds


def denoising(model, borrowed: Callable | None) -> Callable:
    """The handler of the endpoint /denoise; `borrowed` is `denoise_file` on ZeroGPU."""

    def denoise(recording: str, strength: float, progress=gr.Progress()) -> Iterator:
        """Take the noise out of a recording of speech.

        Args:
            recording: an audio or video file of any common format, rate and number of channels.
            strength: 1 takes out all the noise that the model finds, 0 leaves the recording as it
                is, values between mix the two.

        Returns:
            A WAV file, `<stem>_denoised.wav`, with the rate, channels, level and length of the
            recording.
        """
        from denoiser.audio import AudioError, info
        from denoiser.offline import denoise_file

        if not recording:
            raise _refusal("There is nothing to denoise yet: choose a file or record one first.")
        if not Path(recording).exists():
            raise _refusal("Your recording has been deleted in the meantime: choose it again.")
        folder = _request_folder()
        estimate = str(folder / "estimate.wav")
        start, finished = time.monotonic(), False
        try:
            yield None, None  # at once: before its first yield Gradio cannot stop a generator
            if borrowed and info(recording).seconds > LONG_SECONDS:
                steps = borrowed(recording, estimate)
            else:
                steps = denoise_file(model, recording, estimate, subtype="FLOAT", notify=gr.Warning)
            with contextlib.closing(steps):
                for fraction in steps:
                    progress(fraction, desc=_remaining(time.monotonic() - start, fraction))
                    yield None, None  # here Stop ends the work
            result = Result(recording, estimate, time.monotonic() - start)
            target = mixture(result, strength, "WAV")
            finished = True
            yield target, result
        except AudioError as error:
            raise _refusal(str(error)) from None
        finally:
            if not finished:
                shutil.rmtree(folder, ignore_errors=True)

    return denoise


def batching(model) -> Callable:
    """The handler of the endpoint /batch."""

    def batch(recordings: list[str], strength: float, progress=gr.Progress()) -> Iterator:
        """Take the noise out of several recordings; a bad file is named, the others go on.

        Args:
            recordings: audio or video files of any common format.
            strength: as for /denoise.

        Returns:
            A zip archive of WAV files, `<stem>_denoised.wav`, and a table of what became of each.
        """
        from denoiser.audio import AudioError
        from denoiser.offline import denoise_file

        if not recordings:
            raise _refusal("There is nothing to denoise yet: choose some files first.")
        folder, rows, done = _request_folder(), [], None
        archive = folder / "denoised.zip"
        try:
            with zipfile.ZipFile(archive, "w") as bundle:
                for number, recording in enumerate(map(Path, recordings), 1):
                    target = folder / f"{recording.stem}_denoised.wav"
                    yield None, _outcomes(rows)
                    try:
                        steps = denoise_file(model, recording, target, strength=strength)
                        with contextlib.closing(steps):
                            for share in steps:
                                title = f"{recording.name} ({number} of {len(recordings)})"
                                progress((number - 1 + share) / len(recordings), desc=title)
                                yield None, _outcomes(rows)
                        bundle.write(target, _unused(target.name, bundle.namelist()))
                        target.unlink()
                        rows.append((recording.name, "denoised"))
                    except AudioError as error:
                        rows.append((recording.name, str(error)))
            done = any(outcome == "denoised" for _, outcome in rows)
            yield str(archive) if done else None, _outcomes(rows)
        finally:
            if not done:
                shutil.rmtree(folder, ignore_errors=True)

    return batch


def _outcomes(rows: list[tuple[str, str]]) -> str:
    """Markdown of what became of each file so far."""
    lines = [f"| {name} | {outcome} |" for name, outcome in rows]
    return "\n".join(["| File | |", "|:--|:--|", *lines]) if rows else ""


def _unused(name: str, taken: list[str]) -> str:
    """`talk.wav`, or `talk-2.wav` where there is one already."""
    path, number = Path(name), 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    return name


def cleared() -> tuple:
    return gr.Column(visible=False), None, "WAV"


def player(result: Result, strength: float) -> tuple[dict, gr.Column]:
    """What page/player.js plays, with both sides equally loud."""
    from denoiser import remix, report

    path = Path(result.estimate).with_name("preview.flac")
    remix.preview(result.recording, result.estimate, path)
    numbers = report.report(result.recording, result.estimate)
    quieter = numbers["before"]["loudness_lufs"] - numbers["after"]["loudness_lufs"]
    value = {
        "path": str(path),
        "sides": min(numbers["channels"], 2),
        "match_db": min(max(quieter, -LOUDER_DB), LOUDER_DB),
        "strength": strength,
    }
    return value, gr.Column(visible=True)


def mixture(result: Result | None, strength: float, form: str) -> str | None:
    """The file to take away, at this strength, in this form; made when it is first asked for."""
    from denoiser import audio, remix

    if not result:
        return None
    what, suffix = FORMS[form]
    folder = Path(result.estimate).with_name(f"strength-{100 * strength:g}")
    path = folder / f"{Path(result.recording).stem}_{what}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not path.exists():
            removed = what == "removed"
            remix.remix(result.recording, result.estimate, path, strength=strength, removed=removed)
    except audio.AudioError as error:
        raise _refusal(str(error)) from None
    return str(path)


def judged(result: Result | None, strength: float) -> tuple[tuple[str, str] | None, str]:
    """Pictures and numbers, before and after, at this strength."""
    from denoiser import plot, report

    if not result:
        return None, ""
    after = mixture(result, strength, "WAV")
    paths = tuple(str(Path(after).with_name(f"{side}.png")) for side in ("before", "after"))
    for figure, path in zip(plot.compare_files(result.recording, after), paths, strict=True):
        figure.savefig(path)
    numbers = report.report(result.recording, result.estimate, strength=strength)
    return paths, _table(numbers, result.took)


def _table(numbers: dict, took: float) -> str:
    """A report as Markdown."""
    lines = ["| | Before | After |", "|:--|--:|--:|"]
    for name, (title, unit) in REPORTED.items():
        before, after = (numbers[side][name] for side in ("before", "after"))
        lines.append(f"| {title} | {before:.1f} {unit} | {after:.1f} {unit} |")
    about = (
        f"{numbers['seconds']:.1f} s, {numbers['sample_rate'] / 1000:g} kHz, "
        f"{numbers['channels']} channel{'s' * (numbers['channels'] > 1)}, all kept. "
        f"Denoised {numbers['seconds'] / took:.1f} times as fast as it plays."
    )
    remark = f"**{numbers['remark']}** " if numbers["remark"] else ""
    return "\n".join(lines) + f"\n\n{remark}{about}"


def cache() -> Path:
    """Where Gradio keeps what visitors send, and serves from."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _request_folder() -> Path:
    """A new folder in Gradio's cache: a file there is served as it is, and deleted in time."""
    return Path(tempfile.mkdtemp(dir=cache()))


def _remaining(elapsed: float, fraction: float) -> str:
    left = elapsed / max(fraction, 1e-3) * (1 - fraction)
    return f"Denoising, {left:.0f} s left"


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)
