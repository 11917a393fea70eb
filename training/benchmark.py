"""Where a training step's time goes: python -m training.train --benchmark ..."""

import itertools
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch

from training.data import batching
from training.data.cache import AudioCache
from training.data.sources import Sources
from training.recipes import Recipe
from training.trainer import Trainer

WARM_UP, COUNTED = 4, 15  # steps


def benchmark(recipe: Recipe, sources: Sources, cache: Path, device: torch.device) -> str:
    """Median milliseconds of each part of a step, and seconds of audio learnt from in a second.

    The step is the trainer's own, taken apart: mixing, forward (spectra, network and loss), all
    gradients, optimisers (with clipping and averaging). On a GPU a step in one piece, recorded, is
    more than twice as fast.
    """
    trainer, times = Trainer(recipe, device), defaultdict(list)
    recordings = batching.place(AudioCache(cache), sources, device)
    rows = (range(n * recipe.batch, (n + 1) * recipe.batch) for n in itertools.count())
    batches = batching.batches(sources, recipe.mixture, recordings, recipe.seed, rows)

    @contextmanager
    def timed(name: str):
        begun = time.perf_counter()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize()
        times[name].append(time.perf_counter() - begun)

    for _ in range(WARM_UP + COUNTED):
        with timed("step"):
            with timed("mixing"):
                batch = [tensor.to(device) for tensor in next(batches)]
            with timed("forward"):
                losses = trainer.losses(*batch)
            with timed("gradients"):
                trainer.backward(losses)
            with timed("optimisers"):
                trainer.prepare(1.0)
                trainer.update()
    medians = {name: sorted(spent[WARM_UP:])[COUNTED // 2] for name, spent in times.items()}
    lines = [f"{name:10} {1000 * seconds:7.1f} ms" for name, seconds in medians.items()]
    return "\n".join([*lines, f"{recipe.seconds / medians['step']:.1f} s of audio a second"])
