"""Pairs of recordings -> a row of scores each."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from denoiser import audio, metrics, plot
from denoiser.metrics import composite
from denoiser.metrics import scores as definitions
from denoiser.offline import denoise
from evaluation.pairs import Pair, find

SCORED_AT = 16000  # Hz


class Kept:
    """Scores by what they are scores of: the samples of both waves and the code that scores them.

    A file of JSON lines that only grows. A line that was cut off is scored again.
    """

    def __init__(self, path: Path | None = None):
        self.path, self.scores = path, {}
        code = (Path(module.__file__).read_bytes() for module in (definitions, composite))
        self.code = b"".join(code)
        lines = path.read_text().splitlines() if path and path.exists() else []
        for line in lines:
            try:
                row = json.loads(line)
                self.scores.setdefault(row.pop("key"), {}).update(row)
            except ValueError:
                continue

    def key(self, wave: np.ndarray, clean: np.ndarray, rate: int) -> str:
        parts = (wave.tobytes(), clean.tobytes(), str(rate).encode(), self.code)
        return hashlib.sha256(b"".join(parts)).hexdigest()[:24]

    def add(self, key: str, scores: dict) -> dict:
        """All that is known of `key` with these new scores, which are on the disk on return."""
        self.scores[key] = self.scores.get(key, {}) | scores
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write("\n" + json.dumps({"key": key} | scores))  # ends a line cut off before
        return self.scores[key]


def score_pair(model, pair: Pair, kept: Kept, *, dnsmos: bool, plots: Path | None) -> dict:
    """A row: the file's name, and the scores of the noisy and of the enhanced recording."""
    name, (noisy, clean, rate) = pair.noisy.name, pair.read()
    enhanced = denoise(model, noisy[None], rate)[0]
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        _, spectrograms = plot.compare({"Clean": clean, "Noisy": noisy, "Enhanced": enhanced}, rate)
        spectrograms.savefig(plots / f"{pair.noisy.stem}.png")
    row = {"name": name}
    for kind, wave in (("noisy", noisy), ("enhanced", enhanced)):
        try:
            row[kind] = score_wave(wave, clean, rate, kept, dnsmos=dnsmos)
        except ValueError as error:
            raise audio.AudioError(f"{name}, {kind}, cannot be scored: {error}.") from error
    return row


def score_wave(
    wave: np.ndarray, clean: np.ndarray, rate: int, kept: Kept, *, dnsmos: bool
) -> dict[str, float]:
    """All metrics of one wave (T,); what is known already comes from `kept`."""
    key = kept.key(wave, clean, rate)
    at_16 = {"enhanced": audio.resample(wave[None], rate, SCORED_AT)[0], "sample_rate": SCORED_AT}
    if "pesq" not in kept.scores.get(key, {}):
        pair = at_16 | {"clean": audio.resample(clean[None], rate, SCORED_AT)[0]}
        scores = metrics.opinions(**pair)
        for metric in (metrics.estoi, metrics.stoi, metrics.si_sdr, metrics.pesq_nb):
            scores[metric.__name__] = metric(**pair)
        kept.add(key, scores)
    if dnsmos and "ovrl" not in kept.scores[key]:
        kept.add(key, metrics.dnsmos(**at_16))
    scores = kept.scores[key]
    return {name: scores[name] for name in scores if dnsmos or name not in metrics.DNSMOS}


def rows(
    model,
    folder: Path,
    *,
    dnsmos: bool = True,
    kept: Kept | None = None,
    plots: Path | None = None,
) -> list[dict]:
    """A row of scores for every pair of a folder, in the order of their names."""
    kept, done = kept or Kept(), []
    pairs = find(folder)
    for pair in pairs:
        done.append(score_pair(model, pair, kept, dnsmos=dnsmos, plots=plots))
        if sys.stderr.isatty():
            print(f"\r{folder} {len(done)}/{len(pairs)} ", end="", file=sys.stderr, flush=True)
    return done
