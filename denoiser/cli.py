"""The command line: `python -m denoiser denoise | plot | publish`. It only translates.

A user error is one sentence on stderr and exit code 1 (2 for a wrong option, by argparse). What
is heavy is imported inside the functions, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

ENDING = "_denoised"


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        _say("stopped.")
        return 130  # what a shell reports for Ctrl+C
    except OSError as error:
        _say(f"{error.filename}: {(error.strerror or 'unknown error').lower()}.")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m denoiser", description="Take the noise out of recorded speech."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    denoise = commands.add_parser("denoise", help="denoise audio and video files")
    denoise.set_defaults(run=_denoise)
    denoise.add_argument(
        "files", nargs="+", type=Path, metavar="FILES", help="files, or folders to search"
    )
    denoise.add_argument(
        "-o",
        "--out",
        type=_folder,
        metavar="FOLDER",
        help="folder for the results (default: beside each file)",
    )
    denoise.add_argument(
        "--model",
        default=os.environ.get("DENOISER_MODEL") or None,
        metavar="FOLDER|OWNER/NAME[@REVISION]",
        help="checkpoint here or on the Hugging Face Hub (default: $DENOISER_MODEL, otherwise "
        "the embedded one)",
    )
    denoise.add_argument(
        "--strength", type=_strength, default=1.0, metavar="0..1", help="1: all the noise, 0: none"
    )
    denoise.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    denoise.add_argument("--force", action="store_true", help="overwrite results that exist")

    plot = commands.add_parser("plot", help="picture a clean, a noisy and a denoised recording")
    plot.set_defaults(run=_plot)
    for name in ("clean", "noisy", "denoised"):
        plot.add_argument(name, type=Path, metavar=name.upper())
    plot.add_argument(
        "-o",
        "--out",
        type=_folder,
        required=True,
        metavar="FOLDER",
        help="folder for waveforms.png and spectrograms.png",
    )
    _add_publish(commands)
    return parser


def _add_publish(commands) -> None:
    publish = commands.add_parser(
        "publish",
        help="send a checkpoint, or this checkout as a Space, to the Hugging Face Hub",
        usage="%(prog)s FOLDER OWNER/NAME [options]\n       %(prog)s --space OWNER/NAME [options]",
        description="Sends one commit; what is there already is not sent again. The token is the "
        "one of `hf auth login`, or HF_TOKEN.",
    )
    publish.set_defaults(run=_publish, parser=publish)
    publish.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="a folder with config.json"
    )
    publish.add_argument("name", nargs="?", metavar="OWNER/NAME", help="its name on the Hub")
    publish.add_argument(
        "--space",
        metavar="OWNER/NAME",
        help="publish the files that git tracks here as this Space; others there are removed",
    )
    publish.add_argument(
        "--model",
        metavar="OWNER/NAME[@REVISION]",
        help="weights on the Hub that the Space is to run (default: those in checkpoints/band)",
    )
    publish.add_argument("--private", action="store_true", help="for you only, if it is new")
    publish.add_argument("--revision", metavar="BRANCH", help="of a model (default: main)")
    publish.add_argument("--dry-run", action="store_true", help="list the files and send nothing")


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def _folder(text: str) -> Path:
    if Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    return Path(text)


def _say(sentence: object) -> None:
    """A line on stderr, above the progress bar where there is one."""
    from tqdm import tqdm

    tqdm.write(str(sentence), file=sys.stderr)


# ---- denoise


def _denoise(arguments: argparse.Namespace) -> int:
    jobs, failed = _jobs(arguments.files, arguments.out, arguments.force)
    if not jobs:
        return 1
    import denoiser
    from denoiser.checkpoint import CheckpointError

    try:
        model = denoiser.load(arguments.model, device=arguments.device)
    except CheckpointError as error:
        _say(error)
        return 1
    failed += _run(model, jobs, arguments.strength)
    return 1 if failed else 0


def _run(model, jobs: list[tuple[Path, Path]], strength: float) -> int:
    """Denoises each source to its target; goes on after a bad one; how many were bad."""
    from tqdm import tqdm

    from denoiser.audio import AudioError
    from denoiser.offline import denoise_file

    failed = 0
    form = "{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"
    # disable=None: no bar where stderr is not a terminal
    with tqdm(total=len(jobs), bar_format=form, file=sys.stderr, disable=None) as bar:
        for done, (source, target) in enumerate(jobs):
            bar.set_description(source.name)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                steps = denoise_file(model, source, target, strength=strength, notify=_say)
                with closing(steps) as progress:
                    for fraction in progress:
                        bar.update(done + fraction - bar.n)
                tqdm.write(str(target), file=sys.stdout)
            except AudioError as error:
                failed += 1
                _say(error)
            except OSError as error:
                failed += 1
                _say(f"{target} cannot be written: {(error.strerror or 'unknown').lower()}.")
            bar.update(done + 1 - bar.n)
    return failed


def _jobs(files: list[Path], out: Path | None, force: bool) -> tuple[list[tuple[Path, Path]], int]:
    """Which source goes to which target, and how many were refused (each with a sentence)."""
    jobs: dict[Path, tuple[Path, Path]] = {}  # the resolved target -> source, target
    refused = 0
    for given in files:
        found = _search(given) if given.is_dir() else [given]
        if not found:
            refused += 1
            _say(f"{given} holds no audio or video file: nothing to denoise there.")
        for source in found:
            target = (out or source.parent) / f"{source.stem}{ENDING}.wav"
            first, _ = jobs.get(target.resolve(), (None, None))
            if first is not None and first.resolve() == source.resolve():
                continue  # named twice, or named and found
            if first is not None:
                refused += 1
                _say(f"{source} is left out: {target} is already the result of {first}.")
            elif target.exists() and not force:
                refused += 1
                _say(f"{target} exists: give --force to overwrite it, or -o for another folder.")
            else:
                jobs[target.resolve()] = source, target
    return list(jobs.values()), refused


def _search(folder: Path) -> list[Path]:
    """What a folder holds, without our own results."""
    from denoiser import audio

    return [path for path in audio.find(folder) if not path.stem.endswith(ENDING)]


# ---- plot


def _plot(arguments: argparse.Namespace) -> int:
    from denoiser import audio, levels, plot

    try:
        sounds = [audio.read(p) for p in (arguments.clean, arguments.noisy, arguments.denoised)]
    except audio.AudioError as error:
        _say(error)
        return 1
    (clean, sample_rate), (noisy, _), (denoised, _) = sounds
    if len({(wave.shape, rate) for wave, rate in sounds}) > 1:
        _say(
            "The three files differ in length, channels or sample rate: "
            + ", ".join(f"{wave.shape[1]} x {wave.shape[0]} at {rate} Hz" for wave, rate in sounds)
            + "; give three versions of one recording."
        )
        return 1
    waves = {"Clean": clean, "Noise": noisy - clean, "Mixture": noisy, "Denoised": denoised}
    downmix = levels.downmix_of(arguments.noisy)
    figures = plot.compare({name: downmix(w)[0] for name, w in waves.items()}, sample_rate)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for figure, name in zip(figures, ("waveforms.png", "spectrograms.png"), strict=True):
        figure.savefig(arguments.out / name)
        print(arguments.out / name)
    return 0


# ---- publish


def _publish(arguments: argparse.Namespace) -> int:
    space = arguments.space is not None
    of_a_model = arguments.folder or arguments.revision
    if space == (arguments.name is not None) or (of_a_model if space else arguments.model):
        arguments.parser.error(
            "give FOLDER and OWNER/NAME, or only --space OWNER/NAME, and with it --model"
        )
    from denoiser import publish
    from denoiser.checkpoint import CheckpointError

    options = {"private": arguments.private, "dry_run": arguments.dry_run}
    try:
        if space:
            print(publish.publish_space(arguments.space, model=arguments.model, **options))
        else:
            revision = arguments.revision or "main"
            print(publish.publish(arguments.folder, arguments.name, revision=revision, **options))
    except CheckpointError as error:
        _say(error)
        return 1
    return 0
