"""What the page does when something is clicked: translation into calls of `denoiser`."""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import tempfile
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from denoiser.files import fitting
from page import links, results
from page.i18n import say
from page.registry import ModelRegistry
from page.results import FORMS, Result
from page.run import Settings, run
from page.session import kept_if_finished, new_folder, refusal, refusals

# What means something within a line
MARKDOWN = re.compile(r"[\\`*\[\]|~$@]|(?<!\w)_|_(?!\w)|(?<=www)\.", re.IGNORECASE)


def denoising(models: ModelRegistry, zerogpu_run: Callable | None) -> Callable:
    """The handler of the endpoint /denoise; `zerogpu_run` is `denoise_file` on ZeroGPU."""

    def denoise(
        recording: str,
        strength: float,
        model: str,
        device: str,
        mono: bool,
        loudness: str,
        request: gr.Request,
        progress=gr.Progress(),
    ) -> Iterator:
        """Take the noise out of a recording of speech.

        Args:
            recording: an audio or video file of any common format, rate and number of channels.
            strength: 100 takes out all the noise that is found, 0 leaves the recording as it is.
            model: the name of one here, or owner/name of weights on the Hugging Face Hub.
            device: auto, cpu, cuda or mps.
            mono: mix all channels to one.
            loudness: keep, or -16 or -23 LUFS, as far as the peak stays below -1 dBFS.

        Returns:
            `<stem>_denoised.wav` with the rate, channels, bit depth, length and level it came with.
        """
        if not recording:
            raise refusal(say(request, "none"))
        if not Path(recording).exists():
            raise refusal(say(request, "gone"))
        settings = Settings(strength / 100, model, device, mono, loudness)
        folder, start = new_folder(), time.monotonic()
        with kept_if_finished(folder):
            yield None, None  # at once: before its first yield Gradio cannot stop a generator
            with refusals():
                link = links.link(recording, models.get(model, device), settings)
                work = Work(
                    run(
                        models,
                        recording,
                        folder,
                        settings,
                        link=link,
                        shown=True,
                        zerogpu_run=zerogpu_run,
                    )
                )
                for share in work:
                    left = (time.monotonic() - start) / max(share, 1e-3) * (1 - share)
                    progress(share, desc=say(request, "progress", seconds=f"{left:.0f}"))
                    yield None, None  # here Stop ends the work
                target = results.take(work.result, settings.strength, loudness)
            titles = (say(request, "before"), say(request, "after"))
            yield target, work.result._replace(titles=titles)

    return denoise


class Work:
    """The shares that a generator yields, and what it returns at the end as `result`."""

    def __init__(self, generator):
        self.generator, self.result = generator, None

    def __iter__(self) -> Iterator[float]:
        with contextlib.closing(self.generator):
            self.result = yield from self.generator


def batching(models: ModelRegistry) -> Callable:
    """The handler of the endpoint /batch."""

    def batch(
        recordings: list[str],
        strength: float,
        model: str,
        device: str,
        mono: bool,
        loudness: str,
        request: gr.Request,
        progress=gr.Progress(),
    ) -> Iterator:
        """Take the noise out of several recordings; a bad file is named, the others go on.

        Args:
            recordings: audio or video files of any common format.
            strength: 100 takes out all the noise that is found, 0 leaves a recording as it is.
            model: the name of one here, or owner/name of weights on the Hugging Face Hub.
            device: auto, cpu, cuda or mps.
            mono: mix all channels to one.
            loudness: keep, or -16 or -23 LUFS, as far as the peak stays below -1 dBFS.

        Returns:
            A zip archive of WAV files, `<stem>_denoised.wav`, and a table of what became of each.
        """

        if not recordings:
            raise refusal(say(request, "none"))
        settings = Settings(strength / 100, model, device, mono, loudness)
        folder, rows = new_folder(), []
        archive = folder / "denoised.zip"
        with kept_if_finished(folder):
            with zipfile.ZipFile(archive, "w") as bundle, refusals():
                for number, recording in enumerate(recordings):
                    of = {"number": number + 1, "count": len(recordings)}
                    title = say(request, "progress.batch", name=Path(recording).name, **of)
                    one = Work(_one_of_many(models, recording, folder, settings, bundle, request))
                    for share in one:
                        progress((number + share) / len(recordings), desc=title)
                        yield None, _outcomes(rows, request)
                    rows.append(one.result)
                done = len(bundle.namelist())
            yield str(archive) if done else None, _outcomes(rows, request)

    return batch


