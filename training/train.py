"""The training loop: python -m training.train --recipe band --clean DIR --noise DIR --out runs/NAME

--out holds a checkpoint that can be loaded (the averaged weights), log.csv, curves.png and
state.safetensors, from which --resume goes on. Mixtures are numbered: a run that is stopped and
resumed, or spread over ranks by torchrun, hears the same ones in the same order.
"""

import argparse
import itertools
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from denoiser import audio, checkpoint
from denoiser.offline import return_free_memory
from denoiser.unet import BandUNet
from training import data, distributed, drawing
from training.benchmark import benchmark
from training.config import CPU_BATCH, RECIPES, Recipe
from training.progress import Progress, summary
from training.resident import Resident
from training.store import Store
from training.trainer import Trainer, keep_freed_memory
from training.validation import plot_curves, validate_model

REPORT_SECONDS = 60  # state is saved with every report


def train(
    recipe: Recipe,
    sources: tuple[drawing.Sources, drawing.Sources],
    out: Path,
    *,
    minutes: float,
    decay: float = 0.25,
    steps: int | None = None,
    pairs: int | None = None,
    resume: bool = False,
    init: Path | None = None,
    teacher: Path | None = None,
    keep: bool = False,
    device: torch.device | None = None,
) -> Trainer:
    """Train for `minutes` in all, or up to step `steps`, the last share with a falling rate.

    With `pairs` the same so many mixtures are heard again and again. A resumed run goes on towards
    the same end; one with `init` starts from the weights of that checkpoint that fit. With
    `teacher` the target is what that checkpoint makes of the noisy speech. With `keep` the weights
    of each validation stay in `out`/step-N. Raises CheckpointError in one sentence.
    """
    rank, world, device = distributed.start(device or torch.device("cpu"))
    trainer, progress = Trainer(recipe, device), Progress(out)
    new = _begin(trainer, progress, resume, init)
    if progress.minutes >= minutes or (steps and trainer.step >= steps):
        raise checkpoint.CheckpointError(
            f"The run has had {progress.minutes:.0f} minutes, {trainer.step} steps: ask for more."
        )
    store = Store(out.parent / "cache")
    batches = _batches(trainer, sources[0], store, pairs, rank, world)
    if teacher:
        batches = _taught(batches, _teacher(teacher, device))
    progress.begun = time.monotonic()  # what comes before is no training
    if rank == 0:
        _announce(init, new, sources[0])
    stopping, losses, done = _stop_on_signal(), [], False
    reported = validated = time.monotonic()

    while not done:
        left = distributed.mean(minutes - progress.minutes, device)
        share = 1 - trainer.step / steps if steps else max(left, 0) / minutes
        rate = min(1.0, share / decay) if decay else 1.0
        losses.append(trainer.learn(*next(batches), rate))
        now = time.monotonic()
        done = left <= 0 or bool(stopping) or trainer.step == steps
        validate = now - validated > 60 * recipe.validate_minutes
        report = validate or now - reported > REPORT_SECONDS
        done, report, validate = distributed.agree((done, report, validate), device)
        if not (done or report):
            continue
        trainer.settle()
        row = progress.row(trainer, losses, rate)
        if rank == 0:
            scored = validate or (done and not stopping)  # who stops a run may not wait for scores
            if scored:
                row |= validate_model(trainer, sources[1], store)
            progress.save(trainer, row, keep=keep and scored)
            speed = len(losses) * trainer.recipe.seconds / (now - reported)
            print(summary(row, speed, 0 if done else left), flush=True)
        return_free_memory()
        reported, losses = time.monotonic(), []
        validated = reported if validate else validated
    if rank == 0:
        plot_curves(progress.rows, out / "curves.png")
    distributed.stop()
    return trainer


def _begin(trainer: Trainer, progress: Progress, resume: bool, init: Path | None) -> list[str]:
    """From what the run's folder holds, from another's weights, or from nothing.

    Returns the names of the weights that the other has not.
    """
    if resume and init:
        raise checkpoint.CheckpointError("--resume goes on with its own weights: omit --init.")
    if resume:
        progress.resume(trainer)
    elif progress.state.exists():
        raise checkpoint.CheckpointError(
            f"{progress.out} holds a run: give --resume, or another --out."
        )
    try:  # before anything is learnt in vain
        progress.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise checkpoint.CheckpointError(f"{progress.out} cannot hold a run: {why}.") from None
    return trainer.adopt(checkpoint.load(init, "cpu")) if init else []


def _announce(init: Path | None, new: list[str], sources: drawing.Sources) -> None:
    """Print what a run begins with."""
    if new:
        print(f"not in {init}, so begun anew: {', '.join(new)}", flush=True)
    count = [len(files) for files in (sources.clean, sources.noise, sources.rooms)]
    print("{} recordings of speech, {} of noise, {} rooms".format(*count), flush=True)


