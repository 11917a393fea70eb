"""Sound through a model as it comes: the one path of whole recordings and of live sound.

A wave is levelled, resampled to the model's rate, enhanced in chunks, resampled back and brought to
the level that it had. `offline` takes long chunks with a look-ahead, and one level for all of a
recording; `Stream` takes hops of 16 ms and a level that follows the voice.
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

LEVEL_DBFS = -26.0  # of the active parts, before the model: the middle of what it was trained on
BEYOND_SPEECH = 10.0  # 46 dB above that level
HOP_SECONDS = 0.016  # of a level that follows the voice
UP, DOWN, PAUSE = (1 - math.exp(-HOP_SECONDS / seconds) for seconds in (0.1, 3.0, 30.0))
GATE = 0.1  # of the level's power: below it is a pause
SILENT_POWER = 10**-7.5  # -75 dBFS: below it nothing is to be heard of a voice


class Enhancer(Protocol):
    """A model at work on one recording, at its own rate, with as many samples out as in."""

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """(C, n) -> what is ready, piece by piece (C, m)."""

    def flush(self) -> Iterator[np.ndarray]:
        """The rest."""


class Leveller(Protocol):
    """Brings waves to the level that models are made for."""

    def push(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C, n) -> levelled samples (C, m) that are ready, and the gain of each, (1, m)."""

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        """The rest."""


class Constant:
    """One gain, and a constant part to subtract, for all of a recording.

    What single broken samples have beyond speech is cut off.
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
    """A gain that follows the voice as it comes: fast up, slowly down, steady in pauses.

    Levels are powers of hops of 16 ms of the loudest channel. Of three neighbours the median
    counts, so that a click does not. Within a hop the gain moves in a line to its next value.
    """

    def __init__(self, sample_rate: int, channels: int):
        self.size = round(HOP_SECONDS * sample_rate)
        self.held = _Queue(channels)
        self.recent: deque[float] = deque(maxlen=3)  # powers of hops
        self.level = 0.0  # power of the voice; 0.0 before anything was heard
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
        """Of each sample of a hop (C, n)."""
        self.recent.append(float(hop.var(axis=1, dtype=np.float64).max()))
        self._follow(sorted(self.recent)[(len(self.recent) - 1) // 2])
        before, self.gain = self.gain, self.gain
        if self.level:
            self.gain = 10 ** (LEVEL_DBFS / 20) / math.sqrt(self.level)
        return np.linspace(before, self.gain, hop.shape[1] + 1, dtype=np.float32)[1:]

    def _follow(self, power: float) -> None:
        if power < SILENT_POWER:
            return
        if not self.level or power > self.level:
            self.level += (power - self.level) * (UP if self.level else 1.0)
        elif power > self.level * GATE:
            self.level += (power - self.level) * DOWN
        else:
            self.level *= 1 - PAUSE


class Pipeline:
    """A model between a leveller and its inverse, at any rate; in all as much comes out as went in.

    `strength` may be changed at any time: 1 is the enhanced wave, 0 the input bit for bit.
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
        """(C, n), float32 -> (C, m): what is ready."""
        self.noisy.put(wave)
        return self._through(*self.leveller.push(wave), last=False)

    def flush(self) -> np.ndarray:
        """The rest (C, m), after which nothing may be pushed."""
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
    """Live sound without its noise: push() what came in, take what is ready.

        stream = denoiser.Stream(sample_rate=48000, channels=1)
        for wave in microphone:  # (C, n) float32, any n
            loudspeaker(stream.push(wave))  # (C, m)

    All that comes out, with `flush()` at the end, is as long as what came in, and its sample n
    belongs to sample n of the input. `model` is the name of an embedded causal model, a folder,
    a name on the Hugging Face Hub, a loaded model, or a file made by `denoiser export`, which
    needs no PyTorch. Models that are not causal raise ValueError, and those that cannot be read
    CheckpointError.
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
        """1 removes all the noise, 0 none; may be set while sound runs."""
        return self._strength

    @strength.setter
    def strength(self, value: float) -> None:
        check_strength(value)
        self._strength = self._pipeline.strength = value

    def push(self, wave: np.ndarray) -> np.ndarray:
        """(C, n) float32, any n -> (C, m): what is ready. Raises ValueError for other arrays."""
        audio.check_shape(wave, self.channels)
        if wave.dtype != np.float32:
            raise ValueError(f"A stream takes float32 samples, got {wave.dtype}.")
        if not np.isfinite(wave).all():
            raise ValueError("A stream takes finite samples, got NaN or infinity.")
        return self._pipeline.push(wave)

    def flush(self) -> np.ndarray:
        """The rest (C, m); after it the stream is as new."""
        wave = self._pipeline.flush()
        self.reset()
        return wave

    def reset(self) -> None:
        """Forget all that came in."""
        self._pipeline = Pipeline(
            self._model.enhancer(self.channels),
            *self._resamplers(self.channels),
            Running(self.sample_rate, self.channels),
            self._strength,
        )

    def _resamplers(self, channels: int) -> tuple[audio.Resampler, audio.Resampler]:
        """To the model's rate and back; filters of half the length that recordings have."""
        rates = self.sample_rate, self._model.sample_rate
        there, back = rates, rates[::-1]
        return audio.Resampler(*there, channels, "HQ"), audio.Resampler(*back, channels, "HQ")

    def _latency(self) -> int:
        """Samples that must follow a sample before it comes out: hops, and what filters hold.

        Resamplers give out blocks: what counts is the most that is ever held.
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
    """What Stream knows of a model, in PyTorch or exported."""

    enhancer: Callable[[int], Enhancer]  # for so many channels
    sample_rate: int  # Hz
    hop: int  # samples
    delay: int


def _causal(source: str | PathLike[str] | Model) -> _Causal:
    if isinstance(source, str | PathLike) and Path(source).suffix == ".onnx":
        from denoiser import hops

        exported = hops.load(source)
        rate, hop, delay = exported.sample_rate, exported.hop_length, exported.delay
        return _Causal(partial(hops.Hops, exported), rate, hop, delay)
    from denoiser.chunks import Chunks

    model = _loaded(source) if isinstance(source, str | PathLike) else source
    if not getattr(model.config, "causal", False):
        raise ValueError("Stream needs a causal model, such as band-live: this one hears ahead.")
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
    """What strength means: noisy + strength * (enhanced - noisy), exact at 0 and 1."""
    if strength in (0, 1):
        return enhanced if strength else noisy
    return noisy + np.float32(strength) * (enhanced - noisy)


def check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength goes from 0 (the input) to 1 (fully enhanced), got {strength}.")


class _Queue:
    """Samples (C, n) that wait for their turn."""

    def __init__(self, channels: int):
        self.waves = [np.zeros((channels, 0), np.float32)]
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def put(self, wave: np.ndarray) -> None:
        self.waves.append(wave)
        self.count += wave.shape[1]

    def take(self, count: int) -> np.ndarray:
        """The first `count` of them."""
        whole = np.concatenate(self.waves, axis=1)
        self.waves, self.count = [whole[:, count:]], self.count - count
        return whole[:, :count]
