"""What each model is trained to do: objective(model, noisy, clean, ...) -> losses."""

from denoiser.models.band import BandUNet
from denoiser.models.classic import ClassicUNet
from training.losses.band import band_objective
from training.losses.classic import classic_objective

OBJECTIVES = {BandUNet: band_objective, ClassicUNet: classic_objective}
