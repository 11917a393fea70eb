"""Sample-rate conversion, with soxr."""

from __future__ import annotations

import numpy as np
import soxr

from denoiser.audio.layouts import LAYOUTS

MOST_CHANNELS = len(LAYOUTS)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """(channels, T) -> (channels, round(T * to_rate / from_rate)), float32. Raises ValueError."""
    check_wave(wave)
    return Resampler(from_rate, to_rate, len(wave)).push(wave, last=True)


class Resampler:
    """`resample` for a wave in pieces: the concatenated outputs are identical.

    `quality` is one of soxr's: VHQ keeps a constant to the last bit, HQ holds back less.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int, quality: str = "VHQ"):
        self.from_rate, self.to_rate, self.channels = from_rate, to_rate, channels
        self._taken = self._given = 0  # samples
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, "float32", quality)

    def push(self, wave: np.ndarray, last: bool = False) -> np.ndarray:
        """(channels, n) -> (channels, m): the samples that are ready; with `last`, the rest."""
        check_shape(wave, self.channels)
        if self._stream is None:
            return wave
        samples = np.ascontiguousarray(wave.T, np.float32)  # (n, C)
        out = self._stream.resample_chunk(samples, last=last).T  # (C, m)
        self._taken += wave.shape[1]
        if last:
            due = round(self._taken * self.to_rate / self.from_rate) - self._given
            out = np.pad(out[:, :due], ((0, 0), (0, max(0, due - out.shape[1]))))
        self._given += out.shape[1]
        return np.ascontiguousarray(out)


def check_shape(wave: np.ndarray, channels: int) -> None:
    """Raises ValueError unless the wave has the shape (channels, samples)."""
    if wave.ndim != 2 or len(wave) != channels:
        hint = ": is it transposed?" if wave.shape[1:] == (channels,) else ""
        raise ValueError(f"expected a wave of shape ({channels}, samples), got {wave.shape}{hint}")


def check_wave(wave: np.ndarray) -> None:
    """Raises ValueError unless the wave is (channels, samples), with at most MOST_CHANNELS."""
    if not isinstance(wave, np.ndarray) or wave.ndim != 2:
        got = getattr(wave, "shape", type(wave).__name__)
        raise ValueError(f"expected an array of shape (channels, samples), got {got}")
    if len(wave) > MOST_CHANNELS:
        raise ValueError(
            f"expected an array of shape (channels, samples) with at most {MOST_CHANNELS} channels,"
            f" got {wave.shape}: is it transposed?"
        )
