"""The page: a recording in, the voice without the noise out.

Layout and translation only; the work is one call into `denoiser`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import gradio as gr

spaces = None
if os.environ.get("SPACES_ZERO_GPU"):  # a Space whose GPU is lent to one call at a time
    import spaces  # before torch, which it changes

from page import (  # noqa: E402
    handlers,
    incoming,
    registry,
    results,
    server,
)
from page.i18n import text  # noqa: E402
from page.layout import entry  # noqa: E402
from page.server import PRIVATE  # noqa: E402
from page.snippet import program  # noqa: E402
from page.uploads import AnyFiles, Recording  # noqa: E402

PARTS = Path(__file__).parent / "page"
QUEUE_PLACES = 32
ON_MODEL = {"concurrency_id": "model", "concurrency_limit": 1}
# The player follows at once; files and pictures are made when the slider has come to rest
STRENGTH_JS = """s => {
  document.dispatchEvent(new CustomEvent('denoiser:strength', {detail: s}));
  clearTimeout(window.settling);
  const rest = () => document.querySelectorAll('.settled').forEach((button) => button.click());
  window.settling = setTimeout(rest, 300);
}"""
# What comes while one is at work waits. Gradio then repeats the click for all who listen to it: two
# such listeners to one button would call each other for ever.
LATEST = PRIVATE | {"trigger_mode": "always_last"}


class Settings(NamedTuple):
    """What a visitor may choose before the run."""

    strength: gr.Slider
    model: gr.Dropdown
    device: gr.Dropdown
    mono: gr.Checkbox
    loudness: gr.Radio


class Exit(NamedTuple):
    """Where a result is heard, seen, measured and taken away."""

    player: gr.HTML
    pictures: gr.ImageSlider
    report: gr.Markdown
    dnsmos: gr.Checkbox
    form: gr.Dropdown
    download: gr.DownloadButton


def build(shelf: registry.Shelf, notice: str | None = None) -> gr.Blocks:
    """The page around loaded models, which all visitors share and nobody changes."""
    first = shelf.get()
    borrowed = server.on_borrowed_gpu(first.model, spaces) if spaces else None

    with gr.Blocks(title="Speech denoiser") as page:
        gr.Markdown(text("title"), elem_id="head")
        if notice:
            gr.Markdown(f"**Please note.** {notice}", elem_id="notice")
        with gr.Tab(text("one")):
            _one(page, shelf, handlers.denoising(shelf, borrowed))
        with gr.Tab(text("several")):
            _several(shelf, handlers.batching(shelf))
        _report_endpoint()
        gr.Markdown(text("foot"), elem_id="foot")
        if first.card:
            with gr.Accordion(text("card"), open=False):
                gr.Markdown(first.card, elem_id="card")
    return page.queue(max_size=QUEUE_PLACES)


def _one(page: gr.Blocks, shelf: registry.Shelf, denoise) -> None:
    """One recording: from the entry to the result, and what happens when."""
    recording = entry()
    settings, run, stop = _settings(shelf, text("denoise"))
    with gr.Column(visible=False, elem_id="result") as panel:
        leave = _exit()
    with gr.Accordion(text("program"), open=False):
        snippet = gr.Textbox(
            label=text("program"), show_label=False, lines=12, buttons=["copy"], elem_id="program"
        )
    result = gr.State(None, time_to_live=60 * server.KEPT_MINUTES)
    asked = gr.State(None)  # changes when a link wants the run to begin

    start = [run.click, asked.change]
    gr.on(start, handlers.cleared, None, [panel, leave.player, leave.form], queue=False, **PRIVATE)
    running = gr.on(
        start,
        denoise,
        [recording, *settings],
        [leave.download, result],
        api_name="denoise",
        **ON_MODEL,
    )
    stop.click(None, cancels=[running], **PRIVATE)
    _present(running, result, settings, panel, leave)

    linked = [recording, settings.strength, settings.model, settings.mono, settings.loudness]
    page.load(incoming.opening(shelf), None, [*linked, asked], concurrency_limit=8, **PRIVATE)
    gr.on(
        [page.load, *(setting.change for setting in settings)],
        program,
        list(settings),
        snippet,
        queue=False,
        show_progress="hidden",
        **LATEST,
    )


def _present(running, result: gr.State, settings: Settings, panel: gr.Column, leave: Exit) -> None:
    """After a run, and when strength, loudness or form are changed during it or later."""
    strength, loudness = settings.strength, settings.loudness
    shown = running.success(
        handlers.shown, [result, strength], [leave.player, leave.form, panel], **PRIVATE
    )
    for_file, for_pictures = (gr.Button(visible="hidden", elem_classes="settled") for _ in range(2))
    strength.input(None, strength, js=STRENGTH_JS, **PRIVATE)
    take = [handlers.taken, [result, strength, loudness, leave.form], leave.download]
    judge = [handlers.judged, [result, strength, leave.dnsmos], [leave.pictures, leave.report]]
    shown.success(*take, **PRIVATE)
    shown.success(*judge, **PRIVATE)
    gr.on([for_file.click, loudness.input, leave.form.input], *take, **LATEST)
    gr.on([for_pictures.click, leave.dnsmos.input], *judge, **LATEST)


def _settings(shelf: registry.Shelf, verb) -> tuple[Settings, gr.Button, gr.Button]:
    """Strength, Run and Stop; the rest folded away."""
    with gr.Row(elem_classes="run"):
        strength = gr.Slider(
            0, 100, value=100, step=5, label=text("strength"), scale=3, min_width=220
        )
        run = gr.Button(verb, variant="primary", scale=3, min_width=120)
        stop = gr.Button(text("stop"), scale=1, min_width=90)
    with gr.Accordion(text("options"), open=False), gr.Row():
        model = gr.Dropdown(
            shelf.names,
            value=shelf.first,
            allow_custom_value=True,
            label=text("model"),
            info=text("model.info"),
        )
        devices = registry.devices() if not spaces else ["auto", "cpu"]  # a GPU is lent, not chosen
        device = gr.Dropdown(
            devices, value="auto", label=text("device"), visible=len(devices) > 2, min_width=120
        )
        loudness = gr.Radio(
            [(text(f"loudness.{choice}"), choice) for choice in results.LOUDNESS],
            value="keep",
            label=text("loudness"),
        )
        mono = gr.Checkbox(label=text("mono"), min_width=120)
    return Settings(strength, model, device, mono, loudness), run, stop


def _exit() -> Exit:
    parts = {name: (PARTS / f"player.{name}").read_text() for name in ("html", "css", "js")}
    player = gr.HTML(
        None,
        html_template=parts["html"],
        css_template=parts["css"],
        js_on_load=parts["js"],
        elem_id="player",
        padding=False,
    )
    pictures = gr.ImageSlider(
        label=text("pictures.label"),
        type="filepath",
        show_label=False,
        buttons=["fullscreen"],
        elem_id="pictures",
    )
    report = gr.Markdown(elem_id="report")
    dnsmos = gr.Checkbox(label=text("dnsmos"), container=False)
    with gr.Row():
        form = gr.Dropdown(
            [(text(f"form.{form}"), form) for form in results.FORMS],
            value="wav",
            label=text("format"),
            min_width=240,  # the longest fits
        )
        download = gr.DownloadButton(
            text("download"), variant="primary", scale=1, elem_id="download"
        )
    return Exit(player, pictures, report, dnsmos, form, download)


def _several(shelf: registry.Shelf, batch) -> None:
    """Many files in, one archive out."""
    files = AnyFiles(label=text("files"), file_count="multiple", elem_id="files")
    settings, run, stop = _settings(shelf, text("all"))
    table = gr.Markdown(elem_id="table")
    archive = gr.File(label=text("zip"), interactive=False, elem_id="archive")
    running = run.click(batch, [files, *settings], [archive, table], api_name="batch", **ON_MODEL)
    stop.click(None, cancels=[running], **PRIVATE)


def _report_endpoint() -> None:
    """/report, for programs: its parts are not shown."""
    with gr.Column(visible=False):
        sides = [Recording(type="filepath", format=None, label=s) for s in ("before", "after")]
        dnsmos, numbers = gr.Checkbox(label="dnsmos"), gr.JSON()
        gr.Button().click(handlers.report, [*sides, dnsmos], numbers, api_name="report")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="app.py", description="Serve the speech denoiser as a web page."
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for all)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also open a public link, through Gradio's relay"
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("DENOISER_MODEL") or None,
        metavar="FOLDER|OWNER/NAME[@REVISION]",
        help="checkpoint here or on the Hugging Face Hub (default: $DENOISER_MODEL, otherwise "
        "checkpoints/band)",
    )
    # On ZeroGPU there is no GPU outside a lent call, though torch says so
    device = "cpu" if spaces else "auto"
    parser.add_argument(
        "--device", default=device, help=f"auto, cpu, cuda or mps (default: {device})"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    from denoiser.checkpoint import CheckpointError

    try:
        shelf, notice = registry.start(args.model, args.device)
    except CheckpointError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    if notice:
        print(f"app.py: {notice}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leave the cache's `with` on a kill too
    threading.Thread(target=server.warm_up, args=[shelf.get().model], daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="denoiser-") as cache:
        os.environ["GRADIO_TEMP_DIR"] = cache  # a stopped server leaves nobody's audio behind
        try:
            # Host and port of None: GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, as a Space sets them
            page = build(shelf, notice)
            server.serve(page, server_name=args.host, server_port=args.port, share=args.share)
        except (OSError, OverflowError) as error:
            print(f"app.py: the page cannot be served: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
