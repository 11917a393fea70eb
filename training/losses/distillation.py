"""Another checkpoint's estimates as what is to be learnt, in place of the clean speech."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from denoiser import checkpoint
from denoiser.models.band import BandUNet
from training.data.mixture import Mixture
from training.errors import TrainingError


def load(folder: Path, device: torch.device) -> BandUNet:
    """A checkpoint to learn from, without what it does after the network.

    Raises TrainingError where there is no BandUNet.
    """
    model = checkpoint.load(folder, device)
    if not isinstance(model, BandUNet):
        raise TrainingError(f"{folder} is no BandUNet: no other can be a teacher.")
    model.config = replace(model.config, post_filter=0.0)
    return model


def targets(teacher: BandUNet, mixtures: Sequence[Mixture], noisy: Tensor, clean: Tensor) -> Tensor:
    """What the teacher makes of noisy (B, T) in place of clean (B, T), where it heard such things.

    Of mixtures without speech, too: what it leaves of noise its student leaves. Held vowels, quiet
    guests and muted stretches are learnt from the clean speech: a teacher that lost them cannot
    teach them.
    """
    rows = [row for row, mixture in enumerate(mixtures) if mixture.ordinary]
    result = clean.clone()
    if rows:
        device = next(teacher.parameters()).device
        with torch.no_grad():
            result[rows] = teacher(noisy[rows].to(device)).to(clean)
    return result
