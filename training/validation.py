"""How a run is doing: scores on recordings held out of training, and its curves as a picture."""

import itertools
import math
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from denoiser import audio, metrics
from training.data import batching
from training.data.cache import SAMPLE_RATE, AudioCache
from training.data.mixture import sample
from training.data.sources import Sources
from training.trainer import Trainer

ITEMS = 24


def validate_model(trainer: Trainer, held_out: Sources, store: AudioCache) -> dict:
    """What the averaged weights make of fixed mixtures of recordings held out of training.

    Means of the training's losses, SI-SDR and PESQ.
    """
    recipe, model = trainer.recipe, trainer.average
    rate = model.config.sample_rate
    results = defaultdict(list)
    for index in itertools.count():
        if len(results["si_sdr"]) == ITEMS:
            break
        mixture = sample(held_out, recipe.mixture, seed=0, index=index)
        if mixture.speech is None or math.isinf(mixture.snr_db):
            continue
        material = batching.load([mixture], store, recipe.mixture)
        batch = batching.mix(material, [mixture], recipe.mixture)
        batch = [tensor.to(trainer.device) for tensor in batch]
        with torch.no_grad():
            for name, value in trainer.objective(model, *batch).items():
                results[name].append(float(value))
            noisy, clean = (audio.resample(x.cpu().numpy(), SAMPLE_RATE, rate) for x in batch[:2])
            enhanced = model(torch.from_numpy(noisy).to(trainer.device))
        pair = {"enhanced": enhanced[0].cpu().numpy(), "clean": clean[0]}
        results["si_sdr"].append(metrics.si_sdr(**pair, sample_rate=rate))
        with suppress(ValueError):  # a stretch of a recording may hold no speech
            results["pesq"].append(metrics.pesq(**pair, sample_rate=rate))
    return {
        f"valid_{name}": round(float(np.mean(each)), 5) for name, each in results.items() if each
    }


def plot_curves(rows: list[dict], path: Path) -> None:
    """Loss and validation scores over the hours heard, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    curves = (("loss", "loss"), ("valid_si_sdr", "SI-SDR, dB"), ("valid_pesq", "PESQ"))
    for panel, (name, label) in zip(panels, curves, strict=True):
        points = [(row["hours"], row[name]) for row in rows if name in row]
        panel.plot(*zip(*points, strict=True), marker="." if len(points) < 50 else None)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("hours of audio heard")
    figure.savefig(path, dpi=100)
