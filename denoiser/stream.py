"""Streaming audio through a model: the common path of whole recordings and live sound.

The pipeline levels a wave, resamples it to the model's rate, enhances it in chunks, resamples it
back and restores its level. `offline` uses long chunks with look-ahead and one gain for the whole
recording; `Stream` uses hops of 16 ms and a gain that follows the voice.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from denoiser import audio

if TYPE_CHECKING:
    from denoiser.models import Model

LEVEL_DBFS = -26.0  # active level at the model's input: the middle of its training range
BEYOND_SPEECH = 10.0  # clipping limit, 46 dB above that level
HOP_SECONDS = 0.016  # between two measurements of a running level
UP, DOWN, PAUSE = (1 - math.exp(-HOP_SECONDS / seconds) for seconds in (0.3, 3.0, 30.0))
FIRST = 4.0  # times the power first heard, which is noise more often: the first guess of the voice
GATE = 0.1  # times the level's power; anything below is a pause
SILENT_POWER = 10**-7.5  # -75 dBFS; a voice is inaudible below


class Enhancer(Protocol):
    """The state of a model in one recording, at the model's rate; output as long as the input."""

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """(C, n) -> the finished samples, in pieces (C, m)."""

    def flush(self) -> Iterator[np.ndarray]:
        """The rest."""


class Leveller(Protocol):
    """Scales waves to the level that models are trained for."""

    def push(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C, n) -> finished levelled samples (C, m), and the gain of each (1, m)."""

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        """The rest."""


class Constant:
    """Subtracts a constant `offset` (C, 1) and applies one gain to the whole recording.

    Isolated faulty samples are clipped at BEYOND_SPEECH.
    """

    def __init__(self, gain: float, offset: np.ndarray):
        self.gain, self.offset = np.float32(gain), offset

    def push(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        levelled = np.clip(self.gain * (wave - self.offset), -BEYOND_SPEECH, BEYOND_SPEECH)
        return levelled, np.broadcast_to(self.gain, (1, wave.shape[1]))

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.offset)
        return np.zeros((channels, 0), np.float32), np.zeros((1, 0), np.float32)


class Running:
    """A gain that follows the level of the voice: attack in 0.1 s, release in 3 s, 30 s in pauses.

    The level is the power of the loudest channel in hops of 16 ms; the median of three consecutive
    hops suppresses clicks. The gain changes linearly within a hop.
    """

    def __init__(self, sample_rate: int, channels: int):
        self.size = round(HOP_SECONDS * sample_rate)
        self.held = _Queue(channels)
        self.recent: deque[float] = deque(maxlen=3)  # powers of hops
        self.level = 0.0  # power of the voice; 0.0 before the first sound
        self.gain = 1.0

    def push(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.held.put(wave)
        count = len(self.held) // self.size * self.size
        return self._levelled(self.held.take(count))

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        return self._levelled(self.held.take(len(self.held)))

    def _levelled(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gains = [np.zeros(0, np.float32)]
        for start in range(0, wave.shape[1], self.size):
            gains.append(self._gains(wave[:, start : start + self.size]))
        gain = np.concatenate(gains)[None]
        return np.clip(gain * wave, -BEYOND_SPEECH, BEYOND_SPEECH), gain

    def _gains(self, hop: np.ndarray) -> np.ndarray:
        """The gain of each sample of a hop (C, n), shape (n,)."""
        self.recent.append(float(hop.var(axis=1, dtype=np.float64).max()))
        self._follow(sorted(self.recent)[(len(self.recent) - 1) // 2])
        before, self.gain = self.gain, self.gain
        if self.level:
            self.gain = 10 ** (LEVEL_DBFS / 20) / math.sqrt(self.level)
        return np.linspace(before, self.gain, hop.shape[1] + 1, dtype=np.float32)[1:]

    def _follow(self, power: float) -> None:
        if power < SILENT_POWER:
            return
        if not self.level:
            self.level = FIRST * power
        elif power > self.level:
            self.level += (power - self.level) * UP
        elif power > self.level * GATE:
            self.level += (power - self.level) * DOWN
        else:
            self.level *= 1 - PAUSE


class Pipeline:
    """A model between a leveller and its inverse, at any rate; output as long as the input.

    `strength` can be changed at any time: 1 gives the enhanced wave, 0 the input, bit for bit.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        inwards: audio.Resampler,
        outwards: audio.Resampler,
        leveller: Leveller,
        strength: float,
    ):
        self.enhancer, self.leveller, self.strength = enhancer, leveller, strength
        self.inwards, self.outwards = inwards, outwards
        self.noisy, self.gains = _Queue(inwards.channels), _Queue(1)

    def push(self, wave: np.ndarray) -> np.ndarray:
        """(C, n), float32 -> finished samples (C, m)."""
        self.noisy.put(wave)
        return self._through(*self.leveller.push(wave), last=False)

    def flush(self) -> np.ndarray:
        """The rest (C, m); `push` must not be called afterwards."""
        wave = self._through(*self.leveller.flush(), last=True)
        missing = len(self.noisy)  # resampling twice may drop a sample at the very end
        return np.pad(wave, ((0, 0), (0, missing)))

    def _through(self, levelled: np.ndarray, gains: np.ndarray, last: bool) -> np.ndarray:
        self.gains.put(gains)
        pieces = [np.zeros((len(levelled), 0), np.float32)]
        pieces += self.enhancer.push(self.inwards.push(levelled, last))
        if last:
            pieces += self.enhancer.flush()
        wave = self.outwards.push(np.concatenate(pieces, axis=1), last)
        count = min(wave.shape[1], len(self.noisy))  # resampling twice may add a sample
        enhanced = wave[:, :count] / self.gains.take(count)
        return mixed(self.noisy.take(count), enhanced, self.strength)


