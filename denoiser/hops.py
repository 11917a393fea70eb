"""An exported model over sound as it comes, hop after hop: onnxruntime and numpy, no PyTorch.

The file holds the network between two spectra, `export` says how; the transforms stay outside,
because a browser has none that a graph could use, and numpy's are quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoiser.errors import CheckpointError, needing
from denoiser.files import StrPath

FORMAT = "1"  # of the file: its inputs, outputs and metadata
SILENT_POWER = 1e-8  # -80 dBFS: frames below it leave the states as they are


@dataclass(frozen=True)
class Exported:
    """A causal model in an ONNX file; `load` reads one."""

    session: Any  # of onnxruntime
    sample_rate: int  # Hz
    hop_length: int  # samples
    delay: int  # samples by which its output is late
    about: dict[str, str]  # digest of the weights, licence, and the numbers above

    @property
    def states(self) -> dict[str, np.ndarray]:
        """Those before a recording, by name."""
        return {
            each.name: np.zeros(each.shape, np.float32)
            for each in self.session.get_inputs()
            if each.name.startswith("state")
        }


def load(path: StrPath) -> Exported:
    """A file made by `denoiser export`, on one thread. Raises CheckpointError, MissingExtra."""
    with needing("live"):
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors are raised, too
    try:
        with open(path, "rb") as file:
            content = file.read()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except (errors.InvalidProtobuf, errors.InvalidGraph, errors.Fail, errors.NoSuchFile) as error:
        raise CheckpointError(f"{path} is no ONNX file, or damaged: export it again.") from error
    about = session.get_modelmeta().custom_metadata_map
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{Path(path).name} was not made by `denoiser export`.")
    rate, hop, delay = (int(about[name]) for name in ("sample_rate", "hop_length", "delay"))
    return Exported(session, rate, hop, delay, about)


class Hops:
    """Waves (C, n) through an exported model; what `Chunks` is for a model in PyTorch."""

    def __init__(self, model: Exported, channels: int):
        self.model, hop = model, model.hop_length
        self.window = np.sqrt(np.hanning(2 * hop + 1)[:-1]).astype(np.float32)
        self.held = np.zeros((channels, 0), np.float32)  # what came in and is not enhanced yet
        self.past: np.ndarray = np.zeros((channels, hop), np.float32)  # the hop before
        self.tail: np.ndarray = np.zeros(
            (channels, hop), np.float32
        )  # 2nd half of the frame before
        self.states = [model.states for _ in range(channels)]
        self.skip, self.due = model.delay, 0  # samples of the output that belong to nothing; owed

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """Takes in (C, n); gives every hop that is complete."""
        self.held, self.due = np.concatenate((self.held, wave), axis=1), self.due + wave.shape[1]
        while self.held.shape[1] >= self.model.hop_length:
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """The rest: silence after it brings out what the model holds back."""
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
        """One spectrum (bins,), complex64, of one channel, whose states move on."""
        inputs = {"spectrum": spectrum.view(np.float32).reshape(1, 1, -1, 2)}
        inputs["silent"] = np.array([[silent]])
        enhanced, *states = self.model.session.run(None, inputs | self.states[channel])
        self.states[channel] = dict(zip(self.states[channel], states, strict=True))
        return np.ascontiguousarray(enhanced).reshape(-1).view(np.complex64)
