"""The command line: `denoiser denoise | stream | plot | export | publish`.

It only translates arguments into calls of the library. A user error is one sentence on stderr and
exit code 1 (2 for an invalid option, from argparse); stdout lists the results. Heavy modules are
imported inside functions, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from denoiser import __version__, console
from denoiser.cli import live

if TYPE_CHECKING:
    from denoiser.models import Model


@console.command
def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    return arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="denoiser", description="Remove noise from recorded and live speech."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    denoise = commands.add_parser("denoise", help="denoise audio and video files")
    denoise.set_defaults(run=_denoise)
    denoise.add_argument(
        "files", nargs="+", type=_path, metavar="FILES", help="files, or folders to search"
    )
    denoise.add_argument(
        "-o",
        "--out",
        type=_folder,
        metavar="FOLDER",
        help="folder for the results (default: beside each file); files found in a folder keep "
        "their path below it, preceded by its name if there is more than one argument",
    )
    denoise.add_argument(
        "--model",
        default=os.environ.get("DENOISER_MODEL") or None,
        metavar="FOLDER|OWNER/NAME[@REVISION]",
        help="local checkpoint or one on the Hugging Face Hub (default: $DENOISER_MODEL, otherwise "
        "the embedded one)",
    )
    denoise.add_argument(
        "--strength",
        type=_strength,
        default=1.0,
        metavar="0..1",
        help="1 removes all noise, 0 none (default: 1)",
    )
    denoise.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    denoise.add_argument("--force", action="store_true", help="overwrite existing results")

    live.add_stream(commands, _strength)
    plot = commands.add_parser("plot", help="plot a clean, a noisy and a denoised recording")
    plot.set_defaults(run=_plot)
    for name in ("clean", "noisy", "denoised"):
        plot.add_argument(name, type=_path, metavar=name.upper())
    plot.add_argument(
        "-o",
        "--out",
        type=_folder,
        required=True,
        metavar="FOLDER",
        help="folder for waveforms.png and spectrograms.png",
    )
    live.add_export(commands)
    _add_publish(commands)
    return parser


def _add_publish(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    publish = commands.add_parser(
        "publish",
        help="upload a checkpoint, or this checkout as a Space, to the Hugging Face Hub",
        usage="%(prog)s FOLDER OWNER/NAME [options]\n       %(prog)s --space OWNER/NAME [options]\n"
        "       %(prog)s --space OWNER/NAME --static [options]",
        description="Makes one commit and uploads only what has changed. Uses the token of "
        "`hf auth login`, or HF_TOKEN.",
    )
    publish.set_defaults(run=_publish, parser=publish)
    publish.add_argument(
        "folder", nargs="?", type=_path, metavar="FOLDER", help="a folder with config.json"
    )
    publish.add_argument("name", nargs="?", metavar="OWNER/NAME", help="the name on the Hub")
    publish.add_argument(
        "--space",
        metavar="OWNER/NAME",
        help="publish the page of this checkout as this Space, and delete its other files",
    )
    publish.add_argument(
        "--static",
        action="store_true",
        help="publish the site that runs in the browser instead of the page",
    )
    publish.add_argument(
        "--model",
        metavar="OWNER/NAME[@REVISION]",
        help="weights on the Hub for the Space (default: those in checkpoints/band)",
    )
    publish.add_argument("--private", action="store_true", help="make a new repository private")
    publish.add_argument("--revision", metavar="BRANCH", help="branch for a model (default: main)")
    publish.add_argument("--dry-run", action="store_true", help="list the files without uploading")


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def _path(text: str) -> Path:
    if not text:  # from an unset variable; Path("") would be the working folder
        raise argparse.ArgumentTypeError("the name of a file or folder is empty")
    return Path(text)


def _folder(text: str) -> Path:
    if os.path.isfile(text):
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    return _path(text)


# ---- denoise


def _denoise(arguments: argparse.Namespace) -> int:
    jobs, failed = _jobs(arguments.files, arguments.out, arguments.force)
    if not jobs:
        return 1
    import denoiser

    model = denoiser.load(arguments.model, device=arguments.device)
    failed += _run(model, jobs, arguments.strength)
    return 1 if failed else 0


def _jobs(files: list[Path], out: Path | None, force: bool) -> tuple[list[tuple[Path, Path]], int]:
    """Pairs of source and target, and the number of refused files (a sentence is said of each)."""
    from denoiser.cli import batch

    return batch.plan(files, out, force=force, notify=console.say)


def _run(model: Model, jobs: list[tuple[Path, Path]], strength: float) -> int:
    """Denoises each source to its target, past failures, and returns their number."""
    from tqdm import tqdm

    from denoiser.audio import AudioError
    from denoiser.offline import denoise_file

    failed = 0
    form = "{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"
    # disable=None: no bar if stderr is not a terminal
    with tqdm(total=len(jobs), bar_format=form, file=sys.stderr, disable=None) as bar:
        for done, (source, target) in enumerate(jobs):
            bar.set_description(console.printable(console.one_line(source.name), sys.stderr))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                steps = denoise_file(model, source, target, strength=strength, notify=console.say)
                with closing(steps) as progress:
                    for fraction in progress:
                        bar.update(done + fraction - bar.n)
            except AudioError as error:
                failed += 1
                console.say(error)
            except OSError as error:
                failed += 1
                reading = error.filename is not None and Path(error.filename) == source
                what = f"{source} cannot be read" if reading else f"{target} cannot be written"
                console.say(f"{what}: {console.why(error)}.")
            else:
                failed += console.show(target)
            bar.update(done + 1 - bar.n)
    return failed


# ---- plot


def _plot(arguments: argparse.Namespace) -> int:
    from denoiser import audio, levels, plot

    sounds = [audio.read(p) for p in (arguments.clean, arguments.noisy, arguments.denoised)]
    (clean, sample_rate), (noisy, _), (denoised, _) = sounds
    if len({(wave.shape, rate) for wave, rate in sounds}) > 1:
        console.say(
            "The three files differ in length, channels or sample rate ("
            + ", ".join(f"{wave.shape[1]} x {wave.shape[0]} at {rate} Hz" for wave, rate in sounds)
            + "): give three versions of one recording."
        )
        return 1
    waves = {"Clean": clean, "Noise": noisy - clean, "Mixture": noisy, "Denoised": denoised}
    downmix = levels.downmix_of(arguments.noisy)
    figures = plot.compare({name: downmix(w)[0] for name, w in waves.items()}, sample_rate)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for figure, name in zip(figures, ("waveforms.png", "spectrograms.png"), strict=True):
        figure.savefig(arguments.out / name)
        failed |= console.show(arguments.out / name)
    return failed


# ---- publish


def _publish(arguments: argparse.Namespace) -> int:
    space = arguments.space is not None
    of_a_model = arguments.folder or arguments.revision
    of_a_space = arguments.model or arguments.static
    both = arguments.model and arguments.static
    wrong = of_a_model if space else of_a_space
    if space == (arguments.name is not None) or wrong or both:
        arguments.parser.error(
            "give FOLDER and OWNER/NAME, or only --space OWNER/NAME, and with it --model or "
            "--static"
        )
    from denoiser.hub import publish

    options = {"private": arguments.private, "dry_run": arguments.dry_run}
    if arguments.static:
        done = publish.publish_site(arguments.space, **options)
    elif space:
        done = publish.publish_space(arguments.space, model=arguments.model, **options)
    else:
        revision = arguments.revision or "main"
        done = publish.publish(arguments.folder, arguments.name, revision=revision, **options)
    return console.show(done)
