"""A model that learns in seconds, what it learns from, and its weights."""

import torch

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


def batch(items: int = 4):
    torch.manual_seed(0)
    clean = 0.1 * torch.sin(torch.arange(16 * 768) * 0.05).repeat(items, 1)
    noisy = clean + 0.05 * torch.randn_like(clean)
    return noisy, clean, torch.full((items,), 24000.0), torch.ones(items, 1)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
