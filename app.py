"""The page: a recording in, the voice without the noise out.

Layout and translation only; the work is one call into `denoiser`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

spaces = None
if os.environ.get("SPACES_ZERO_GPU"):  # a Space whose GPU is lent to one call at a time
    import spaces  # before torch, which it changes

from page import handlers  # noqa: E402

ROOT = Path(__file__).parent
SAMPLES, PARTS = ROOT / "samples" / "noisy", ROOT / "page"
KEPT_MINUTES = 60
KEPT_SECONDS, SWEEP_SECONDS = 60 * (KEPT_MINUTES - 1), 30.0
QUEUE_PLACES = 32
ON_MODEL = {"concurrency_id": "model", "concurrency_limit": 1}
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif"]
MONOSPACE = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
STRENGTH_JS = "s => { document.dispatchEvent(new CustomEvent('denoiser:strength', {detail: s})) }"
HEAD = """
# Speech denoiser
Takes the noise out of recorded speech and leaves the voice as it is.
"""
FOOT = f"""
**Privacy.** Your audio goes to the computer that runs this page and nowhere else. It is used for
your result only, and both are deleted there after {KEPT_MINUTES} minutes at the latest.

**Limits.** Made for speech: music, animals and other sounds count as noise. Echo stays, and words
that the noise has covered do not come back.

**Licence.** Code and weights are free to use under the MIT licence.
"""


def build(model, notice: str | None = None) -> gr.Blocks:
    """The page around one loaded model, which every visitor shares and nobody changes."""
    borrowed = _on_borrowed_gpu(model) if spaces else None

    with gr.Blocks(title="Speech denoiser") as page:
        gr.Markdown(HEAD, elem_id="head")
        if notice:
            gr.Markdown(f"**Please note.** {notice}", elem_id="notice")
        with gr.Tab("One recording"):
            _one(handlers.denoising(model, borrowed))
        with gr.Tab("Several files"):
            _several(handlers.batching(model))
        gr.Markdown(FOOT, elem_id="foot")
    return page.queue(max_size=QUEUE_PLACES)


def _one(denoise: Callable) -> None:
    """One recording: from the entry to the result, and what happens when."""
    recording, other = _entry()
    with gr.Row(elem_id="run"):
        strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", scale=3, min_width=220)
        run = gr.Button("Denoise", variant="primary", scale=3, min_width=120)
        stop = gr.Button("Stop", scale=1, min_width=90)
    with gr.Column(visible=False, elem_id="result") as panel:
        player, pictures, report, form, download = _exit()
    result = gr.State(None, time_to_live=60 * KEPT_MINUTES)

    private = {"api_visibility": "private"}
    other.upload(lambda path: path, other, recording, **private)
    run.click(handlers.cleared, None, [panel, player, form], queue=False, **private)
    running = run.click(
        denoise, [recording, strength], [download, result], api_name="denoise", **ON_MODEL
    )
    stop.click(None, cancels=[running], **private)
    shown = running.success(handlers.player, [result, strength], [player, panel], **private)
    strength.input(None, strength, js=STRENGTH_JS, **private)
    gr.on(
        [strength.release, form.input],
        handlers.mixture,
        [result, strength, form],
        download,
        **private,
    )
    for event in (shown.success, strength.release):
        event(handlers.judged, [result, strength], [pictures, report], **private)


def _several(batch: Callable) -> None:
    """Many files in, one archive out."""
    files = gr.File(
        label="Your recordings",
        file_count="multiple",
        file_types=["audio", "video"],
        elem_id="files",
    )
    with gr.Row():
        strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", scale=3, min_width=220)
        run = gr.Button("Denoise all", variant="primary", scale=3, min_width=120)
        stop = gr.Button("Stop", scale=1, min_width=90)
    table = gr.Markdown(elem_id="table")
    archive = gr.File(label="Denoised", interactive=False, elem_id="archive")
    running = run.click(batch, [files, strength], [archive, table], api_name="batch", **ON_MODEL)
    stop.click(None, cancels=[running], api_visibility="private")


def _entry() -> tuple[gr.Audio, gr.UploadButton]:
    """Where a recording comes in."""
    recording = gr.Audio(
        label="Your recording",
        sources=["upload", "microphone"],
        type="filepath",
        format=None,
        buttons=[],
        waveform_options=gr.WaveformOptions(sample_rate=48000),
        elem_id="recording",
    )
    with gr.Row():
        examples = sorted(SAMPLES.glob("*.flac"))[:3]
        if examples:
            gr.set_static_paths([SAMPLES])  # copies in the cache would be deleted in time
            gr.Examples(
                [[str(path)] for path in examples],
                inputs=[recording],
                example_labels=[path.stem.replace("_", " ") for path in examples],
                label="No recording at hand? Try one of these",
                api_visibility="private",
            )
        # The component above refuses video and rare formats; set from here, it takes them.
        other = gr.UploadButton(
            "Open a video or another format", file_types=["audio", "video"], size="sm"
        )
    return recording, other


def _exit() -> tuple:
    """Where the result is heard, seen, measured and taken away."""
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
        label="Spectrograms before and after",
        type="filepath",
        show_label=False,
        elem_id="pictures",
    )
    report = gr.Markdown(elem_id="report")
    with gr.Row():
        form = gr.Dropdown(
            list(handlers.FORMS), value="WAV", label="Format", scale=1, min_width=140
        )
        download = gr.DownloadButton("Download", variant="primary", scale=2, elem_id="download")
    return player, pictures, report, form, download


def serve(page: gr.Blocks, **where) -> None:
    """Start the server; `where` goes to Gradio's launch. Old files are swept away meanwhile."""
    theme = gr.themes.Default(primary_hue="indigo", font=FONTS, font_mono=MONOSPACE)
    threading.Thread(target=_sweep, args=[handlers.cache()], daemon=True).start()
    page.launch(
        run_history=False,
        ssr_mode=False,
        theme=theme,
        css=(PARTS / "page.css").read_text(),
        head=(PARTS / "head.html").read_text(),
        **where,
    )


