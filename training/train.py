"""The training loop: python -m training.train --recipe band --clean DIR --noise DIR --out runs/NAME

--out holds a checkpoint that can be loaded (the averaged weights), log.csv, curves.png and
state.safetensors, from which --resume goes on. Mixtures are numbered: a run that is stopped and
resumed, or spread over ranks by torchrun, hears the same ones in the same order.
"""

import argparse
import itertools
import json
import math
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from denoiser import audio, checkpoint
from denoiser.offline import return_free_memory
from training import data, distributed, drawing
from training.benchmark import benchmark
from training.config import RECIPES, Recipe
from training.store import SAMPLE_RATE
from training.trainer import Trainer, keep_freed_memory
from training.validation import plot_curves, validate_model

REPORT_SECONDS = 60  # state is saved with every report


@dataclass
class Progress:
    """A run's log and clocks."""

    out: Path
    rows: list[dict] = field(default_factory=list)
    minutes: float = 0.0  # spent training, over all sessions

    def save(self, trainer: Trainer) -> None:
        """Weights, resumable state and log, each replaced in one step."""
        self.out.mkdir(parents=True, exist_ok=True)
        checkpoint.save(trainer.average, self.out)
        temporary = self.out / ".state.safetensors"
        about = {
            "minutes": str(self.minutes),
            "seed": str(trainer.recipe.seed),
            "model": json.dumps(asdict(trainer.recipe.model)),
        }
        save_file(trainer.state(), temporary, about)
        os.replace(temporary, self.out / "state.safetensors")
        header = list(dict.fromkeys(key for row in self.rows for key in row))
        lines = [",".join(str(row.get(key, "")) for key in header) for row in self.rows]
        checkpoint.write_text(self.out / "log.csv", "\n".join([",".join(header), *lines, ""]))

    def resume(self, trainer: Trainer) -> None:
        """Go on from what `save` wrote, with the mixtures of the seed it began with."""
        path = self.out / "state.safetensors"
        if not path.exists():
            raise checkpoint.CheckpointError(f"Nothing to resume in {self.out}: omit --resume.")
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata()
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise checkpoint.CheckpointError(f"{path} cannot be read ({error}).") from error
        config, theirs = asdict(trainer.recipe.model), json.loads(about["model"])
        theirs.pop("post_filter", None)  # it comes after training
        if config | theirs != config:  # an older state may know fewer settings
            raise checkpoint.CheckpointError(f"{path} is of another model: give its own --recipe.")
        self.minutes = float(about["minutes"])
        seed = int(about.get("seed", trainer.recipe.seed))  # an older state does not say
        trainer.recipe = replace(trainer.recipe, seed=seed)
        trainer.restore(tensors)
        with suppress(FileNotFoundError):
            header, *lines = (self.out / "log.csv").read_text().splitlines()
            for line in lines:
                cells = zip(header.split(","), line.split(","), strict=True)
                row = {name: json.loads(cell) for name, cell in cells if cell}
                if row["step"] <= trainer.step:
                    self.rows.append(row)


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
    keep: bool = False,
    device: torch.device | None = None,
) -> Trainer:
    """Train for `minutes` in all, or up to step `steps`, the last share with a falling rate.

    With `pairs` the same so many mixtures are heard again and again. A resumed run goes on towards
    the same end; one with `init` starts from the weights of that checkpoint that fit. With `keep`
    those of each validation stay in `out`/step-N. Raises CheckpointError in one sentence.
    """
    rank, world, device = distributed.start(device or torch.device("cpu"))
    if recipe.batch % world:
        raise checkpoint.CheckpointError(
            f"{world} processes cannot share batches of {recipe.batch}: start a divisor of it."
        )
    trainer, progress = Trainer(recipe, device), Progress(out)
    if resume:
        progress.resume(trainer)
    elif (out / "state.safetensors").exists():
        raise checkpoint.CheckpointError(f"{out} holds a run: give --resume, or another --out.")
    elif init:
        new = trainer.adopt(checkpoint.load(init, "cpu"))
        if rank == 0 and new:
            print(f"not in {init}, so begun anew: {', '.join(new)}", flush=True)
    if progress.minutes >= minutes:
        raise checkpoint.CheckpointError(f"The run has had its {minutes:g} minutes: give it more.")
    store, stopping = data.Store(out.parent / "cache"), _stop_on_signal()
    batch = recipe.batch
    rows = (range(n * batch, (n + 1) * batch)[rank::world] for n in itertools.count(trainer.step))
    if pairs:
        rows = ([index % pairs for index in row] for row in rows)
    ahead = 0 if device.type == "cpu" else os.cpu_count()
    seed = trainer.recipe.seed
    batches = data.batches(sources[0], recipe.mixture, store, seed, rows, device, ahead)
    hours = batch * recipe.mixture.segment / SAMPLE_RATE / 3600  # of audio in a step
    if rank == 0:
        count = [len(files) for files in (sources[0].clean, sources[0].noise, sources[0].rooms)]
        print("{} recordings of speech, {} of noise, {} rooms".format(*count), flush=True)
    begun = reported = validated = time.monotonic()
    earlier, first, losses, done = progress.minutes, trainer.step, [], False

    while not done:
        left = minutes - earlier - (time.monotonic() - begun) / 60
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
        progress.minutes = earlier + (now - begun) / 60
        row = {
            "step": trainer.step,
            "minutes": round(progress.minutes, 2),
            "hours": round(trainer.step * hours, 3),
            "rate": round(recipe.learning_rate * rate, 6),
            **{name: _mean([step[name] for step in losses]) for name in losses[0]},
        }
        speed = (trainer.step - first) * hours * 3600 / (now - reported)
        if not math.isfinite(row["loss"]):
            raise checkpoint.CheckpointError(
                f"The loss is no number at step {trainer.step}: {out} keeps the state before."
            )
        if rank == 0:
            if validate or (done and not stopping):  # who stops a run may not wait for scores
                row |= validate_model(trainer, sources[1], store)
                row["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            progress.rows.append(row)
            progress.save(trainer)
            if keep and validate:
                checkpoint.save(trainer.average, out / f"step-{trainer.step}")
            print(line(row, speed, left), flush=True)
        return_free_memory()
        reported, first, losses = time.monotonic(), trainer.step, []
        validated = reported if validate else validated
    if rank == 0:
        plot_curves(progress.rows, out / "curves.png")
    distributed.stop()
    return trainer


def _mean(values: list[torch.Tensor]) -> float:
    return round(float(torch.stack(values).mean()), 5)


def line(row: dict, speed: float, left: float) -> str:
    """Progress in one line."""
    text = (
        f"step {row['step']}  loss {row['loss']:.4f}  rate {row['rate']:.2g}"
        f"  {row['hours']:.1f} h heard  {speed:.0f} x real time  {max(left, 0):.0f} min left"
    )
    if "valid_pesq" in row:
        text += f"  valid: SI-SDR {row['valid_si_sdr']:.2f} dB, PESQ {row['valid_pesq']:.3f}"
    return text


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


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="band")
    for name, what in (("clean", "clean speech"), ("noise", "noise"), ("rir", "room responses")):
        parser.add_argument(
            f"--{name}",
            nargs="+",
            default=[],
            metavar="DIR",
            help=f"folders of {what}, or @FILE with a path a line",
        )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--minutes",
        type=_positive,
        default=60.0,
        help="how long to train, in all its sessions (default: %(default)g)",
    )
    parser.add_argument(
        "--steps", type=_count, metavar="N", help="end with step N, if that comes before the time"
    )
    parser.add_argument(
        "--pairs", type=_count, metavar="N", help="learn from the same N mixtures again and again"
    )
    parser.add_argument(
        "--decay",
        type=_share,
        default=0.25,
        metavar="SHARE",
        help="last share of the minutes, in which the learning rate falls to nothing; "
        "0 for a run that is to be resumed (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from --out")
    parser.add_argument(
        "--init",
        type=Path,
        metavar="DIR",
        help="start from this checkpoint's weights, where they fit",
    )
    parser.add_argument(
        "--seed",
        type=_count,
        default=Recipe.seed,
        metavar="N",
        help="of the mixtures: give a run with --init from another run another seed, or it hears "
        "what that one heard; --resume keeps the run's own (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep a copy of the weights at every validation, for training.average",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--benchmark", action="store_true", help="time the parts of a step instead of training"
    )
    options = parser.parse_args(argv)
    recipe = replace(RECIPES[options.recipe], seed=options.seed)
    keep_freed_memory()
    try:
        device = checkpoint.pick_device(options.device)
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
                keep=options.keep,
                device=device,
            )
    except (audio.AudioError, checkpoint.CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
