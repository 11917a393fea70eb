"""What speech seldom is, and what of it a model keeps: python -m evaluation.unusual MODEL PAIRS...

A guest who speaks far more quietly than the host before, the first word after digital silence, and
vowels held for 3 s, as if sung. All are made of the clean recordings of folders of pairs, as
`training.evaluate` takes them; held vowels in two ways that training does not know, by a phase
vocoder and by formants. Folders with real singing are given by --sung.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np

from denoiser import audio, checkpoint, console, denoise
from evaluation import pairs
from training.data.sources import audio_files

RATE = 48000
LEVEL_DBFS, FLOOR_DBFS = -26.0, -66.0  # of the first voice, and of the noise below a guest
GAPS_DB = (26, 30, 35)
SPEAKING_SECONDS, SILENT_SECONDS, ONSET_SECONDS, HELD_SECONDS = 5.0, 30.0, 0.08, 3.0
VOWEL_SECONDS = 0.12  # of a recording, its loudest: what is held
FORMANTS = ((700, 110, 1.0), (1200, 120, 0.6), (2600, 170, 0.35))  # Hz, bandwidth, gain: an "ah"
TONES_HZ = (110, 150, 220, 300, 440, 600)


def guests(model, voices: list[np.ndarray]) -> list[list[float]]:
    """By how many dB a host before changes what is left of each guest (T,), for each of GAPS_DB."""
    rng, size, changes = np.random.default_rng(0), round(SPEAKING_SECONDS * RATE), []
    for host, guest in pairwise([*voices, voices[0]]):
        first, second = (levelled(np.resize(wave, size)) for wave in (host, guest))
        noise = rng.standard_normal(2 * size).astype(np.float32) * _factor(FLOOR_DBFS)
        changes.append([])
        for gap_db in GAPS_DB:
            quiet = second * _factor(-gap_db)
            noisy = np.concatenate((first, quiet)) + noise
            after, alone = _enhanced(model, noisy)[size:], _enhanced(model, noisy[size:])
            changes[-1].append(kept_db(after, quiet) - kept_db(alone, quiet))
    return changes


def onsets(model, voices: list[np.ndarray]) -> list[float]:
    """What is kept, in dB, of the first 80 ms of each voice (T,) after 30 s of digital silence."""
    silence, kept = np.zeros(round(SILENT_SECONDS * RATE), np.float32), []
    size = round(ONSET_SECONDS * RATE)
    for voice in voices:
        voice = levelled(voice)
        begins = max(0, np.flatnonzero(np.abs(voice) > 0.02)[0] - 100)
        spoken = voice[begins : begins + 2 * RATE]
        out = _enhanced(model, np.concatenate((silence, spoken)))[len(silence) :]
        kept.append(kept_db(out[:size], spoken[:size]))
    return kept


def held(model, notes: list[np.ndarray]) -> list[float]:
    """Level of each note (T,) denoised, in dB of its own."""
    return [_level_db(_enhanced(model, note)) - _level_db(note) for note in map(levelled, notes)]


def stretched(voice: np.ndarray) -> np.ndarray:
    """The loudest vowel of a voice (T,), 3 s long, by a phase vocoder."""
    size = round(VOWEL_SECONDS * RATE)
    power = np.convolve(np.square(voice), np.ones(size), "valid")
    begin = int(power.argmax())
    vowel = voice[begin : begin + size]
    long = librosa.effects.time_stretch(vowel, rate=VOWEL_SECONDS / HELD_SECONDS, n_fft=2048)
    return _faded(long.astype(np.float32))


def formed(tone_hz: float) -> np.ndarray:
    """An "ah" of formants on a tone with vibrato, (T,), 3 s long."""
    seconds = np.arange(round(HELD_SECONDS * RATE)) / RATE
    hz = tone_hz * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * seconds))
    phase, wave = 2 * np.pi * np.cumsum(hz) / RATE, 0.0
    for harmonic in range(1, int(8000 // tone_hz)):
        gains = [g / np.hypot(1, (harmonic * tone_hz - f) / width) for f, width, g in FORMANTS]
        wave = wave + sum(gains) * np.sin(harmonic * phase)
    return _faded(wave.astype(np.float32))


def kept_db(enhanced: np.ndarray, voice: np.ndarray) -> float:
    """Gain of the voice in what came out, by projection; -100 dB at least."""
    share = abs(float(enhanced.astype(np.float64) @ voice)) / float(
        voice.astype(np.float64) @ voice
    )
    return 20 * np.log10(max(share, 1e-5))


def levelled(wave: np.ndarray) -> np.ndarray:
    """A wave (T,) at LEVEL_DBFS."""
    return wave * np.float32(_factor(LEVEL_DBFS - _level_db(wave)))


def _faded(wave: np.ndarray) -> np.ndarray:
    ramp = np.minimum(np.arange(len(wave)), np.arange(len(wave))[::-1]) / (0.05 * RATE)
    return wave * ramp.clip(0, 1).astype(np.float32)


def _factor(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _level_db(wave: np.ndarray) -> float:
    return 10 * float(np.log10(np.square(wave, dtype=np.float64).mean() + 1e-12))


def _enhanced(model, wave: np.ndarray) -> np.ndarray:
    return denoise(model, wave[None], RATE)[0]


def _voices(folder: Path, count: int) -> list[np.ndarray]:
    """Clean recordings (T,) of a folder of pairs, evenly out of all of them."""
    found = list(pairs.find(folder))
    chosen = found[:: max(1, len(found) // count)][:count]
    read = (pair.read() for pair in chosen)
    return [audio.resample(clean[None], rate, RATE)[0] for _, clean, rate in read]


def _read(folders: list[Path]) -> Iterator[np.ndarray]:
    for path in audio_files(folders):
        wave, rate = audio.read(path)
        yield audio.resample(wave[:1], rate, RATE)[0]


def row(name: str, values: list[list[float]]) -> list[str]:
    """Cells: the median and the worst, the farthest below 0, of each list of dB."""
    return [name, *(f"{statistics.median(each):.1f} / {min(each):.1f}" for each in values)]


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.unusual", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a folder with config.json and weights")
    parser.add_argument("pairs", nargs="+", type=Path, help="folders with noisy/ and clean/")
    parser.add_argument("--sung", nargs="+", type=Path, default=[], help="folders of sung notes")
    parser.add_argument("--count", type=int, default=8, help="voices a set (default: %(default)s)")
    options = parser.parse_args(argv)
    columns = [f"guest {gap} dB below" for gap in GAPS_DB] + ["first 80 ms", "vowel held"]
    model, rows = checkpoint.load(options.checkpoint, "cpu"), []
    for folder in options.pairs:
        voices = _voices(folder, options.count)
        changes = [*zip(*guests(model, voices), strict=True)]
        notes = [stretched(voice) for voice in voices]
        rows.append(row(folder.name, [*changes, onsets(model, voices), held(model, notes)]))
    made = held(model, [formed(tone) for tone in TONES_HZ])
    sung = [row(f"formants, {TONES_HZ[0]} to {TONES_HZ[-1]} Hz", [made])]
    if options.sung:
        sung.append(row("sung", [held(model, list(_read(options.sung)))]))
    return console.show(
        f"Change in dB, the median / the worst:\n\n{console.table(['set', *columns], rows)}\n\n"
        f"{console.table(['held notes', ''], sung)}"
    )


if __name__ == "__main__":
    sys.exit(main())