def _sweep(cache: Path) -> None:
    """Delete what visitors sent and got KEPT_SECONDS ago, for ever."""
    while True:
        time.sleep(SWEEP_SECONDS)
        old = time.time() - KEPT_SECONDS
        for path in list(cache.rglob("*")):
            with contextlib.suppress(OSError):  # a visitor's Stop may be faster
                if path.is_file() and path.stat().st_ctime < old:
                    path.unlink()


def _on_borrowed_gpu(model):
    """denoise_file in ZeroGPU's process, on a copy of the model; its duration is reserved first."""
    import copy

    from denoiser import audio, offline

    twin = copy.deepcopy(model).to("cuda")

    def seconds(source: str, target: str) -> int:
        return min(120, 20 + round(audio.info(source).seconds / 50))

    @spaces.GPU(duration=seconds)
    def run(source: str, target: str) -> Iterator[float]:
        yield from offline.denoise_file(twin, source, target, subtype="FLOAT")

    return run


def _warm_up(model) -> None:
    """What the first visitor would wait for: librosa, matplotlib and the model's first call."""
    import numpy as np

    from denoiser import denoise, plot

    second = np.zeros(48000, np.float32)
    denoise(model, second[None], 48000)
    for figure in plot.compare({"": second}, 48000):
        figure.savefig(os.devnull, format="png")


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


def _load(source: str | None, device: str) -> tuple:
    """The model, and a notice if it may not be what was asked for because the Hub is away."""
    import denoiser
    from denoiser import hub

    try:
        folder, notice = hub.fetch(source)
    except hub.Unreachable as error:
        folder, _ = hub.fetch(None)
        notice = f"{error} This page runs with the weights that it came with, not with {source}."
    if notice:
        print(f"app.py: {notice}", file=sys.stderr)
    return denoiser.load(folder, device=device), notice


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    from denoiser.checkpoint import CheckpointError

    try:
        model, notice = _load(args.model, args.device)
    except CheckpointError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leave the cache's `with` on a kill too
    threading.Thread(target=_warm_up, args=[model], daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="denoiser-") as cache:
        os.environ["GRADIO_TEMP_DIR"] = cache  # a stopped server leaves nobody's audio behind
        try:
            # Host and port of None: GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, as a Space sets them
            page = build(model, notice)
            serve(page, server_name=args.host, server_port=args.port, share=args.share)
        except (OSError, OverflowError) as error:
            print(f"app.py: the page cannot be served: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