def _batches(
    trainer: Trainer,
    sources: drawing.Sources,
    store: Store,
    pairs: int | None,
    rank: int,
    world: int,
) -> Iterator:
    """This rank's part of each batch, from the trainer's step on."""
    recipe, device = trainer.recipe, trainer.device
    if recipe.batch % world:
        raise checkpoint.CheckpointError(
            f"{world} processes cannot share batches of {recipe.batch}: start a divisor of it."
        )
    steps = itertools.count(trainer.step)
    rows = (range(n * recipe.batch, (n + 1) * recipe.batch)[rank::world] for n in steps)
    if pairs:
        rows = ([index % pairs for index in row] for row in rows)
    recordings = data.place(store, sources, device)
    batches = data.batches(sources, recipe.mixture, recordings, recipe.seed, rows)
    if isinstance(recordings, Resident):
        return data.ahead(batches)
    return (tuple(tensor.to(device) for tensor in batch) for batch in batches)


def _teacher(folder: Path, device: torch.device) -> BandUNet:
    """A checkpoint to learn from, without what it does after the network."""
    model = checkpoint.load(folder, device)
    if not isinstance(model, BandUNet):
        raise checkpoint.CheckpointError(f"{folder} is no BandUNet: no other can be a teacher.")
    model.config = replace(model.config, post_filter=0.0)
    return model


def _taught(batches: Iterator, teacher: BandUNet) -> Iterator:
    """The same mixtures, and what the teacher makes of them in place of the clean speech.

    Of those without speech, too: what the teacher leaves of noise its student leaves.
    """
    for noisy, _, bandwidth_hz in batches:
        with torch.no_grad():
            target = teacher(noisy)
        yield noisy, target, bandwidth_hz


def _stop_on_signal() -> list:
    """A list that SIGINT or SIGTERM make true: the step in hand is finished and saved.

    More of them change nothing: Ctrl+C under torchrun reaches a process twice.
    """
    received = []
    with suppress(ValueError):  # only the main thread may listen
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: received.append(True))
    return received


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="band")
    _add_data(parser.add_argument_group("what it hears"))
    _add_length(parser.add_argument_group("how long"))
    _add_folders(parser.add_argument_group("from where to where"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--benchmark", action="store_true", help="time the parts of a step instead of training"
    )
    return parser.parse_args(argv)


def _add_data(group) -> None:
    for name, what in (("clean", "clean speech"), ("noise", "noise"), ("rir", "room responses")):
        group.add_argument(
            f"--{name}",
            nargs="+",
            default=[],
            metavar="DIR",
            help=f"folders of {what}, or @FILE with a path a line; one named twice is heard twice "
            "as often",
        )
    group.add_argument(
        "--seed",
        type=_count,
        default=Recipe.seed,
        metavar="N",
        help="of the mixtures: give a run with --init from another run another seed, or it hears "
        "what that one heard; --resume keeps the run's own (default: %(default)s)",
    )
    group.add_argument(
        "--batch",
        type=_count,
        metavar="N",
        help=f"segments a step (default: the recipe's, on a CPU at most {CPU_BATCH}); --resume "
        "keeps the run's own",
    )
    group.add_argument(
        "--pairs", type=_count, metavar="N", help="learn from the same N mixtures again and again"
    )


def _add_length(group) -> None:
    group.add_argument(
        "--minutes",
        type=_positive,
        default=60.0,
        help="how long to train, in all its sessions (default: %(default)g)",
    )
    group.add_argument(
        "--steps", type=_count, metavar="N", help="end with step N, if that comes before the time"
    )
    group.add_argument(
        "--decay",
        type=_share,
        default=0.25,
        metavar="SHARE",
        help="last share of the minutes, in which the learning rate falls to nothing; "
        "0 for a run that is to be resumed (default: %(default)s)",
    )


def _add_folders(group) -> None:
    group.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    group.add_argument("--resume", action="store_true", help="go on from --out")
    group.add_argument(
        "--init",
        type=Path,
        metavar="DIR",
        help="start from this checkpoint's weights, where they fit",
    )
    group.add_argument(
        "--teacher",
        type=Path,
        metavar="DIR",
        help="learn what this checkpoint makes of the noisy speech, instead of the clean speech; "
        "with --resume give it again",
    )
    group.add_argument(
        "--keep",
        action="store_true",
        help="keep a copy of the weights at every validation, for training.average",
    )


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _arguments(argv)
    keep_freed_memory()
    try:
        device = checkpoint.pick_device(options.device)
        recipe = RECIPES[options.recipe]
        most = CPU_BATCH if device.type == "cpu" else recipe.batch
        batch = options.batch or min(recipe.batch, most)
        recipe = replace(recipe, seed=options.seed, batch=batch)
        sources = drawing.find_sources(options.clean, options.noise, options.rir)
        if options.benchmark:
            print(benchmark(recipe, sources[0], options.out, device))
        else:
            train(
                recipe,
                sources,
                options.out,
                minutes=options.minutes,
                decay=options.decay,
                steps=options.steps,
                pairs=options.pairs,
                resume=options.resume,
                init=options.init,
                teacher=options.teacher,
                keep=options.keep,
                device=device,
            )
    except (audio.AudioError, checkpoint.CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
