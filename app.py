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
from typing import NamedTuple

import gradio as gr

spaces = None
if os.environ.get("SPACES_ZERO_GPU"):  # a Space whose GPU is lent to one call at a time
    import spaces  # before torch, which it changes

ROOT = Path(__file__).parent
SAMPLES, PARTS = ROOT / "samples" / "noisy", ROOT / "page"
KEPT_MINUTES = 60
KEPT_SECONDS, SWEEP_SECONDS = 60 * (KEPT_MINUTES - 1), 30.0
QUEUE_PLACES = 32
LONG_SECONDS = 600  # from here on ZeroGPU's GPU is worth its start and the visitor's daily share
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif"]
MONOSPACE = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
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


class Result(NamedTuple):
    """What one run of the model left in the visitor's folder: all else is made from it."""

    recording: str
    estimate: str  # at full strength, 32 bit float
    took: float  # seconds


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
            target = _mixture(result, strength, "WAV")
            finished = True
            yield target, result
        except AudioError as error:
            raise _refusal(str(error)) from None
        finally:
            if not finished:
                shutil.rmtree(folder, ignore_errors=True)

    with gr.Blocks(title="Speech denoiser") as page:
        gr.Markdown(HEAD, elem_id="head")
        if notice:
            gr.Markdown(f"**Please note.** {notice}", elem_id="notice")
        recording, other = _entry()
        with gr.Row(elem_id="run"):
            strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", scale=3, min_width=220)
            run = gr.Button("Denoise", variant="primary", scale=3, min_width=120)
            stop = gr.Button("Stop", scale=1, min_width=90)
        with gr.Column(visible=False, elem_id="result") as panel:
            player, pictures, report, form, download = _exit()
        result = gr.State(None, time_to_live=60 * KEPT_MINUTES)
        gr.Markdown(FOOT, elem_id="foot")

        other.upload(lambda path: path, other, recording, api_visibility="private")
        run.click(_cleared, None, [panel, player, form], queue=False, api_visibility="private")
        running = run.click(
            denoise,
            [recording, strength],
            [download, result],
            api_name="denoise",
            concurrency_id="model",
            concurrency_limit=1,
        )
        shown = running.success(
            _player, [result, strength], [player, panel], api_visibility="private"
        )
        stop.click(None, cancels=[running], api_visibility="private")
        strength.input(None, strength, js=STRENGTH_JS, api_visibility="private")
        gr.on(
            [strength.release, form.input],
            _mixture,
            [result, strength, form],
            download,
            api_visibility="private",
        )
        for event in (shown.success, strength.release):
            event(_judged, [result, strength], [pictures, report], api_visibility="private")
    return page.queue(max_size=QUEUE_PLACES)


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
        form = gr.Dropdown(list(FORMS), value="WAV", label="Format", scale=1, min_width=140)
        download = gr.DownloadButton("Download", variant="primary", scale=2, elem_id="download")
    return player, pictures, report, form, download


def serve(page: gr.Blocks, **where) -> None:
    """Start the server; `where` goes to Gradio's launch. Old files are swept away meanwhile."""
    theme = gr.themes.Default(primary_hue="indigo", font=FONTS, font_mono=MONOSPACE)
    threading.Thread(target=_sweep, args=[_cache()], daemon=True).start()
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
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < old:
                    path.rmdir() if path.is_dir() else path.unlink()  # once it is empty


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


def _cleared() -> tuple:
    return gr.Column(visible=False), None, "WAV"


def _player(result: Result, strength: float) -> tuple[dict, gr.Column]:
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


def _mixture(result: Result | None, strength: float, form: str) -> str | None:
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


def _judged(result: Result | None, strength: float) -> tuple[tuple[str, str] | None, str]:
    """Pictures and numbers, before and after, at this strength."""
    from denoiser import plot, report

    if not result:
        return None, ""
    after = _mixture(result, strength, "WAV")
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


def _cache() -> Path:
    cache = Path(gr.utils.get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _request_folder() -> Path:
    """A new folder in Gradio's cache: a file there is served as it is, and deleted in time."""
    return Path(tempfile.mkdtemp(dir=_cache()))


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
