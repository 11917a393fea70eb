"""The API endpoints /denoise, /batch and /report, and code that calls them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from page import downloads, many
from page.i18n import say
from page.lanes import Lanes
from page.loading import ModelRegistry
from page.many import Row
from page.run import Settings, Work, ZeroGpuRun, finished, run_in_lane
from page.session import kept_if_finished, new_folder, refusal, refusals

# Characters with a meaning within a line
MARKDOWN = re.compile(r"[\\`*\[\]|~$@]|(?<!\w)_|_(?!\w)|(?<=www)\.", re.IGNORECASE)
PYTHON = """\
# pip install gradio_client
from gradio_client import Client, handle_file

path = Client("{address}").predict(
    handle_file("talk.wav"),
{keywords}    api_name="/denoise",
)
"""
SHELL = """\
FILE=$(curl -s -F files=@talk.wav {address}/gradio_api/upload | tr -d '[]"')
EVENT=$(curl -s {address}/gradio_api/call/denoise -H 'Content-Type: application/json' \\
  -d '{{"data": [{{"path": "'$FILE'", "meta": {{"_type": "gradio.FileData"}}}}, {values}]}}' \\
  | cut -d'"' -f4)
URL=$(curl -sN {address}/gradio_api/call/denoise/$EVENT \\
  | sed -n 's/.*"url": "\\([^"]*\\)".*/\\1/p' | tail -1)
curl -s -o talk_denoised.wav "$URL"
"""


def denoising(
    models: ModelRegistry, lanes: Lanes, zerogpu_run: ZeroGpuRun | None
) -> Callable[..., Iterator[str | None]]:
    """The handler of /denoise; `zerogpu_run` is `denoise_file` on ZeroGPU."""

    def denoise(
        recording: str,
        strength: float,
        model: str,
        device: str,
        mono: bool,
        loudness: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[str | None]:
        """Remove noise from a recording of speech.

        Args:
            recording: an audio or video file of any common format, rate and number of channels.
            strength: 100 removes all detected noise, 0 leaves the recording unchanged.
            model: the name of a model here, or owner/name of weights on the Hugging Face Hub.
            device: auto, cpu, cuda or mps.
            mono: mix all channels to one.
            loudness: keep, or -16 or -23 LUFS, with peaks limited to -1 dBTP.

        Returns:
            `<stem>_denoised.wav` with the rate, channels, bit depth, length and level of the input.
        """
        if not recording:
            raise refusal(say(request, "none"))
        if not Path(recording).exists():
            raise refusal(say(request, "gone"))
        settings = Settings.chosen(strength, model, device, mono, loudness)
        folder = new_folder()
        with kept_if_finished(folder):
            yield None  # Gradio cannot stop a generator before its first yield
            with refusals():
                work = Work(
                    run_in_lane(models, lanes, recording, folder, settings, zerogpu_run=zerogpu_run)
                )
                for status in work:
                    progress(status.get("share", 0), desc=status["state"])
                    yield None  # where Stop ends the work
                taken = finished(downloads.take(work.result, settings.strength, loudness, "wav"))
            yield taken.path

    return denoise


def batching(
    models: ModelRegistry, lanes: Lanes
) -> Callable[..., Iterator[tuple[str | None, str]]]:
    """The handler of /batch."""

    def batch(
        recordings: list[str],
        strength: float,
        model: str,
        device: str,
        mono: bool,
        loudness: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple[str | None, str]]:
        """Remove noise from several recordings; an invalid file does not stop the others.

        Args:
            recordings: audio or video files of any common format.
            strength: 100 removes all detected noise, 0 leaves a recording unchanged.
            model: the name of a model here, or owner/name of weights on the Hugging Face Hub.
            device: auto, cpu, cuda or mps.
            mono: mix all channels to one.
            loudness: keep, or -16 or -23 LUFS, with peaks limited to -1 dBTP.

        Returns:
            A ZIP archive of WAV files, `<stem>_denoised.wav`, and a table with a row for each file.
        """
        if not recordings:
            raise refusal(say(request, "none"))
        settings = Settings.chosen(strength, model, device, mono, loudness)
        folder = new_folder()
        rows: list[Row] = []
        with kept_if_finished(folder):
            with refusals():
                models.get(model, device)  # reports once what concerns all files
                for rows in many.run_many(models, lanes, recordings, folder, settings):
                    over = sum(row["state"] in ("done", "refused") for row in rows)
                    progress(over / len(rows))
                    yield None, table(rows, request)
            yield many.archive(folder, rows), table(rows, request)

    return batch


def table(rows: list[Row], request: gr.Request | None) -> str:
    """A Markdown table of the files processed so far."""
    over = [row for row in rows if row["state"] in ("done", "refused")]
    if not over:
        return ""
    head = [say(request, f"batch.{column}") for column in ("file", "length", "floor", "output")]
    lines = [
        head,
        [":--", "--:", "--:", ":--"],
        *([*map(_plain, _cells(row, request))] for row in over),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row, request: gr.Request | None) -> tuple[str, ...]:
    if row["state"] == "refused":
        return row["name"], "", "", row["sentence"]
    floors = " → ".join(f"{floor:.0f}" for floor in row["floors"])
    return row["name"], f"{row['seconds']:.1f} s", f"{floors} dBFS", say(request, "batch.denoised")


def _plain(text: str) -> str:
    """Text, such as a file name, escaped for a cell of a Markdown table."""
    text = html.escape(" ".join(text.split()), quote=False)
    return MARKDOWN.sub(r"\\\g<0>", text)


def report(before: str, after: str, dnsmos: bool) -> dict[str, Any]:
    """Compare a recording with a denoised version of it.

    Args:
        before: the recording, an audio or video file.
        after: the denoised version, of the same length, rate and channels.
        dnsmos: add DNSMOS of the first minute, predicted ratings by listeners, 1 to 5.

    Returns:
        Noise floor, speech level above it, loudness and peak before and after, length, rate,
        channels, and a remark if almost nothing or almost everything was removed.
    """
    from denoiser.report import report

    if not before or not after:
        raise refusal("Give one recording before and one after denoising.")
    with refusals():
        return report(before, after, dnsmos=dnsmos)


def programs(request: gr.Request, *chosen: Any) -> tuple[str, str]:
    """Code that calls /denoise with the `chosen` settings, in Python and for a shell."""
    settings = Settings.chosen(*chosen)._asdict() | {"strength": chosen[0]}  # here in percent
    address = str(request.request.base_url).rstrip("/") if request and request.request else ""
    keywords = "".join(f"    {name}={value!r},\n" for name, value in settings.items())
    values = ", ".join(map(json.dumps, settings.values()))
    return (
        PYTHON.format(address=address, keywords=keywords),
        SHELL.format(address=address, values=values),
    )
