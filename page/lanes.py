"""Scheduling: a queue for short recordings, one for long ones, and turns on the shared model.

In each queue, one recording at a time is processed, in the order of arrival. The two in progress
take turns on the model, chunk by chunk, so that a clip of ten seconds does not wait for a file of
an hour. Each place in a queue has a position and an estimated waiting time.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from denoiser.models import Model

SHORT_SECONDS = 120.0  # times channels: the longest recording of the short queue
FIRST_PACE = 0.05  # seconds of work per second of one channel, before the first measurement
MEMORY = 0.7  # weight of the previous pace when a recording is done
SURE_SHARE = 0.1  # from this share on, a recording's own pace is a better estimate than the mean


class Place:
    """A recording in progress or in a queue; see `Lanes.place`."""

    def __init__(self, lanes: Lanes, seconds: float):
        self.lanes, self.seconds = lanes, seconds
        self.line = lanes.short if seconds <= SHORT_SECONDS else lanes.long
        self.share = 0.0
        self.began: float | None = None

    @property
    def ahead(self) -> int:
        """The number of recordings before this one; 0 means that it is this one's turn."""
        with self.lanes.lock:
            number = self.line.index(self)
            if number == 0 and self.began is None:
                self.began = time.monotonic()
            return number

    @property
    def left(self) -> float:
        """The estimated remaining processing time in seconds."""
        if self.began is None or self.share < SURE_SHARE:
            return self.seconds * self.lanes.pace * (1 - self.share)
        return (time.monotonic() - self.began) / self.share * (1 - self.share)

    @property
    def wait(self) -> float:
        """The estimated time in seconds until this one's turn."""
        with self.lanes.lock:
            before = self.line[: self.line.index(self)]
        return sum(place.left for place in before)


class Lanes:
    """The two queues of recordings, and the measured pace of processing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.short: list[Place] = []
        self.long: list[Place] = []
        self.pace = FIRST_PACE
        self.turns = ThreadPoolExecutor(1, "model")

    @contextmanager
    def place(self, seconds: float) -> Iterator[Place]:
        """A place at the end of a queue, until the block ends.

        `seconds` is the length of the recording times its channels.
        """
        place = Place(self, seconds)
        with self.lock:
            place.line.append(place)
        try:
            yield place
        finally:
            with self.lock:
                place.line.remove(place)
            if place.share == 1 and place.began is not None:
                pace = (time.monotonic() - place.began) / max(place.seconds, 1.0)
                self.pace = MEMORY * self.pace + (1 - MEMORY) * pace


class Shared:
    """A model whose `run` waits for its turn; other attributes are those of the model.

    `turns` is a single thread that executes calls in order. Several threads would each keep their
    own working memory.
    """

    def __init__(self, model: Model, turns: ThreadPoolExecutor):
        self.model, self.turns = model, turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return copy.deepcopy(self.model, memo)  # a copy, on another device, is not shared

    def run(self, *arguments: Any) -> Any:
        return self.turns.submit(self._run, *arguments).result()

    def _run(self, *arguments: Any) -> Any:
        import torch

        with torch.inference_mode():  # applies to one thread only
            return self.model.run(*arguments)
