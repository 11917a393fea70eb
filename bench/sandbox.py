"""What it costs to decode in a process of its own: python bench/sandbox.py

Reads 60 s of stereo as WAV, FLAC and MP3 in turns with and without that process, and asks for
nothing but the rate. Medians of --rounds, in milliseconds; the first start is apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from denoiser import audio
from denoiser.audio import decode

RATE, SECONDS = 48_000, 60


def milliseconds(call) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args(argv).rounds
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, SECONDS * RATE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"x{ending}") for ending in (".wav", ".flac", ".mp3")]
        for path in paths:
            audio.write(path, noise, RATE)
        print(f"first start: {milliseconds(lambda: audio.info(paths[0])):.0f} ms")
        print("| 60 s of stereo | with a process | without | difference | rate only |")
        print("|:--|--:|--:|--:|--:|")
        for path in paths:
            times = [
                (
                    milliseconds(lambda path=path: list(audio.blocks(path))),
                    milliseconds(lambda path=path: list(decode._whole(path, 10.0, None))),
                    milliseconds(lambda path=path: audio.info(path)),
                )
                for _ in range(rounds)
            ]
            apart, within, info = map(statistics.median, zip(*times, strict=True))
            row = (apart, within, apart - within, info)
            print(f"| {path.suffix[1:].upper()} | " + " | ".join(f"{t:.0f}" for t in row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
