"""Sources -> mixtures as records: what chance decided of each, before a sample is read.

A mixture is seeded by (seed, index), so that any item can be made again and neither ranks nor
workers change what is heard. `training.data.batching` makes sound of it.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.data.cache import SAMPLE_RATE, Excerpt
from training.data.singing import Note, sample_note
from training.data.sources import Sources


@dataclass(frozen=True)
class MixtureConfig:
    """How mixtures are drawn. Shares are probabilities, ranges are drawn from evenly.

    Speeds and frequencies evenly by ratio.
    """

    segment: int = 192 * 768  # samples at 48 kHz: 3.07 s, a fast length for an FFT
    snr_db: tuple[float, float] = (-10.0, 20.0)
    level_dbfs: tuple[float, float] = (-40.0, -10.0)  # of the active speech
    second_noise: float = 0.3
    third_noise: float = 0.1
    babble: float = 0.1  # three to six other voices as a noise
    coloured: float = 0.08  # white to brown noise instead of a recording
    hum: float = 0.05  # mains hum added
    speech_only: float = 0.04
    noise_only: float = 0.04
    trim: bool = False  # silent ends of an excerpt of speech cut off, by librosa.effects.trim
    faster: float = 0.3  # of the recordings, each on its own: played at another speed
    speech_speed: tuple[float, float] = (0.65, 3.0)  # deep voices to children's and cartoons'
    noise_speed: tuple[float, float] = (0.7, 1.4)
    reverberant: float = 0.3  # of the speech, where room responses are given
    early_seconds: float = 0.05  # reflections that stay in the target
    tilt: float = 0.2  # equaliser on speech, and as often on noise
    tilt_db: float = 8.0  # at most, from 100 Hz to 10 kHz
    band_limit: float = 0.15  # noisy and clean alike
    band_limit_hz: tuple[float, float] = (3400.0, 16000.0)
    clip: float = 0.05
    clip_share: tuple[float, float] = (0.2, 0.8)  # threshold as a share of the peak
    # Drawn after all else, and not at all where the share is 0: what was drawn before stays
    held: float = 0.0  # of the speech: one of its vowels held, as if sung
    held_hz: tuple[float, float] = (60.0, 850.0)
    guest: float = 0.0  # of the speech: another voice takes over, quieter
    guest_db: tuple[float, float] = (6.0, 35.0)  # by how much; the SNR is then the guest's
    guest_begins: tuple[float, float] = (0.2, 0.6)  # as a share of the segment
    muted: float = 0.0  # of the mixtures: a stretch of all sound turned down, half of it to nothing
    muted_share: tuple[float, float] = (0.1, 0.6)  # of the segment, from its beginning or within
    muted_db: tuple[float, float] = (20.0, 60.0)


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


def sample(sources: Sources, config: MixtureConfig, seed: int, index: int) -> Mixture:
    """Decide everything about item `index`; the same arguments give the same mixture."""
    chance = _Chance(np.random.default_rng((seed, index)), config)
    return _with_rare(_ordinary(chance, sources, (seed, index)), chance, sources)


class _Chance:
    """A generator, and what is asked of it often."""

    def __init__(self, rng: np.random.Generator, config: MixtureConfig):
        self.rng, self.config = rng, config

    def happens(self, share: float) -> bool:
        return self.rng.random() < share

    def excerpt(self, files: list[Path], speeds: tuple[float, float]) -> Excerpt:
        speed = self.by_ratio(speeds) if self.happens(self.config.faster) else 1.0
        return Excerpt(files[self.rng.integers(len(files))], self.rng.random(), speed)

    def by_ratio(self, ends: tuple[float, float]) -> float:
        return math.exp(self.rng.uniform(*np.log(ends)))

    def tilt(self) -> float:
        most = self.config.tilt_db
        return self.rng.uniform(-most, most) if self.happens(self.config.tilt) else 0.0


def _ordinary(chance: _Chance, sources: Sources, seed: tuple[int, int]) -> Mixture:
    """Speech, noises, room and microphone. The order of the draws is part of the format."""
    rng, config, happens = chance.rng, chance.config, chance.happens
    kind = rng.random()
    speech_only = kind < config.speech_only
    noise_only = not speech_only and kind < config.speech_only + config.noise_only
    recordings = 1 + happens(config.second_noise) + happens(config.third_noise)
    noises = [
        (chance.excerpt(sources.noise, config.noise_speed), rng.uniform(-10, 0))
        for _ in range(recordings)
    ]
    number = rng.integers(3, 7)
    voices = [chance.excerpt(sources.clean, config.speech_speed) for _ in range(number)]
    coloured = happens(config.coloured)
    rooms = sources.rooms
    return Mixture(
        seed=seed,
        speech=None if noise_only else chance.excerpt(sources.clean, config.speech_speed),
        noises=() if speech_only or coloured else tuple(noises),
        babble=tuple(voices) if happens(config.babble) and not speech_only else (),
        colour=rng.uniform(0, 2) if coloured and not speech_only else None,
        hum_hz=float(rng.choice((50, 60))) if happens(config.hum) and not speech_only else None,
        room=rooms[rng.integers(len(rooms))] if rooms and happens(config.reverberant) else None,
        snr_db=math.inf if speech_only else rng.uniform(*config.snr_db),
        level_dbfs=rng.uniform(*config.level_dbfs),
        tilts_db=(chance.tilt(), chance.tilt()),
        band_limit_hz=chance.by_ratio(config.band_limit_hz)
        if happens(config.band_limit)
        else SAMPLE_RATE / 2,
        clip=rng.uniform(*config.clip_share) if happens(config.clip) else 1.0,
        place=rng.random(),
        hum_db=rng.uniform(-10, 5),
    )


def _with_rare(mixture: Mixture, chance: _Chance, sources: Sources) -> Mixture:
    """A held vowel, a guest, a muted stretch, each where its share says so."""
    rng, config, happens = chance.rng, chance.config, chance.happens
    if mixture.speech and config.held and happens(config.held):
        mixture = replace(mixture, note=sample_note(rng, *config.held_hz))
    if mixture.speech and config.guest and happens(config.guest):
        guest = Guest(
            chance.excerpt(sources.clean, config.speech_speed),
            begins=rng.uniform(*config.guest_begins),
            quieter_db=rng.uniform(*config.guest_db),
        )
        mixture = replace(mixture, guest=guest, snr_db=mixture.snr_db + guest.quieter_db)
    if config.muted and happens(config.muted):
        mixture = replace(mixture, muted=_sample_muted(rng, config))
    return mixture


def _sample_muted(rng: np.random.Generator, config: MixtureConfig) -> Muted:
    share = rng.uniform(*config.muted_share)
    begins = 0.0 if rng.random() < 0.5 else rng.uniform(0, 1 - share)
    quieter_db = math.inf if rng.random() < 0.5 else rng.uniform(*config.muted_db)
    return Muted(begins, begins + share, 10 ** (-quieter_db / 20))
