"""The training loop: python -m training.train --recipe band --clean DIR --noise DIR --out runs/NAME

--out holds a checkpoint that can be loaded (the averaged weights), log.csv, curves.png and
state.safetensors, from which --resume goes on. Mixtures are numbered: a run that is stopped and
resumed, or spread over ranks by torchrun, hears the same ones in the same order.
"""

import itertools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from denoiser import checkpoint, console
from denoiser.offline import return_free_memory
from training.benchmark import benchmark
from training.data import batching
from training.data.cache import AudioCache
from training.data.gpu_cache import GpuCache
from training.data.sources import Sources, find_sources
from training.errors import TrainingError
from training.losses.distillation import load as load_teacher
from training.losses.distillation import targets
from training.optim import distributed
from training.options import parse
from training.recipes import CPU_BATCH, RECIPES, Recipe
from training.run import Run, summary
from training.trainer import Trainer, keep_freed_memory
from training.validation import plot_curves, validate_model

REPORT_SECONDS = 60  # state is saved with every report


def train(
    recipe: Recipe,
    sources: tuple[Sources, Sources],
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
    cache: Path | None = None,
    device: torch.device | None = None,
) -> Trainer:
    """Train for `minutes` in all, or up to step `steps`, the last share with a falling rate.

    With `pairs` the same so many mixtures are heard again and again. A resumed run goes on towards
    the same end; one with `init` starts from the weights of that checkpoint that fit. With
    `teacher` the target is what that checkpoint makes of ordinary mixtures. With `keep` the weights
    of each validation stay in `out`/step-N. Decoded recordings stay in `cache`, beside `out` where
    it is not given. Raises TrainingError in one sentence.
    """
    rank, world, device = distributed.start(device or torch.device("cpu"))
    trainer, run = Trainer(recipe, device), Run(out)
    new = _begin(trainer, run, resume, init)
    if run.minutes >= minutes or (steps and trainer.step >= steps):
        raise TrainingError(
            f"The run has had {run.minutes:.0f} minutes, {trainer.step} steps: ask for more."
        )
    store = AudioCache(cache or out.parent / "cache")
    taught = partial(targets, load_teacher(teacher, device)) if teacher else None
    batches = _batches(trainer, sources[0], store, pairs, rank, world, taught)
    run.begun = time.monotonic()  # what comes before is no training
    if rank == 0:
        _announce(init, new, sources[0])
    stopping, losses, done = _stop_on_signal(), [], False
    reported = validated = time.monotonic()

    while not done:
        left = distributed.mean(minutes - run.minutes, device)
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
        trainer.sync_buffers()
        row = run.row(trainer, losses, rate) | {"unreadable": len(store.failed)}
        if rank == 0:
            scored = validate or (done and not stopping)  # who stops a run may not wait for scores
            if scored:
                row |= validate_model(trainer, sources[1], store)
            run.save(trainer, row, keep=keep and scored)
            speed = len(losses) * trainer.recipe.seconds / (now - reported)
            console.show(summary(row, speed, 0 if done else left))
        return_free_memory()
        reported, losses = time.monotonic(), []
        validated = reported if validate else validated
    if rank == 0:
        plot_curves(run.rows, out / "curves.png")
        store.report()
    distributed.stop()
    return trainer


def _begin(trainer: Trainer, run: Run, resume: bool, init: Path | None) -> list[str]:
    """From what the run's folder holds, from another's weights, or from nothing.

    Returns the names of the weights that the other has not.
    """
    if resume and init:
        raise TrainingError("--resume goes on with its own weights: omit --init.")
    if resume:
        run.resume(trainer)
    elif run.state.exists():
        raise TrainingError(f"{run.out} holds a run: give --resume, or another --out.")
    try:  # before anything is learnt in vain
        run.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise TrainingError(f"{run.out} cannot hold a run: {why}.") from None
    return trainer.warm_start(checkpoint.load(init, "cpu")) if init else []


def _announce(init: Path | None, new: list[str], sources: Sources) -> None:
    """Print what a run begins with."""
    if new:
        console.show(f"not in {init}, so begun anew: {', '.join(new)}")
    count = [len(files) for files in (sources.clean, sources.noise, sources.rooms)]
    console.show("{} recordings of speech, {} of noise, {} rooms".format(*count))


def _batches(
    trainer: Trainer,
    sources: Sources,
    store: AudioCache,
    pairs: int | None,
    rank: int,
    world: int,
    taught: Callable | None,
) -> Iterator:
    """This rank's part of each batch, from the trainer's step on."""
    recipe, device = trainer.recipe, trainer.device
    if recipe.batch % world:
        raise TrainingError(
            f"{world} processes cannot share batches of {recipe.batch}: start a divisor of it."
        )
    steps = itertools.count(trainer.step)
    rows = (range(n * recipe.batch, (n + 1) * recipe.batch)[rank::world] for n in steps)
    if pairs:
        rows = ([index % pairs for index in row] for row in rows)
    recordings = batching.place(store, sources, device)
    batches = batching.batches(sources, recipe.mixture, recordings, recipe.seed, rows, taught)
    if isinstance(recordings, GpuCache):
        return batching.ahead(batches)
    return (tuple(tensor.to(device) for tensor in batch) for batch in batches)


def _stop_on_signal() -> list:
    """A list that SIGINT or SIGTERM make true: the step in hand is finished and saved.

    More of them change nothing: Ctrl+C under torchrun reaches a process twice.
    """
    received = []
    with suppress(ValueError):  # only the main thread may listen
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: received.append(True))
    return received


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parse(argv, __doc__)
    keep_freed_memory()
    device = checkpoint.pick_device(options.device)
    recipe = RECIPES[options.recipe]
    most = CPU_BATCH if device.type == "cpu" else recipe.batch
    batch = options.batch or min(recipe.batch, most)
    recipe = replace(recipe, seed=options.seed, batch=batch)
    sources = find_sources(options.clean, options.noise, options.rir)
    if options.benchmark:
        console.show(benchmark(recipe, sources[0], options.cache, device))
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
            cache=options.cache,
            device=device,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
