"""A vowel held, as if sung: the timbre of real speech on tones that its speaker never sang.

Training speech is never sustained, and what is sustained in its noises is no voice. Either pulses
at the drawn tones go through the spectral envelope of an excerpt's loudest vowel, which is passed
through slowly or not at all; or its pitch periods are repeated as they are, in grains.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.cache import SAMPLE_RATE

N_FFT, HOP = 2048, 512
ENVELOPE_SECONDS = 0.0015  # of the cepstrum: what is finer is pitch, not timbre
VOWEL_HZ = (150, 1500)  # where a vowel is loud
HIGHEST_HZ = 20000  # harmonic
SLUR_SECONDS = 0.08  # from one tone to the next
FADE_SECONDS = 0.06
GRAIN, GRAINS_SECONDS = 2048, 0.2  # samples of a grain, and what grains are taken from
PITCH_HZ = (60, 500)  # of a speaker


@dataclass(frozen=True)
class Note:
    """What chance decided of a held vowel."""

    tones_hz: tuple[float, ...]  # one after the other, equally long
    begins: float  # share of the segment
    vibrato_hz: float
    vibrato_cents: float  # either way
    drift_cents: float  # of a pitch that no one holds exactly
    pace: float  # at which the excerpt's sounds pass: 0 holds one
    breath_db: float  # of the noise beside the pulses
    looped: bool  # the vowel's own periods instead of pulses: at the speaker's pitch


def sample_note(rng: np.random.Generator, lowest_hz: float, highest_hz: float) -> Note:
    """One to three tones within a fifth of each other, half of them without vibrato."""
    tone = math.exp(rng.uniform(math.log(lowest_hz), math.log(highest_hz)))
    steps = rng.integers(-7, 8, size=rng.integers(0, 3))
    return Note(
        tones_hz=(tone, *(float(tone * 2 ** (step / 12)) for step in steps)),
        begins=rng.uniform(0, 0.2),
        vibrato_hz=rng.uniform(4, 7),
        vibrato_cents=rng.uniform(15, 100) if rng.random() < 0.5 else 0.0,
        drift_cents=rng.uniform(2, 20),
        pace=rng.uniform(0.02, 0.3) if rng.random() < 0.5 else 0.0,
        breath_db=rng.uniform(-40, -15),
        looped=rng.random() < 0.4,
    )


def sung(speech: Tensor, note: Note, length: int, seed: int) -> Tensor:
    """The loudest vowel of speech (T,) on a note's tones, (length,), at any level.

    Silence where the speech is silent. The seed is of the drift and of the breath.
    """
    wave = torch.zeros(length, device=speech.device)
    begin = round(note.begins * length)
    count = length - begin
    if len(speech) < 4 * N_FFT or not speech.any():
        return wave
    generator = torch.Generator(speech.device).manual_seed(seed)
    sound = (
        _looped(speech, count, generator)
        if note.looped
        else _shaped(speech, note, count, generator)
    )
    fade = round(FADE_SECONDS * SAMPLE_RATE)
    ramp = torch.arange(count, device=speech.device)
    wave[begin:] = sound * (torch.minimum(ramp, count - ramp) / fade).clamp(0, 1)
    return wave


def _shaped(speech: Tensor, note: Note, count: int, generator: torch.Generator) -> Tensor:
    """Pulses on the note's tones, and breath, through the speech's envelope, (count,)."""
    pulses = _pulses(_pitch(note, count, generator))
    breath = torch.randn(count, generator=generator, device=speech.device)
    source = _spectrum(pulses + breath * 10 ** (note.breath_db / 20))
    shaped = source * _envelopes(speech, note.pace, source.shape[1])
    return torch.istft(shaped, N_FFT, HOP, window=_window(speech.device), length=count)


def _looped(speech: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Grains around the speech's loudest vowel, each at the place in its pitch period that is due.

    By whole periods, which one is chance: nobody's are all alike. (count,)
    """
    size = min(round(GRAINS_SECONDS * SAMPLE_RATE), len(speech) - GRAIN)
    power = _spectrum(speech).abs().square()
    low, high = (round(hz * N_FFT / SAMPLE_RATE) for hz in VOWEL_HZ)
    begin = int(power[low:high].sum(0).argmax()) * HOP - size // 2
    begin = max(0, min(begin, len(speech) - GRAIN - size))
    period = _period(speech[begin : begin + size])
    places = torch.arange(0, count + GRAIN, GRAIN // 2, device=speech.device)
    spare = max((size - period) // period, 1)
    which = torch.randint(spare, (len(places),), generator=generator, device=speech.device)
    starts = begin + which * period + places % period
    grains = speech[starts[:, None] + torch.arange(GRAIN, device=speech.device)]
    grains = grains * _window(speech.device)
    sums = torch.zeros(len(places) + 1, GRAIN // 2, device=speech.device)
    sums[:-1] += grains[:, : GRAIN // 2]
    sums[1:] += grains[:, GRAIN // 2 :]
    return sums.flatten()[GRAIN // 2 :][:count]


def _period(vowel: Tensor) -> int:
    """Pitch period in samples: where the autocorrelation is highest."""
    spectrum = torch.fft.rfft(vowel - vowel.mean(), 2 * len(vowel)).abs().square()
    shortest, longest = (SAMPLE_RATE // hz for hz in PITCH_HZ[::-1])
    likeness = torch.fft.irfft(spectrum)[: len(vowel)]
    return shortest + int(likeness[shortest : longest + 1].argmax())


def _pitch(note: Note, count: int, generator: torch.Generator) -> Tensor:
    """Hz of each of `count` samples: tones slurred, vibrato, a slow random walk."""
    device = generator.device
    tones = torch.tensor(note.tones_hz, device=device).log2()
    which = torch.arange(count, device=device) * len(tones) // count
    half = round(SLUR_SECONDS * SAMPLE_RATE / 2)
    padded = torch.nn.functional.pad(tones[which][None], (half + 1, half), mode="replicate")
    sums = padded[0].double().cumsum(0)
    octaves = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    points = torch.randn(1, 1, 2 + count // (SAMPLE_RATE // 4), generator=generator, device=device)
    drift = torch.nn.functional.interpolate(points, count, mode="linear", align_corners=True)[0, 0]
    seconds = torch.arange(count, device=device) / SAMPLE_RATE
    vibrato = (2 * math.pi * note.vibrato_hz * seconds).sin() * note.vibrato_cents
    return 2 ** (octaves + (drift * note.drift_cents + vibrato) / 1200)


def _pulses(hz: Tensor) -> Tensor:
    """Pulses (T,) at a frequency that changes, mean square 1: all harmonics in one closed form."""
    order = max(int(HIGHEST_HZ / float(hz.max())), 1)
    phase = (hz.double() / SAMPLE_RATE).cumsum(0).remainder(1) * math.pi
    near = phase.sin().abs() < 1e-6
    kernel = ((2 * order + 1) * phase).sin() / torch.where(near, 1.0, phase.sin())
    kernel = torch.where(near, 2.0 * order + 1, kernel) - 1  # twice the sum of the cosines
    return (kernel / math.sqrt(2 * order)).float()


def _envelopes(speech: Tensor, pace: float, frames: int) -> Tensor:
    """Magnitudes (bins, frames) of the spectral envelope from the loudest vowel on, at `pace`."""
    power = _spectrum(speech).abs().square()
    low, high = (round(hz * N_FFT / SAMPLE_RATE) for hz in VOWEL_HZ)
    start = power[low:high].sum(0).argmax()
    level = (power + power.amax() * 1e-9 + 1e-20).log()
    cepstrum = torch.fft.irfft(level, dim=0)
    keep = round(ENVELOPE_SECONDS * SAMPLE_RATE)
    cepstrum[keep : N_FFT - keep + 1] = 0
    smooth = torch.fft.rfft(cepstrum, dim=0).real / 2  # log magnitude
    place = (start + pace * torch.arange(frames, device=speech.device)).clamp(max=len(power[0]) - 1)
    before = place.long()
    share = place - before
    after = (before + 1).clamp(max=smooth.shape[1] - 1)
    # pulses of a mean square of 1 have a spectrum of about sqrt(window's energy)
    return ((1 - share) * smooth[:, before] + share * smooth[:, after]).exp() / math.sqrt(
        float(_window(speech.device).square().sum())
    )


def _spectrum(wave: Tensor) -> Tensor:
    window = _window(wave.device)
    return torch.stft(wave, N_FFT, HOP, window=window, return_complex=True)


def _window(device: torch.device) -> Tensor:
    return torch.hann_window(N_FFT, device=device)
