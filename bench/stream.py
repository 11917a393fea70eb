"""Live sound beside whole recordings: python bench/stream.py

For each level, how much SI-SDR `Stream` loses against `denoise()` of the same model on the six
recordings in samples/, after the first second: the mean and the worst. For sample rates and numbers
of channels, how far pieces of random sizes are from all at once, and what is held back.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import denoiser
from denoiser import metrics
from denoiser.models import Model

ROOT = Path(__file__).parents[1]
LEVELS_DBFS = (-10, -35, -60)  # of the clean voice
FORMATS = ((8000, 1), (16000, 2), (44100, 1), (48000, 8), (96000, 2), (192000, 1))
MOST = 3000  # samples of a piece


def streamed(
    stream: denoiser.Stream, wave: np.ndarray, sizes: np.random.Generator | None = None
) -> np.ndarray:
    """All that comes out of a wave (C, n), at once or in pieces of random sizes."""
    edges = [0, wave.shape[1]]
    if sizes:
        steps = sizes.integers(0, MOST, 2 * wave.shape[1] // MOST).cumsum()
        edges = [0, *steps[steps < wave.shape[1]], wave.shape[1]]
    pieces = [stream.push(wave[:, a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*pieces, stream.flush()], axis=1)


def losses(model: Model, dbfs: float) -> list[float]:
    """SI-SDR of denoise() less that of Stream, in dB, of each sample at a level."""
    lost = []
    for path in sorted((ROOT / "samples" / "noisy").glob("*.flac")):
        noisy, rate = denoiser.read(path)
        clean, _ = denoiser.read(ROOT / "samples" / "clean" / path.name)
        gain = np.float32(10 ** (dbfs / 20) / np.sqrt(np.square(clean).mean()))
        stream = denoiser.Stream(model, rate, len(noisy))
        both = denoiser.denoise(model, gain * noisy, rate), streamed(stream, gain * noisy)
        scores = [
            metrics.si_sdr(enhanced=w[0, rate:], clean=clean[0, rate:], sample_rate=rate)
            for w in both
        ]
        lost.append(scores[0] - scores[1])
    return lost


def main() -> None:
    model = denoiser.load(ROOT / "checkpoints" / "band-live", "cpu")
    print("| voice, dBFS | SI-SDR lost, dB: mean | worst |\n|--:|--:|--:|")
    for dbfs in LEVELS_DBFS:
        lost = losses(model, dbfs)
        print(f"| {dbfs} | {np.mean(lost):.2f} | {max(lost):.2f} |", flush=True)
    print("\n| Hz | channels | pieces against all at once | held back, ms |\n|--:|--:|--:|--:|")
    for rate, channels in FORMATS:
        wave = np.random.default_rng(0).normal(0, 0.1, (channels, 2 * rate)).astype(np.float32)
        stream = denoiser.Stream(model, rate, channels)
        pieces = streamed(stream, wave, np.random.default_rng(1))
        error = np.abs(pieces - streamed(stream, wave)).max()
        held = 1000 * stream.latency_samples / rate
        print(f"| {rate} | {channels} | {error:.0e} | {held:.0f} |", flush=True)


if __name__ == "__main__":
    main()
