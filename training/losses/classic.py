"""What ClassicUNet is trained to do."""

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from denoiser.models import classic
from denoiser.models.classic import ClassicUNet
from training.data.cache import SAMPLE_RATE


def classic_objective(
    model: ClassicUNet, noisy: Tensor, clean: Tensor, bandwidth_hz: Tensor, lift: Tensor
) -> dict:
    """Binary cross-entropy of the painted and the clean log spectrogram, and their IoU.

    noisy, clean (B, T) at 48 kHz; both pictures have the noisy one's range.
    """
    rate, hop = model.config.sample_rate, model.config.hop_length
    levels = []
    for wave in (noisy, clean):
        wave = torchaudio.functional.resample(wave, SAMPLE_RATE, rate)
        wave = wave[:, : wave.shape[1] // hop * hop]
        spectrum = model.stft.analyse(wave, wave.new_zeros(len(wave), hop))
        levels.append(classic.decibel(spectrum.square().sum(-1).sqrt()))
    _, _, *nothing = model.initial_state(noisy)
    least, most = classic.level_range(levels[0], *nothing)
    picture, target = (classic.normalise(each, least, most) for each in levels)
    logits = model.logits(picture).float()
    loss = F.binary_cross_entropy_with_logits(logits, target)
    return {"loss": loss, "iou": intersection_over_union(logits.sigmoid(), target)}


def intersection_over_union(picture: Tensor, target: Tensor) -> Tensor:
    """Of two pictures of 0 to 1, as fuzzy sets: sum of the lesser over sum of the greater values.

    1 where both are equal (Ruzicka's similarity); for pictures of 0 and 1 the usual ratio.
    """
    return torch.minimum(picture, target).sum() / torch.maximum(picture, target).sum()
