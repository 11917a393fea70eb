"""How loud a recording is where somebody speaks, whatever else is in it.

What nobody hears does not count: a constant offset, rumble below 20 Hz and ultrasound are left out
of every power, and a click or a slammed door does not rule over the rest. Waves are float32
`(channels, samples)`, full scale is 1.0; powers are mean squares, 0 dBFS is an RMS of 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

FLOOR_DBFS = -140.0  # level of digital silence: just below a step of 24 bits
AUDIBLE_HZ = (20.0, 20_000.0)
STRETCH_SECONDS = 0.4  # of BS.1770's gate
FRAME_SECONDS = 0.02
FRAMES = round(STRETCH_SECONDS / FRAME_SECONDS)
CLICK_FRAMES = 2  # the loudest of every stretch count as the next one
DOOR_STRETCHES = 2  # and the loudest of the recording, if they are no more than a fifth of it
GATE_DB = -10.0  # below the mean of all stretches: pauses
SILENT_POWER = 1e-20  # -200 dBFS: below it there are only the remains of a filter


@dataclass(frozen=True)
class Survey:
    """What one look at a whole recording tells."""

    samples: int
    peak: float  # largest magnitude, offset and all
    offset: np.ndarray  # (channels, 1): the constant part of every channel
    power: float  # of the active parts of the loudest channel; 0.0 for silence
    covariance: np.ndarray  # (channels, channels), of the active parts


def survey(blocks: Iterable[np.ndarray], sample_rate: int) -> Survey:
    """Levels of a recording that comes as consecutive waves; memory for 0.4 s and a few numbers."""
    samples, peak = 0, 0.0
    offsets, powers, covariances = [], [], []
    for stretch in stretches(blocks, round(STRETCH_SECONDS * sample_rate)):
        samples += stretch.shape[1]
        peak = max(peak, float(np.abs(stretch).max()))
        offsets.append(stretch.mean(axis=1, dtype=np.float64))
        wave = audible(stretch, sample_rate)
        powers.append(_without_clicks(frame_powers(wave)).max())
        covariances.append(wave @ wave.T / wave.shape[1])
    if not samples:
        raise ValueError("expected at least one sample")
    active, power = _active(np.array(powers))
    return Survey(
        samples=samples,
        peak=peak,
        offset=np.median(offsets, axis=0)[:, None].astype(np.float32),
        power=power,
        covariance=np.mean(np.array(covariances)[active], axis=0),
    )


def stretches(blocks: Iterable[np.ndarray], size: int) -> Iterable[np.ndarray]:
    """Consecutive waves -> consecutive waves of `size` samples, the last one shorter."""
    held = None
    for block in blocks:
        held = block if held is None else np.concatenate((held, block), axis=1)
        whole = held.shape[1] // size * size
        for start in range(0, whole, size):
            yield held[:, start : start + size]
        held = held[:, whole:]
    if held is not None and held.shape[1]:
        yield held


def audible(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """What of a wave `(channels, n)` lies in AUDIBLE_HZ, as float64; meant for pieces of 0.4 s."""
    spectrum = np.fft.rfft(wave.astype(np.float64), axis=1)
    hz = np.fft.rfftfreq(wave.shape[1], 1 / sample_rate)
    spectrum[:, (hz < AUDIBLE_HZ[0]) | (hz > AUDIBLE_HZ[1])] = 0
    return np.fft.irfft(spectrum, wave.shape[1], axis=1)


def frame_powers(wave: np.ndarray) -> np.ndarray:
    """Mean squares `(channels, FRAMES)` of equal parts of a stretch; fewer of a short one."""
    count = min(FRAMES, wave.shape[1])
    size = wave.shape[1] // count
    return np.square(wave[:, : count * size]).reshape(len(wave), count, size).mean(axis=2)


def _without_clicks(powers: np.ndarray) -> np.ndarray:
    """Mean power `(channels,)` of frames `(channels, n)`, the loudest lowered to the next one."""
    highest = np.sort(powers, axis=1)[:, -1 - min(CLICK_FRAMES, powers.shape[1] // 5)]
    return np.minimum(powers, highest[:, None]).mean(axis=1)


def _active(powers: np.ndarray) -> tuple[np.ndarray, float]:
    """Which stretches (n,) are no pauses, and their mean power, whatever the loudest few hold."""
    highest = np.sort(powers)[-1 - min(DOOR_STRETCHES, len(powers) // 5)]
    capped = np.minimum(powers, highest)
    active = capped >= capped.mean() * 10 ** (GATE_DB / 10)
    power = float(capped[active].mean())
    return active & (powers <= highest), power if power >= SILENT_POWER else 0.0


def decibels(power: float) -> float:
    """Of a mean square, in dB; digital silence is FLOOR_DBFS."""
    return float(10 * np.log10(max(power, 10 ** (FLOOR_DBFS / 10))))
