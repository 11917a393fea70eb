"""The networks, and what every one of them can do."""

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
    """What all configurations have; the others are a network's own."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def hop_length(self) -> int:
        """Samples."""


@runtime_checkable
class Model(Protocol):
    """A network that enhances waves (B, T) at its own sample rate, in any number of runs."""

    @property
    def config(self) -> Config:
        """The numbers that, with the weights, describe it completely."""

    @property
    def delay(self) -> int:
        """Samples by which the output of `run` is late."""

    @property
    def lookahead(self) -> int:
        """Samples after a chunk that `run` wants to know for its best result."""

    def initial_state(self, like: Tensor) -> State:
        """The state before a recording; batch size, device and dtype are those of `like` (B, T).

        No two tensors of it are one object.
        """

    def run(self, noisy: Tensor, state: State, lookahead: int = 0) -> tuple[Tensor, State]:
        """noisy (B, K * hop) -> enhanced (B, (K - lookahead) * hop), and the state after that."""

    def __call__(self, noisy: Tensor) -> Tensor:
        """Whole waves (B, T), noisy -> enhanced."""

    def parameters(self) -> Iterator[Parameter]:
        """Its weights."""

    def to(self, device: torch.device, /) -> Model:
        """The same network on another device."""


def build(config: Config) -> Network:
    """An untrained network of the kind that `config` configures."""
    return next(model for model, kind in MODELS.values() if type(config) is kind)(config)
