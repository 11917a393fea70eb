"""Running a model over one recording in chunks."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch

from denoiser.audio import Notify
from denoiser.models import Model, State

LEAST_SECONDS = 1.0  # shortest chunk, when a GPU is low on memory


class Chunks:
    """A model that enhances one recording in chunks, each with samples after it as look-ahead.

    Every channel has its own state. If a GPU runs out of memory, chunks get shorter, down to
    LEAST_SECONDS; then a copy of the model continues on the CPU. The shared model itself stays
    where it is.
    """

    def __init__(self, model: Model, seconds: float, notify: Notify) -> None:
        self.model, self.notify, self.moved = model, notify, False
        self.device = next(model.parameters()).device
        self.hop, rate = model.config.hop_length, model.config.sample_rate
        samples = (seconds * rate, model.lookahead, LEAST_SECONDS * rate)
        self.length, self.ahead, self.least = (
            round(count / self.hop) * self.hop for count in samples
        )
        self.held = torch.zeros(0, 0)  # (C, n): input that is not enhanced yet
        self.states: list[State] = []  # one per channel
        self.skip = model.delay  # output samples to discard: the model's delay
        self.due = 0  # input samples without output so far

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """Takes (C, n) float32; yields (C, m) for every chunk whose look-ahead is complete."""
        piece = torch.from_numpy(np.ascontiguousarray(wave)).to(self.device)
        if not self.states:
            self.held = piece[:, :0]
            self.states = [self.model.initial_state(row[None]) for row in piece]
        self.held, self.due = torch.cat((self.held, piece), 1), self.due + piece.shape[1]
        while self._complete():
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """Yields the remaining samples (C, m), with silence in place of the look-ahead."""
        padding = -self.held.shape[1] % self.hop + self.model.delay
        self.held = torch.nn.functional.pad(self.held, (0, padding))
        while self.due:
            yield self._next()

    def _complete(self) -> bool:
        return self.held.shape[1] >= self.length + self.ahead

    def _next(self) -> np.ndarray:
        """The next chunk, enhanced; without look-ahead at the end of the recording."""
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
        """Halves the chunk length; False if it is at its minimum."""
        if self.length <= self.least:
            return False
        self.length = max(self.least, self.length // 2 // self.hop * self.hop)
        return True

    def _moved_to_cpu(self) -> bool:
        """Continues on the CPU; False if the model is there already."""
        if self.moved:
            return False
        self.notify("The GPU is out of memory: processing continues on the CPU.")
        self.moved, self.device = True, torch.device("cpu")
        self.model = copy.deepcopy(self.model).to(self.device)
        self.held = self.held.to(self.device)
        self.states = [tuple(tensor.to(self.device) for tensor in s) for s in self.states]
        return True


def _run(
    model: Model, chunk: torch.Tensor, states: list[State], lookahead: int
) -> tuple[np.ndarray, list[State]]:
    """One chunk (C, n) through the model, channel by channel, each with its own state."""
    with torch.inference_mode():
        outcomes = [
            model.run(row[None], state, lookahead) for row, state in zip(chunk, states, strict=True)
        ]
    return torch.cat([row for row, _ in outcomes]).cpu().numpy(), [state for _, state in outcomes]