class Stream:
    """Denoises live sound: `push` takes samples of the input and returns finished ones.

        stream = denoiser.Stream(sample_rate=48000, channels=1)
        for wave in microphone:  # (C, n) float32, any n
            loudspeaker(stream.push(wave))  # (C, m)

    The whole output, `flush()` included, is as long as the input, and sample n of it corresponds to
    sample n of the input. `model` is the name of an embedded causal model, a folder, a name on the
    Hugging Face Hub, a loaded model, or a file made by `denoiser export`, for which PyTorch is not
    needed. Raises ValueError if the model is not causal or another argument is out of range, and
    CheckpointError if the model cannot be read.
    """

    def __init__(
        self,
        model: str | PathLike[str] | Model = "band-live",
        sample_rate: int = 48000,
        channels: int = 1,
        strength: float = 1.0,
    ):
        check_strength(strength)
        if not audio.LOWEST_RATE <= sample_rate <= audio.HIGHEST_RATE:
            raise ValueError(
                f"Stream takes {audio.LOWEST_RATE} to {audio.HIGHEST_RATE} Hz, got {sample_rate}."
            )
        if channels < 1 or channels > audio.MOST_CHANNELS:
            raise ValueError(f"Stream takes 1 to {audio.MOST_CHANNELS} channels, got {channels}.")
        self._model = _causal(model)
        self.sample_rate, self.channels = sample_rate, channels
        self.latency_samples = self._latency()
        self._strength = strength
        self.reset()

    @property
    def strength(self) -> float:
        """1 removes all noise, 0 none; can be changed between two calls of `push`."""
        return self._strength

    @strength.setter
    def strength(self, value: float) -> None:
        check_strength(value)
        self._strength = self._pipeline.strength = value

    def push(self, wave: np.ndarray) -> np.ndarray:
        """(C, n) float32, any n -> finished samples (C, m). Raises ValueError for other arrays."""
        audio.check_shape(wave, self.channels)
        if wave.dtype != np.float32:
            raise ValueError(f"Stream takes float32 samples, got {wave.dtype}.")
        if not np.isfinite(wave).all():
            raise ValueError("Stream takes finite samples, got NaN or infinity.")
        return self._pipeline.push(wave)

    def flush(self) -> np.ndarray:
        """The rest (C, m); resets the stream."""
        wave = self._pipeline.flush()
        self.reset()
        return wave

    def reset(self) -> None:
        """Discards all input so far."""
        self._pipeline = Pipeline(
            self._model.enhancer(self.channels),
            *self._resamplers(self.channels),
            Running(self.sample_rate, self.channels),
            self._strength,
        )

    def _resamplers(self, channels: int) -> tuple[audio.Resampler, audio.Resampler]:
        """Resamplers to the model's rate and back, with half the filter length of `offline`."""
        rates = self.sample_rate, self._model.sample_rate
        there, back = rates, rates[::-1]
        return audio.Resampler(*there, channels, "HQ"), audio.Resampler(*back, channels, "HQ")

    def _latency(self) -> int:
        """The largest number of input samples held back, by hops and by filters.

        Resamplers return blocks, so that the number varies; it is measured by a trial run.
        """
        (there, back), model = self._resamplers(1), self._model
        leveller = Running(self.sample_rate, 1)
        piece = np.zeros((1, max(1, self.sample_rate // 1000)), np.float32)
        waiting, late, held, most = _Queue(1), model.delay, 0, 0
        for _ in range(1000):
            waiting.put(there.push(leveller.push(piece)[0]))
            hops = waiting.take(len(waiting) // model.hop * model.hop)
            held += piece.shape[1] - back.push(hops[:, late:]).shape[1]
            most, late = max(most, held), max(0, late - hops.shape[1])
        return most + piece.shape[1]


class _Causal(NamedTuple):
    """A causal model, in PyTorch or exported, as `Stream` uses it."""

    enhancer: Callable[[int], Enhancer]  # for a number of channels
    sample_rate: int  # Hz
    hop: int  # samples at that rate
    delay: int  # samples at that rate


def _causal(source: str | PathLike[str] | Model) -> _Causal:
    if isinstance(source, str | PathLike) and Path(source).suffix == ".onnx":
        from denoiser import hops

        exported = hops.load(source)
        rate, hop, delay = exported.sample_rate, exported.hop_length, exported.delay
        return _Causal(partial(hops.Hops, exported), rate, hop, delay)
    from denoiser.chunks import Chunks

    model = _loaded(source) if isinstance(source, str | PathLike) else source
    if not getattr(model.config, "causal", False):
        raise ValueError("Stream needs a causal model: use one such as band-live.")
    rate, hop = model.config.sample_rate, model.config.hop_length
    return _Causal(
        lambda channels: Chunks(model, hop / rate, warnings.warn), rate, hop, model.delay
    )


def _loaded(source: str | PathLike[str]) -> Model:
    """An embedded model by its name, a folder, or a name on the Hub."""
    from denoiser import checkpoint
    from denoiser.hub import download

    embedded = checkpoint.EMBEDDED / source
    here = isinstance(source, str) and embedded.is_dir()
    return download.load(embedded if here else source, "cpu")


def mixed(noisy: np.ndarray, enhanced: np.ndarray, strength: float) -> np.ndarray:
    """noisy + strength * (enhanced - noisy), exact at strength 0 and 1."""
    if strength in (0, 1):
        return enhanced if strength else noisy
    return noisy + np.float32(strength) * (enhanced - noisy)


def check_strength(strength: float) -> None:
    """Raises ValueError unless 0 <= strength <= 1."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 (input) to 1 (fully enhanced), got {strength}.")


class _Queue:
    """A FIFO of samples (C, n)."""

    def __init__(self, channels: int):
        self.waves = [np.zeros((channels, 0), np.float32)]
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def put(self, wave: np.ndarray) -> None:
        self.waves.append(wave)
        self.count += wave.shape[1]

    def take(self, count: int) -> np.ndarray:
        """Removes and returns the first `count` samples."""
        whole = np.concatenate(self.waves, axis=1)
        self.waves, self.count = [whole[:, count:]], self.count - count
        return whole[:, :count]
