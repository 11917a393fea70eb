"""Another checkpoint's estimates as what is to be learnt, in place of the clean speech."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from denoiser import checkpoint
from denoiser.unet import BandUNet


def load(folder: Path, device: torch.device) -> BandUNet:
    """A checkpoint to learn from, without what it does after the network.

    Raises CheckpointError where there is no BandUNet.
    """
    model = checkpoint.load(folder, device)
    if not isinstance(model, BandUNet):
        raise checkpoint.CheckpointError(f"{folder} is no BandUNet: no other can be a teacher.")
    model.config = replace(model.config, post_filter=0.0)
    return model


def taught(batches: Iterator, teacher: BandUNet) -> Iterator:
    """The same mixtures, and what the teacher makes of them in place of the clean speech.

    Of those without speech, too: what the teacher leaves of noise its student leaves.
    """
    for noisy, _, bandwidth_hz in batches:
        with torch.no_grad():
            target = teacher(noisy)
        yield noisy, target, bandwidth_hz
