"""The networks, and the interface that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Parameter

from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.models.classic import ClassicUNet, ClassicUNetConfig

State = tuple[Tensor, ...]
Network = BandUNet | ClassicUNet  # each is a Model
MODELS: dict[str, tuple[Callable[..., Network], type[BandUNetConfig | ClassicUNetConfig]]] = {
    "BandUNet": (BandUNet, BandUNetConfig),
    "ClassicUNet": (ClassicUNet, ClassicUNetConfig),
}


class Config(Protocol):
    """The settings that every configuration has; each network adds its own."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def hop_length(self) -> int:
        """Samples."""


@runtime_checkable
class Model(Protocol):
    """A network that enhances waves (B, T) at its own sample rate, whole or in consecutive runs."""

    @property
    def config(self) -> Config:
        """The settings that, with the weights, describe it completely."""

    @property
    def delay(self) -> int:
        """Samples by which the output of `run` lags its input."""

    @property
    def lookahead(self) -> int:
        """Samples of look-ahead with which `run` matches a run over the whole recording."""

    def initial_state(self, like: Tensor) -> State:
        """The state before a recording; batch size, device and dtype are those of `like` (B, T).

        All its tensors are distinct objects, as an export requires.
        """

    def run(self, noisy: Tensor, state: State, lookahead: int = 0) -> tuple[Tensor, State]:
        """noisy (B, K * hop) -> enhanced (B, (K - lookahead) * hop), and the state after it."""

    def __call__(self, noisy: Tensor) -> Tensor:
        """Whole waves (B, T), noisy -> enhanced."""

    def parameters(self) -> Iterator[Parameter]:
        """Its weights."""

    def to(self, device: torch.device, /) -> Model:
        """The network, moved to a device."""


def build(config: Config) -> Network:
    """An untrained network of the kind that `config` belongs to."""
    return next(model for model, kind in MODELS.values() if type(config) is kind)(config)
