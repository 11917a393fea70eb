"""Files -> mixtures as records: what chance decided of each, before a sample is read.

A mixture is seeded by (seed, index), so that any item can be made again and neither ranks nor
workers change what is heard. `training.data` makes sound of it.
"""

import math
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from denoiser import audio
from training.config import MixtureConfig
from training.singing import Note, draw_note
from training.store import SAMPLE_RATE, Excerpt


@dataclass(frozen=True)
class Guest:
    """A second voice that takes over from the first."""

    excerpt: Excerpt
    begins: float  # share of the segment
    quieter_db: float  # than the first, both by their active parts


@dataclass(frozen=True)
class Muted:
    """A stretch of the recording that was turned down: a gate, a pause, a muted microphone."""

    begins: float  # share of the segment
    ends: float
    gain: float  # 0 for digital silence


@dataclass(frozen=True)
class Mixture:
    """What chance decided for one item."""

    seed: tuple[int, int]
    speech: Excerpt | None
    noises: tuple[tuple[Excerpt, float], ...]  # with gains in dB relative to each other
    babble: tuple[Excerpt, ...]
    colour: float | None  # exponent of coloured noise's power spectrum: 0 white, 2 brown
    hum_hz: float | None
    room: Path | None
    snr_db: float  # of the loudest voice
    level_dbfs: float
    tilts_db: tuple[float, float]  # of speech and noise, from 100 Hz to 10 kHz
    band_limit_hz: float
    clip: float  # threshold as a share of the peak; 1 leaves it alone
    place: float  # of speech shorter than the segment: the share of the silence before it
    hum_db: float  # level of the hum
    note: Note | None = None  # the speech's loudest vowel held, in place of the speech
    guest: Guest | None = None
    muted: Muted | None = None

    @property
    def ordinary(self) -> bool:
        """Whether this is a mixture as those before notes, guests and mutes were."""
        return not (self.note or self.guest or self.muted)


@dataclass(frozen=True)
class Sources:
    """The files that mixtures are drawn from."""

    clean: list[Path]
    noise: list[Path]
    rooms: list[Path]


def find_sources(clean: list, noise: list, rooms: list) -> tuple[Sources, Sources]:
    """Folders -> sources for training and for validation: one file in fifty is never trained on.

    Folders of fewer than fifty files are too small for that: both use all of them.
    """
    if not clean or not noise:
        raise audio.AudioError("Training needs speech and noise: give --clean and --noise folders.")
    every = [audio_files(folders) for folders in (clean, noise, rooms)]
    kept, held_out = zip(*(_split(files) for files in every), strict=True)
    return Sources(*kept), Sources(*held_out)


def audio_files(folders: list) -> list[Path]:
    """Every audio or video file below the folders, in a fixed order; each folder must hold some.

    A file may stand for a folder that holds only it. What is named twice is there twice, and drawn
    twice as often.
    """
    return sorted(file for folder in folders for file in _files(folder))


def _files(folder) -> list[Path]:
    if not str(folder):  # Path("") would be the working folder
        raise audio.AudioError("An empty path is no folder: leave it out.")
    if os.path.isfile(folder):
        return [Path(folder)]
    if not os.path.isdir(folder):
        raise audio.AudioError(f"There is no file or folder {folder}: check its name.")
    found = audio.search(folder)
    if found.closed:
        name, why = found.closed[0].filename, found.closed[0].strerror or "unknown error"
        raise audio.AudioError(f"{name} cannot be searched, {why.lower()}: check its permissions.")
    if not found.files:
        only = f", only {len(found.others)} other files" if found.others else ""
        raise audio.AudioError(f"There is no audio in the folder {folder}{only}: give another.")
    return found.files


def _split(files: list[Path]) -> tuple[list[Path], list[Path]]:
    shuffled = sorted(files, key=lambda path: (zlib.crc32(path.name.encode()), path))
    different = list(dict.fromkeys(shuffled))
    held_out = dict.fromkeys(different[: len(different) // 50])
    kept = [path for path in shuffled if path not in held_out]
    return (kept, list(held_out)) if held_out else (shuffled, shuffled)


def draw(sources: Sources, config: MixtureConfig, seed: int, index: int) -> Mixture:
    """Decide everything about item `index`; the same arguments give the same mixture."""
    rng = np.random.default_rng((seed, index))

    def happens(share: float) -> bool:
        return rng.random() < share

    def excerpt(files: list[Path], speeds: tuple[float, float]) -> Excerpt:
        speed = math.exp(rng.uniform(*np.log(speeds))) if happens(config.faster) else 1.0
        return Excerpt(files[rng.integers(len(files))], rng.random(), speed)

    def tilt() -> float:
        return rng.uniform(-config.tilt_db, config.tilt_db) if happens(config.tilt) else 0.0

    kind = rng.random()
    speech_only = kind < config.speech_only
    noise_only = not speech_only and kind < config.speech_only + config.noise_only
    recordings = 1 + happens(config.second_noise) + happens(config.third_noise)
    noises = [
        (excerpt(sources.noise, config.noise_speed), rng.uniform(-10, 0)) for _ in range(recordings)
    ]
    voices = [excerpt(sources.clean, config.speech_speed) for _ in range(rng.integers(3, 7))]
    coloured = happens(config.coloured)
    rooms = sources.rooms
    mixture = Mixture(
        seed=(seed, index),
        speech=None if noise_only else excerpt(sources.clean, config.speech_speed),
        noises=() if speech_only or coloured else tuple(noises),
        babble=tuple(voices) if happens(config.babble) and not speech_only else (),
        colour=rng.uniform(0, 2) if coloured and not speech_only else None,
        hum_hz=float(rng.choice((50, 60))) if happens(config.hum) and not speech_only else None,
        room=rooms[rng.integers(len(rooms))] if rooms and happens(config.reverberant) else None,
        snr_db=math.inf if speech_only else rng.uniform(*config.snr_db),
        level_dbfs=rng.uniform(*config.level_dbfs),
        tilts_db=(tilt(), tilt()),
        band_limit_hz=math.exp(rng.uniform(*np.log(config.band_limit_hz)))
        if happens(config.band_limit)
        else SAMPLE_RATE / 2,
        clip=rng.uniform(*config.clip_share) if happens(config.clip) else 1.0,
        place=rng.random(),
        hum_db=rng.uniform(-10, 5),
    )
    if mixture.speech and config.held and happens(config.held):
        mixture = replace(mixture, note=draw_note(rng, *config.held_hz))
    if mixture.speech and config.guest and happens(config.guest):
        guest = Guest(
            excerpt(sources.clean, config.speech_speed),
            begins=rng.uniform(*config.guest_begins),
            quieter_db=rng.uniform(*config.guest_db),
        )
        mixture = replace(mixture, guest=guest, snr_db=mixture.snr_db + guest.quieter_db)
    if config.muted and happens(config.muted):
        mixture = replace(mixture, muted=_draw_muted(rng, config))
    return mixture


def _draw_muted(rng: np.random.Generator, config: MixtureConfig) -> Muted:
    share = rng.uniform(*config.muted_share)
    begins = 0.0 if rng.random() < 0.5 else rng.uniform(0, 1 - share)
    quieter_db = math.inf if rng.random() < 0.5 else rng.uniform(*config.muted_db)
    return Muted(begins, begins + share, 10 ** (-quieter_db / 20))
