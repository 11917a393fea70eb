"""Pairs to choose by: python -m training.prepare.make_pairs --clean DIR... --noise DIR... --out DIR

What was chosen on the pairs that score a model, its scores flatter. These pairs are mixtures of the
recordings that training leaves out, in the layout that `training.evaluate` reads: compare
checkpoints and constants on them, then score what was chosen on others.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from denoiser import audio, console
from training.data import augment, batching
from training.data.cache import SAMPLE_RATE, AudioCache
from training.data.mixture import MixtureConfig, sample
from training.data.sources import Sources, find_sources
from training.errors import TrainingError
from training.options import add_out, add_sources, parsed

SNRS_DB = (-5, 0, 5, 10, 15)
SPOKEN = 0.5  # least share of a pair in which somebody speaks
TRIES = 20  # excerpts drawn for a pair, at most
PLAIN = MixtureConfig(  # one voice, one recording of noise, nothing done to either
    segment=256 * 768,
    speech_only=0,
    noise_only=0,
    second_noise=0,
    third_noise=0,
    babble=0,
    coloured=0,
    hum=0,
    faster=0,
    reverberant=0,
    tilt=0,
    band_limit=0,
    clip=0,
)


def pairs(
    held_out: Sources, store: AudioCache, count: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, noisy and clean wave (1, T) at 48 kHz of `count` pairs, each SNR in turn.

    Raises TrainingError where hardly any of the recordings of speech holds some.
    """
    number = 0
    for index in range(TRIES * count):
        snr_db = SNRS_DB[number % len(SNRS_DB)]
        mixture = replace(sample(held_out, PLAIN, 0, index), snr_db=snr_db)
        noisy, clean, *_ = batching.mix(batching.load([mixture], store, PLAIN), [mixture], PLAIN)
        if augment.active_frames(clean)[1].float().mean() < SPOKEN:
            continue
        number += 1
        noise = mixture.noises[0][0].path.stem
        yield f"{number:03}_{noise}_{snr_db}dB.flac", noisy.numpy(), clean.numpy()
        if number == count:
            return
    raise TrainingError(f"Only {number} pairs: the recordings of speech are mostly silent.")


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare.make_pairs", description=__doc__
    )
    add_sources(parser, rooms=False)
    parser.add_argument("--count", type=int, default=60, help="of pairs (default: %(default)s)")
    add_out(parser, "folder for noisy/ and clean/")
    options = parsed(parser, argv)
    if options.count < 1:
        parser.error("--count is 1 or more")
    kept, held_out = find_sources(options.clean, options.noise, [])
    if set(held_out.clean + held_out.noise) & set(kept.clean + kept.noise):
        console.say("Of fewer than 50 recordings training leaves none out.")
    store = AudioCache(options.cache)
    for name, noisy, clean in pairs(held_out, store, options.count):
        for kind, wave in (("noisy", noisy), ("clean", clean)):
            (options.out / kind).mkdir(parents=True, exist_ok=True)
            audio.write(options.out / kind / name, wave, SAMPLE_RATE)
    store.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
