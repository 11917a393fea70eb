"""Running an exported model on live sound, hop by hop: onnxruntime and numpy, without PyTorch.

The file contains the network between two spectra (see `export`); the transforms stay outside it,
because browsers lack one that a graph could use, and numpy's are fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoiser.errors import CheckpointError, needing
from denoiser.files import StrPath

FORMAT = "1"  # version of inputs, outputs and metadata
SILENT_POWER = 1e-8  # -80 dBFS: frames below it leave the states as they are


@dataclass(frozen=True)
class Exported:
    """A causal model in an ONNX file; see `load`."""

    session: Any  # an onnxruntime.InferenceSession
    sample_rate: int  # Hz
    hop_length: int  # samples
    delay: int  # samples by which the output lags
    about: dict[str, str]  # digest of the weights, licence, and the settings above

    @property
    def states(self) -> dict[str, np.ndarray]:
        """The states before a recording, by name."""
        return {
            each.name: np.zeros(each.shape, np.float32)
            for each in self.session.get_inputs()
            if each.name.startswith("state")
        }


def load(path: StrPath) -> Exported:
    """Loads a file made by `denoiser export`, to run in one thread. Raises CheckpointError."""
    with needing("live"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised anyway
    try:
        with open(path, "rb") as file:
            content = file.read()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # onnxruntime has fifteen kinds, without a common one
        raise CheckpointError(
            f"{path} is not an ONNX file, or it is damaged: export it again."
        ) from error
    about = session.get_modelmeta().custom_metadata_map
    numbers = [about.get(name, "") for name in ("sample_rate", "hop_length", "delay")]
    if about.get("format") != FORMAT or not all(number.isdecimal() for number in numbers):
        raise CheckpointError(f"{Path(path).name} was not made by `denoiser export`.")
    rate, hop, delay = map(int, numbers)
    return Exported(session, rate, hop, delay, about)


class Hops:
    """Runs an exported model over waves (C, n): the counterpart of `Chunks` for PyTorch models."""

    def __init__(self, model: Exported, channels: int):
        self.model, hop = model, model.hop_length
        self.window = np.sqrt(np.hanning(2 * hop + 1)[:-1]).astype(np.float32)
        self.held = np.zeros((channels, 0), np.float32)  # input that is not enhanced yet
        self.past: np.ndarray = np.zeros((channels, hop), np.float32)  # the previous hop
        self.tail: np.ndarray = np.zeros_like(self.past)  # the previous frame's second half
        self.states = [model.states for _ in range(channels)]
        self.skip = model.delay  # output samples to discard
        self.due = 0  # input samples without output so far

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """Takes (C, n) float32; yields (C, m) for every complete hop."""
        self.held, self.due = np.concatenate((self.held, wave), axis=1), self.due + wave.shape[1]
        while self.held.shape[1] >= self.model.hop_length:
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """Yields the remaining samples (C, m), with silence in place of the model's delay."""
        padding = -self.held.shape[1] % self.model.hop_length + self.model.delay
        self.held = np.pad(self.held, ((0, 0), (0, padding)))
        while self.due:
            yield self._next()

    def _next(self) -> np.ndarray:
        hop = self.model.hop_length
        wave, self.held = self.held[:, :hop], self.held[:, hop:]
        frames = np.concatenate((self.past, wave), axis=1)
        silent = np.square(frames).mean(axis=1) < SILENT_POWER
        spectra = np.fft.rfft(frames * self.window)  # complex64 (C, hop + 1)
        enhanced = np.stack([self._enhanced(c, spectra[c], silent[c]) for c in range(len(wave))])
        halves = np.fft.irfft(enhanced) * self.window
        out = halves[:, :hop] + self.tail
        self.past, self.tail = wave, halves[:, hop:]
        out, self.skip = out[:, self.skip : self.skip + self.due], max(0, self.skip - hop)
        self.due -= out.shape[1]
        return out

    def _enhanced(self, channel: int, spectrum: np.ndarray, silent: np.bool_) -> np.ndarray:
        """One spectrum (bins,), complex64, of one channel; updates the channel's states."""
        inputs = {"spectrum": spectrum.view(np.float32).reshape(1, 1, -1, 2)}
        inputs["silent"] = np.array([[silent]])
        enhanced, *states = self.model.session.run(None, inputs | self.states[channel])
        self.states[channel] = dict(zip(self.states[channel], states, strict=True))
        return np.ascontiguousarray(enhanced).reshape(-1).view(np.complex64)
