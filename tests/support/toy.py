"""A model that learns in seconds, what it learns from, and its weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from denoiser import audio
from denoiser.models.band import BandUNetConfig
from training.data.mixture import MixtureConfig
from training.recipes import Recipe
from training.trainer import Trainer

CPU = torch.device("cpu")
TOY = Recipe(
    BandUNetConfig(
        channels=16, blocks=1, bottleneck_channels=16, bottleneck_blocks=1, state_channels=16
    ),
    MixtureConfig(segment=16 * 768),
    batch=4,
    warmup_steps=10,
)
# As small as can be: what tests/data/run holds was trained with it
TINY = replace(
    TOY,
    model=BandUNetConfig(
        channels=4,
        blocks=1,
        bottleneck_channels=4,
        bottleneck_blocks=1,
        state_channels=4,
        high_bands=24,
        low_positions=14,
        high_positions=2,
        stride=16,
    ),
)


def write_corpus(root: Path) -> None:
    """root/clean and root/noise: three tones that come and go as speech, three times hiss."""
    rng, t = np.random.default_rng(0), np.arange(3 * 48000) / 48000
    for folder in ("clean", "noise"):
        (root / folder).mkdir()
        for n in range(3):
            tone = np.sin(2 * np.pi * 300 * (n + 1) * t) * (np.sin(2 * np.pi * 2 * t) > 0)
            wave = tone if folder == "clean" else rng.standard_normal(len(t))
            audio.write(root / folder / f"{n}.wav", 0.1 * wave[None].astype(np.float32), 48000)


def batch(items: int = 4):
    torch.manual_seed(0)
    clean = 0.1 * torch.sin(torch.arange(16 * 768) * 0.05).repeat(items, 1)
    noisy = clean + 0.05 * torch.randn_like(clean)
    return noisy, clean, torch.full((items,), 24000.0), torch.ones(items, 1)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
