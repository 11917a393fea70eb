"""PESQ as a loss: the disturbance of ITU-T P.862, computed on spectra that are there already.

The transform of the models is the one of PESQ, 32 ms every 16 ms, so PESQ's filters become weights
of bins. Its bands, thresholds and scales are torch-pesq's, which copies the reference. That library
filters and transforms the waves again, which would cost a third of a step.
"""

import functools

import numpy as np
import torch
from scipy.signal import butter, freqz
from torch import Tensor
from torch.nn import functional as F
from torch_pesq.bark import BarkScale
from torch_pesq.loudness import Loudness, Sl_16k

BINS = 256  # 0 to 8 kHz in steps of 31.25 Hz
LEVEL = 1e7  # mean square that PESQ brings both recordings to, from 325 to 3250 Hz
WINDOW = 768, 192  # sum of squares of our window at 48 kHz, and of PESQ's at 16 kHz
SILENT = 1e-7  # mean square of a recording in which there is nothing to judge


@functools.cache
def _scales(device: torch.device) -> tuple[BarkScale, Loudness, Tensor, Tensor]:
    """Bark bands, loudness, and the squared responses (BINS,) of PESQ's two filters."""
    hz = np.arange(BINS) * 31.25
    telephone = butter(5, (325, 3250), fs=16000, btype="band")
    emphasis = (2.740826, -5.4816519, 2.740826), (1.0, -1.9444777, 0.94597794)
    responses = (np.abs(freqz(*each, worN=hz, fs=16000)[1]) ** 2 for each in (telephone, emphasis))
    squared = (torch.tensor(each, dtype=torch.float32, device=device) for each in responses)
    return BarkScale().float().to(device), Loudness().float().to(device), *squared


def speaks(power: Tensor) -> Tensor:
    """In which of the clean power spectra (B, N, BINS) there is a voice to judge: (B,)."""
    return power.mean((1, 2)) > SILENT * WINDOW[0]


def disturbance(enhanced: Tensor, clean: Tensor) -> Tensor:
    """Power spectra (B, N, BINS) of both -> what PESQ takes off its 4.5 points, mean over B.

    Segments without speech count nothing. Symmetric and asymmetric disturbance weigh 0.1 and
    0.0309, as in P.862.2 before its final mapping.
    """
    bark, loudness, telephone, emphasis = _scales(clean.device)

    def excitation(power: Tensor) -> Tensor:
        """Levelled power in Bark bands (B, N, 49)."""
        level = 2 * (power * telephone).sum((1, 2), keepdim=True)  # both halves of the spectrum
        level = level / (3 * WINDOW[0] * BINS * 2 * power.shape[1])
        power = power * (WINDOW[1] / WINDOW[0] / 3 * LEVEL * emphasis / (level + 1e-12))
        return bark(F.pad(power[..., 1:], (1, 1)))

    judged = speaks(clean)
    enhanced, clean = (torch.where(judged[:, None, None], x, 1.0) for x in (enhanced, clean))
    deg, ref = excitation(enhanced), excitation(clean)
    silent = loudness.total_audible(ref, 1e2) < 1e7
    ratio = loudness.time_avg_audible(deg, silent) + 1000
    ratio = ratio / (loudness.time_avg_audible(ref, silent) + 1000)
    ref = ref * ratio.clamp(0.01, 100)[:, None]  # a steady colouring is forgiven in part
    gain = (loudness.total_audible(ref) + 5e3) / (loudness.total_audible(deg) + 5e3)
    gain = torch.cat((gain[:, :1], 0.8 * gain[:, 1:] + 0.2 * gain[:, :-1]), 1).clamp(3e-4, 5)
    deg = deg * gain[..., None]  # and so is a change of loudness
    deg_loud, ref_loud = (_sones(power, loudness) for power in (deg, ref))
    difference = deg_loud - ref_loud
    audible = (difference.abs() - 0.25 * torch.minimum(deg_loud, ref_loud)).clamp(min=0)
    added = ((deg + 50) / (ref + 50)).pow(1.2)
    added = (added * (added >= 3)).clamp(max=12)  # disturbs more than what is missing
    scale = ((loudness.total_audible(ref) + 1e5) / 1e7).pow(0.04)
    total = 0
    for weight, error, p in ((0.1, audible, 2), (0.0309, audible * added, 1)):
        frames = (bark.weighted_norm(error + 1e-9, p) / scale).clamp(0.01, 45)
        stretches = frames.unfold(1, min(20, frames.shape[1]), 10)  # of 320 ms
        stretches = stretches.pow(6).mean(2).pow(1 / 6)
        total = total + weight * stretches.square().mean(1).sqrt()
    return torch.where(judged, total, 0.0).mean()


def _sones(power: Tensor, loudness: Loudness) -> Tensor:
    """torch-pesq's loudness of Bark bands (B, N, 49), with nothing for a GPU to wait for."""
    threshold = loudness.threshs
    sones = (0.5 + 0.5 * power / threshold) ** loudness.exp - 1
    sones = (2 * threshold) ** loudness.exp * torch.where(power > threshold, sones, 0.0)
    return sones * Sl_16k