def _one_of_many(models, recording: str, folder: Path, settings: Settings, bundle, request):
    """One recording of a batch into the archive: yields shares, returns its row."""
    from denoiser.audio import AudioError

    name, part = Path(recording).name, Path(tempfile.mkdtemp(dir=folder))
    try:
        result = yield from run(models, recording, part, settings)
        target = results.take(result, settings.strength, settings.loudness)
        bundle.write(target, _unused(Path(target).name, bundle.namelist()))
        return name, *_gains(result, settings.strength), say(request, "batch.denoised")
    except AudioError as error:
        return name, "", "", str(error)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _gains(result: Result, strength: float) -> tuple[str, str]:
    """Length, and the noise floor before and after."""
    numbers = results.measured(result, strength)
    floors = (numbers[side]["noise_floor_db"] for side in ("before", "after"))
    return f"{numbers['seconds']:.1f} s", " → ".join(f"{x:.0f}" for x in floors) + " dBFS"


def _outcomes(rows: list[tuple[str, ...]], request: gr.Request | None) -> str:
    """Markdown of what became of each file so far."""
    if not rows:
        return ""
    head = (say(request, f"batch.{column}") for column in ("file", "length", "floor", "result"))
    lines = (head, (":--", "--:", "--:", ":--"), *(map(_plain, row) for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text for a cell of a Markdown table, whatever is in it: a file name may hold anything."""
    text = html.escape(" ".join(text.split()), quote=False)
    return MARKDOWN.sub(r"\\\g<0>", text)


def _unused(name: str, taken: list[str]) -> str:
    """`talk_denoised.wav`, or `talk_denoised-2.wav` where a disk would take another for the same.

    Some disks know no capitals, and some one way only to write an accent.
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


# ---- what is shown of a result


def cleared() -> tuple:
    return gr.Column(visible=False), None, "wav"


def shown(result: Result, strength: float, request: gr.Request) -> tuple:
    """The player, and what can be taken away: of a video, the video too; MP3 holds two channels."""
    from denoiser import audio, video

    with refusals():
        value = results.player(result, strength / 100, request)
    possible = {"film": video.has_picture(result.original)}
    possible["mp3"] = audio.info(result.recording).channels <= 2
    forms = [form for form in FORMS if possible.get(form, True)]
    choices = [(say(request, f"form.{form}"), form) for form in forms]
    return value, gr.Dropdown(choices=choices, value="wav"), gr.Column(visible=True)


def taken(result: Result | None, strength: float, loudness: str, form: str) -> str | None:
    with refusals():
        return result and results.take(result, strength / 100, loudness, form)


def judged(result: Result | None, strength: float, dnsmos: bool, request: gr.Request) -> tuple:
    """Pictures and numbers, before and after, at this strength."""
    if not result:
        return None, ""
    with refusals():
        numbers = results.measured(result, strength / 100, dnsmos)
        return results.pictures(result, strength / 100), results.table(result, numbers, request)


def report(before: str, after: str, dnsmos: bool) -> dict:
    """Compare a recording with what a denoiser made of it.

    Args:
        before: the recording, an audio or video file.
        after: the same with less noise, of the same length, rate and channels.
        dnsmos: add DNSMOS of the first minute, an estimate of what listeners would say, 1 to 5.

    Returns:
        Noise floor, speech over that floor, loudness and peak before and after, length, rate,
        channels, and a remark if almost nothing or almost everything was removed.
    """
    from denoiser.report import report

    if not before or not after:
        raise refusal("A recording before and one after are needed.")
    with refusals():
        return report(before, after, dnsmos=dnsmos)
