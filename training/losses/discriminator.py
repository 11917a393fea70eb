"""A discriminator learns to tell enhanced from clean speech; the model learns to deceive it.

An error averaged over everything a voice might have been makes it dull. The discriminator detects
that, and its gradient pulls the model back to what voices sound like. Least-squares loss
(Mao et al. 2017, arXiv 1611.04076) with feature matching (Larsen et al. 2016, arXiv 1512.09300).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses import pesq

SHARE = 0.5  # of a batch is judged: all of it would cost a third of a step
EXPONENT = 0.15  # of power: as the compressed loss hears magnitudes
DISCRIMINATOR_RATE = 2e-3


class Discriminator(nn.Module):
    """Pictures (B, 1, N, F) -> the outputs of its layers, the last of them a verdict.

    The verdict (B, 1, N / 4, F / 16), 1 for clean and 0 for enhanced, is on some 0.3 s and 2 kHz
    each, seen beside the whole picture by the normalisation.
    """

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(1, 24, (3, 7), (1, 4), (1, 3))
        second = nn.Conv2d(24, 48, (3, 5), 2, (1, 2)), nn.InstanceNorm2d(48, affine=True)
        third = nn.Conv2d(48, 64, 3, 2, 1), nn.InstanceNorm2d(64, affine=True)
        self.layers = nn.ModuleList((first, nn.Sequential(*second), nn.Sequential(*third)))
        self.verdict = nn.Conv2d(64, 1, 3, 1, 1)

    def forward(self, picture: Tensor) -> list[Tensor]:
        outputs = []
        for layer in self.layers:
            picture = F.leaky_relu(layer(picture), 0.2)
            outputs.append(picture)
        return [*outputs, self.verdict(picture)]


def adversarial(
    discriminator: Discriminator, enhanced: Tensor, clean: Tensor
) -> tuple[Tensor, Tensor]:
    """Power spectra (B, N, F) of both -> the model's loss and the discriminator's.

    Both come from one run of the discriminator: differentiate each by its own side's weights only.
    """
    count = max(1, round(SHARE * len(clean)))
    enhanced, clean = enhanced[:count], clean[:count]
    speaks = pesq.speaks(clean)[:, None, None, None]
    enhanced, clean = (torch.where(speaks, power[:, None], 1.0) for power in (enhanced, clean))
    level = clean.mean((1, 2, 3), keepdim=True)
    enhanced, clean = ((power / level + 1e-6).pow(EXPONENT) for power in (enhanced, clean))
    std, mean = torch.std_mean(clean, (1, 2, 3), keepdim=True)
    std = std.clamp(min=1e-3)
    outputs = discriminator(torch.cat([(picture - mean) / std for picture in (enhanced, clean)]))
    (*seen, fake), (*wanted, real) = zip(*(output.chunk(2) for output in outputs), strict=True)
    weight = speaks / speaks.sum().clamp(min=1)  # a mean over those who speak

    def judged(each: Tensor) -> Tensor:
        return (each.mean((1, 2, 3), keepdim=True) * weight).sum()

    matching = sum(
        judged((a - b.detach()).abs()) / judged(b.detach().abs()).clamp(min=1e-6)
        for a, b in zip(seen, wanted, strict=True)
    )
    return (
        judged((fake - 1).square()) + matching,
        judged((real - 1).square()) + judged(fake.square()),
    )
