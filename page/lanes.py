"""Who works when: two lanes, one for short and one for long recordings, and turns on one model.

In each lane one recording is worked on and the others wait in the order in which they came. The two
at work take turns on the model, chunk by chunk, so that a clip of ten seconds does not wait for a
file of an hour. All are told their place in line and about how long it will take.
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

SHORT_SECONDS = 120.0  # times channels: what the short lane takes
FIRST_PACE = 0.05  # seconds of work a second of one channel, before anything was measured
MEMORY = 0.7  # of what is known of the pace, when another recording is done
SURE_SHARE = 0.1  # done, from here on a recording's own pace is better than the mean


class Place:
    """A recording at work or in line; see `Lanes.place`."""

    def __init__(self, lanes: Lanes, seconds: float):
        self.lanes, self.seconds = lanes, seconds
        self.line = lanes.short if seconds <= SHORT_SECONDS else lanes.long
        self.share = 0.0
        self.began: float | None = None

    @property
    def ahead(self) -> int:
        """How many recordings come first; 0 means that it is this one's turn."""
        with self.lanes.lock:
            number = self.line.index(self)
            if number == 0 and self.began is None:
                self.began = time.monotonic()
            return number

    @property
    def left(self) -> float:
        """About how many seconds this one still needs, once it is at work."""
        if self.began is None or self.share < SURE_SHARE:
            return self.seconds * self.lanes.pace * (1 - self.share)
        return (time.monotonic() - self.began) / self.share * (1 - self.share)

    @property
    def wait(self) -> float:
        """About how many seconds are needed by those who come first."""
        with self.lanes.lock:
            before = self.line[: self.line.index(self)]
        return sum(place.left for place in before)


class Lanes:
    """The two lines of waiting recordings, and the pace of the work."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.short: list[Place] = []
        self.long: list[Place] = []
        self.pace = FIRST_PACE
        self.turns = ThreadPoolExecutor(1, "model")

    @contextmanager
    def place(self, seconds: float) -> Iterator[Place]:
        """A place at the end of its line, as long as the block lasts.

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
    """A model whose `run` waits for its turn; all else is the model's own.

    `turns` is one thread, which takes what it is given in that order. Many threads that compute in
    turn would each keep memory of their own for it.
    """

    def __init__(self, model: Model, turns: ThreadPoolExecutor):
        self.model, self.turns = model, turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return copy.deepcopy(self.model, memo)  # moved to another device: nobody else waits for it

    def run(self, *arguments: Any) -> Any:
        return self.turns.submit(self._run, *arguments).result()

    def _run(self, *arguments: Any) -> Any:
        import torch

        with torch.inference_mode():  # a matter of each thread
            return self.model.run(*arguments)
