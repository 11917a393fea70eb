"""A model over one recording, a chunk after another."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch

from denoiser.audio import Notify
from denoiser.models import Model, State

LEAST_SECONDS = 1.0  # of a chunk, where a GPU has little memory left


class Chunks:
    """A model that enhances one recording in chunks, each with what follows as its look-ahead.

    Every channel has a state of its own. When a GPU has no memory left, chunks get shorter, and in
    the end a copy of the model goes on on the CPU: the model itself is shared and stays.
    """

    def __init__(self, model: Model, seconds: float, notify: Notify) -> None:
        self.model, self.notify, self.moved = model, notify, False
        self.device = next(model.parameters()).device
        self.hop, rate = model.config.hop_length, model.config.sample_rate
        samples = (seconds * rate, model.lookahead, LEAST_SECONDS * rate)
        self.length, self.ahead, self.least = (
            round(count / self.hop) * self.hop for count in samples
        )
        self.held = torch.zeros(0, 0)  # (C, n): what came in and is not enhanced yet
        self.states: list[State] = []  # one a channel
        self.skip = model.delay  # samples of the output that belong to nothing
        self.due = 0  # samples that came in and did not go out

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """Takes in (C, n); gives every chunk that is complete with its look-ahead."""
        piece = torch.from_numpy(np.ascontiguousarray(wave)).to(self.device)
        if not self.states:
            self.held = piece[:, :0]
            self.states = [self.model.initial_state(row[None]) for row in piece]
        self.held, self.due = torch.cat((self.held, piece), 1), self.due + piece.shape[1]
        while self._complete():
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """The rest: silence after it brings out what the model holds back."""
        padding = -self.held.shape[1] % self.hop + self.model.delay
        self.held = torch.nn.functional.pad(self.held, (0, padding))
        while self.due:
            yield self._next()

    def _complete(self) -> bool:
        return self.held.shape[1] >= self.length + self.ahead

    def _next(self) -> np.ndarray:
        """The next chunk, enhanced; without look-ahead where nothing follows."""
        while True:
            complete = self._complete()
            piece = self.held[:, : self.length + self.ahead] if complete else self.held
            lookahead = self.ahead // self.hop if complete else 0
            try:
                enhanced, self.states = _run(self.model, piece, self.states, lookahead)
                break
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if not self._shortened() and not self._moved_to_cpu():
                    raise
        enhanced = enhanced[:, self.skip : self.skip + self.due]
        self.held, self.skip = self.held[:, self.length :], 0
        self.due -= enhanced.shape[1]
        return enhanced

    def _shortened(self) -> bool:
        """Halves the chunks; False where they are as short as they may be."""
        if self.length <= self.least:
            return False
        self.length = max(self.least, self.length // 2 // self.hop * self.hop)
        return True

    def _moved_to_cpu(self) -> bool:
        """Goes on on the CPU; False if that is where it is."""
        if self.moved:
            return False
        self.notify("The GPU has too little memory left: the CPU does the rest.")
        self.moved, self.device = True, torch.device("cpu")
        self.model = copy.deepcopy(self.model).to(self.device)
        self.held = self.held.to(self.device)
        self.states = [tuple(tensor.to(self.device) for tensor in s) for s in self.states]
        return True


def _run(
    model: Model, chunk: torch.Tensor, states: list[State], lookahead: int
) -> tuple[np.ndarray, list[State]]:
    """One chunk (C, n) through the model, channel by channel, each with a state of its own."""
    with torch.inference_mode():
        outcomes = [
            model.run(row[None], state, lookahead) for row, state in zip(chunk, states, strict=True)
        ]
    return torch.cat([row for row, _ in outcomes]).cpu().numpy(), [state for _, state in outcomes]
