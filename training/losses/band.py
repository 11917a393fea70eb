"""What BandUNet is trained to do."""

import torch
from torch import Tensor

from denoiser.models.band import BandUNet
from training.losses import pesq
from training.losses.discriminator import Discriminator, adversarial

MAGNITUDE, COMPLEX = 0.7, 0.3  # weights of two terms of the compressed spectral loss
SUPPRESSED = 0.5  # of its third: what is missing costs more than what is left over
HIGH_WEIGHT = 3.0  # of the bands above 8 kHz: quiet as they are, they count little on their own
PERCEPTUAL_WEIGHT = 0.004  # of the disturbance that PESQ hears
DISTORTION_WEIGHT = 0.002  # of every dB of error


class CompressedLoss(torch.autograd.Function):
    """Squared error of power-compressed spectra, with its gradient in closed form.

    With compression c, u = |E|^c and v = |C|^c, and E^c = E |E|^(c-1):
        0.7 (u - v)^2 + 0.3 |E^c - C^c|^2 = u^2 + v^2 - 1.4 u v - 0.6 Re(E^c conj(C^c)),
    and 0.5 max(v - u, 0)^2 for voice that was taken away. Magnitude and complex terms 70 : 30 after
    Braun and Tashev (2020, arXiv 2009.12286), an asymmetric one as in VoiceFilter-Lite (Wang et al.
    2020, arXiv 2009.04323). Autograd would keep a dozen spectra; the closed form needs three.
    """

    @staticmethod
    def forward(ctx, enhanced: Tensor, clean: Tensor, weight: Tensor, c: float) -> Tensor:
        """Spectra (B, N, F, 2), weight of each bin (B, 1, F) -> mean of weighted means."""
        power = enhanced.square().sum(-1) + 1e-10
        clean_power = clean.square().sum(-1) + 1e-10
        u, v = power.pow(c / 2), clean_power.pow(c / 2)
        scale, clean_scale = u * power.rsqrt(), v * clean_power.rsqrt()  # |X|^(c-1)
        dot = (enhanced * clean).sum(-1).mul_(clean_scale)  # Re(E conj(C^c))
        weight = weight / (weight.sum(-1, keepdim=True) * enhanced[..., 0].shape[:2].numel())
        error = u.square() + v.square() - 2 * MAGNITUDE * u * v - 2 * COMPLEX * scale * dot
        error += SUPPRESSED * (v - u).clamp(min=0).square()
        ctx.save_for_backward(enhanced, clean, power, u, v, scale, clean_scale, dot, weight)
        ctx.c = c
        return (error * weight).sum()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        enhanced, clean, power, u, v, scale, clean_scale, dot, weight = ctx.saved_tensors
        c = ctx.c
        along = 2 * c * u * u - 2 * MAGNITUDE * c * u * v + 2 * COMPLEX * (1 - c) * scale * dot
        along -= 2 * SUPPRESSED * c * u * (v - u).clamp(min=0)
        weight = weight * grad
        along = (along / power).mul_(weight)
        across = (scale * clean_scale).mul_(weight).mul_(-2 * COMPLEX)
        result = (enhanced * along[..., None]).addcmul_(clean, across[..., None])
        return result, None, None, None


def band_objective(
    model: BandUNet,
    noisy: Tensor,
    clean: Tensor,
    bandwidth_hz: Tensor,
    lift: Tensor,
    discriminator: Discriminator | None = None,
) -> dict:
    """Of the wave that leaves the model (consistency), not of the mask's product.

    noisy, clean (B, T), T a multiple of the hop; bandwidth_hz (B,). Estimate and target are
    multiplied by lift (B, T or 1), so that a quiet voice counts as much as a loud one. Three terms:
    the compressed spectral error, PESQ's disturbance, and the distortion in dB, which holds on to
    what PESQ does not hear: phase, the lowest frequencies, a colouring that stays. The adversarial
    loss is not in their sum, but beside it as "adversarial", with the discriminator's own loss as
    "discriminator".
    """
    enhanced, clean = model(noisy) * lift, clean * lift
    past = clean.new_zeros(len(clean), model.config.hop_length)
    estimate, target = (model.stft.analyse(wave, past) for wave in (enhanced, clean))
    heard = audible_bins(estimate, bandwidth_hz, model.config.sample_rate)
    losses = spectral_loss(model, estimate, target, heard)
    bins = slice(pesq.BINS)
    with torch.autocast(clean.device.type, enabled=False):
        powers = [x[:, :, bins].square().sum(-1) * heard[..., bins] for x in (estimate, target)]
        losses["disturbance"] = pesq.disturbance(*powers)
    losses["distortion"] = distortion(enhanced, clean)
    losses["loss"] = (
        losses["loss"]
        + PERCEPTUAL_WEIGHT * losses["disturbance"]
        + DISTORTION_WEIGHT * losses["distortion"]
    )
    if discriminator:
        losses["adversarial"], losses["discriminator"] = adversarial(discriminator, *powers)
    return losses


def distortion(enhanced: Tensor, clean: Tensor) -> Tensor:
    """Error of waves (B, T) over the clean power in dB, mean over B; the last of it below -30 dB.

    Segments without speech count nothing.
    """
    error, power = ((enhanced - clean).square().mean(1), clean.square().mean(1))
    speaks = power > pesq.SILENT
    ratio = error / torch.where(speaks, power, 1.0) + 1e-3
    return 10 * torch.where(speaks, ratio.log10(), 0.0).mean()


def audible_bins(spectrum: Tensor, bandwidth_hz: Tensor, sample_rate: int) -> Tensor:
    """Which bins of (B, N, F, 2) are below bandwidth_hz (B,): 1 or 0, (B, 1, F).

    Above it the clean recording holds nothing that could be learnt, so nothing is asked there.
    """
    bins = spectrum.shape[2]
    bin_hz = torch.arange(bins, device=spectrum.device) * (sample_rate / 2 / (bins - 1))
    return (bin_hz <= bandwidth_hz[:, None]).float()[:, None]


def spectral_loss(model: BandUNet, estimate: Tensor, target: Tensor, heard: Tensor) -> dict:
    """Compressed error of spectra (B, N, F, 2), where `audible_bins` says so (B, 1, F).

    Below 8 kHz per bin, above per band.
    """
    config, low = model.config, model.config.low_bins
    loss = CompressedLoss.apply(
        estimate[:, :, :low], target[:, :, :low], heard[..., :low], config.compression
    )
    share = model.bands / model.bands.sum(0)
    audible = (heard[..., low:] @ share > 0.99).float()
    power = estimate[:, :, low:].square().sum(-1) @ share + 1e-10
    target_power = target[:, :, low:].square().sum(-1) @ share + 1e-10
    exponent = config.compression / 2
    error = (power.pow(exponent) - target_power.pow(exponent)).square() * audible
    high = (error.mean(1).sum(-1) / audible.sum((1, 2)).clamp(min=1)).mean()
    return {"loss": loss + HIGH_WEIGHT * high, "low": loss.detach(), "high": high.detach()}
