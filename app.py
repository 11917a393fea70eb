"""The page: a recording in, the voice without the noise out.

Layout and translation only; the work is one call into `denoiser`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

spaces = None
if os.environ.get("SPACES_ZERO_GPU"):  # a Space whose GPU is lent to one call at a time
    import spaces  # before torch, which it changes

SAMPLES = Path(__file__).parent / "samples" / "noisy"
KEPT_MINUTES = 60
QUEUE_PLACES = 32
LONG_SECONDS = 600  # from here on ZeroGPU's GPU is worth its start and the visitor's daily share
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif"]
MONOSPACE = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
CSS = """
.gradio-container { width: 100%; max-width: 880px !important; margin: 0 auto; }
#head h1 { font-size: 2rem; margin: 0.6rem 0 0.3rem; }
#head p { font-size: 1.1rem; }
#run { align-items: stretch; }
#foot p { font-size: 0.9rem; }
body:not(.dark) .gradio-container { --neutral-400: #6b7280; } /* contrast of the player */
"""
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
        target = folder / f"{Path(recording).stem}_denoised.wav"
        start, finished = time.monotonic(), False
        try:
            yield None  # at once: before its first yield Gradio cannot stop a generator
            if borrowed and info(recording).seconds > LONG_SECONDS:
                steps = borrowed(recording, str(target), strength)
            else:
                steps = denoise_file(model, recording, str(target), strength=strength)
            with contextlib.closing(steps):
                for fraction in steps:
                    progress(fraction, desc=_remaining(time.monotonic() - start, fraction))
                    yield None  # here Stop ends the work
            finished = True
            yield str(target)
        except AudioError as error:
            raise _refusal(str(error)) from None
        finally:
            if not finished:
                shutil.rmtree(folder, ignore_errors=True)

    cleaning = (60, 60 * (KEPT_MINUTES - 1))  # seconds: how often, how old
    with gr.Blocks(title="Speech denoiser", delete_cache=cleaning) as page:
        gr.Markdown(HEAD, elem_id="head")
        if notice:
            gr.Markdown(f"**Please note.** {notice}", elem_id="notice")
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
                "Open a video or another format",
                file_types=["audio", "video"],
                size="sm",
            )
        with gr.Row(elem_id="run"):
            strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", scale=3, min_width=220)
            run = gr.Button("Denoise", variant="primary", scale=3, min_width=120)
            stop = gr.Button("Stop", scale=1, min_width=90)
        enhanced = gr.Audio(
            label="Denoised",
            type="filepath",
            format=None,
            interactive=False,
            buttons=["download"],
            elem_id="enhanced",
        )
        # Hidden by what is around it: files of a component that is itself updated are never deleted
        with gr.Column(visible=False) as panel:
            pictures = gr.ImageSlider(
                label="Spectrograms before and after",
                type="filepath",
                show_label=False,
                elem_id="pictures",
            )
        gr.Markdown(FOOT, elem_id="foot")

        other.upload(lambda path: path, other, recording, api_visibility="private")
        run.click(_hidden, None, panel, queue=False, api_visibility="private")
        running = run.click(
            denoise,
            [recording, strength],
            enhanced,
            api_name="denoise",
            concurrency_id="model",
            concurrency_limit=1,
        )
        running.success(
            _pictures, [recording, enhanced], [pictures, panel], api_visibility="private"
        )
        stop.click(None, cancels=[running], api_visibility="private")
    return page.queue(max_size=QUEUE_PLACES)


def serve(page: gr.Blocks, **where) -> None:
    """Start the server; `where` goes to Gradio's launch."""
    theme = gr.themes.Default(primary_hue="indigo", font=FONTS, font_mono=MONOSPACE)
    page.launch(run_history=False, ssr_mode=False, theme=theme, css=CSS, **where)


def _on_borrowed_gpu(model):
    """denoise_file in ZeroGPU's process, on a copy of the model; its duration is reserved first."""
    import copy

    from denoiser import audio, offline

    twin = copy.deepcopy(model).to("cuda")

    def seconds(source: str, target: str, strength: float) -> int:
        return min(120, 20 + round(audio.info(source).seconds / 50))

    @spaces.GPU(duration=seconds)
    def run(source: str, target: str, strength: float) -> Iterator[float]:
        yield from offline.denoise_file(twin, source, target, strength=strength)

    return run


def _pictures(recording: str, enhanced: str) -> tuple[tuple[str, str], gr.Column]:
    from denoiser import plot

    folder = _request_folder()
    paths = (str(folder / "before.png"), str(folder / "after.png"))
    for figure, path in zip(plot.compare_files(recording, enhanced), paths, strict=True):
        figure.savefig(path)
    return paths, gr.Column(visible=True)


def _hidden() -> gr.Column:
    return gr.Column(visible=False)


def _request_folder() -> Path:
    """A new folder in Gradio's cache: a file there is served as it is, and deleted in time."""
    cache = Path(gr.utils.get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def _remaining(elapsed: float, fraction: float) -> str:
    left = elapsed / max(fraction, 1e-3) * (1 - fraction)
    return f"Denoising, {left:.0f} s left"


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


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
