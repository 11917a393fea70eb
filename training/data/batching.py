"""Mixtures -> noisy and clean batches: drawn by `training.data.mixture`, then loaded, then mixed.

`load` brings the recordings of a batch together, `mix` makes of them what a microphone hears. Both
work where the recordings are kept: on disk for a CPU (`training.data.cache`), on a GPU for that
(`training.data.gpu_cache`).
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor

from denoiser.models.scan import KERNELS
from training.data.augment import FRAME, active_rms, coloured_noise, equaliser, filtered, hum, unit
from training.data.cache import RESPONSE, SAMPLE_RATE, AudioCache, Excerpt
from training.data.gpu_cache import GpuCache
from training.data.mixture import Mixture, MixtureConfig, sample
from training.data.singing import sung
from training.data.sources import Sources

Recordings = AudioCache | GpuCache


@dataclass(frozen=True)
class Material:
    """What a batch of B mixtures of T samples is made of, on the recordings' device."""

    speech: Tensor  # (B, T); zeros where nobody speaks
    noise: Tensor  # (B, T), at any level
    in_room: Tensor  # (B,) bool
    rooms: Tensor  # (R, RESPONSE): the responses of the R rows in a room
    bandwidth_hz: Tensor  # (B,): of the speech
    lift: Tensor  # (B, T), or (B, 1): what brings a quiet guest's voice to the level of the first


def place(store: AudioCache, sources: Sources, device: torch.device) -> Recordings:
    """The recordings where batches are to be made: all on a GPU, for other devices on disk."""
    if not (KERNELS and device.type == "cuda"):
        return store
    return GpuCache(store, [*sources.clean, *sources.noise, *sources.rooms], device)


def load(mixtures: Sequence[Mixture], recordings: Recordings, config: MixtureConfig) -> Material:
    """The recordings of a batch: played, repeated to fill a segment, added up."""
    length, device = config.segment, recordings.device
    speech, noise = (torch.zeros(len(mixtures), length, device=device) for _ in range(2))
    spoken = [(row, m) for row, m in enumerate(mixtures) if m.speech]
    pieces = recordings.read_excerpts([m.speech for _, m in spoken], length)
    for (row, m), piece in zip(spoken, pieces, strict=True):
        if config.trim:
            piece = torch.from_numpy(librosa.effects.trim(piece.cpu().numpy())[0]).to(device)
        if m.note:
            piece = sung(piece, m.note, length, _seed(m, 2))
        start = int(m.place * (length - len(piece) + 1))
        speech[row, start : start + len(piece)] = piece
    lift = _take_over(speech, mixtures, recordings) if config.guest else torch.ones(len(speech), 1)
    noises = [(row, *each) for row, m in enumerate(mixtures) for each in m.noises]
    played = _filled(recordings, [excerpt for _, excerpt, _ in noises], length)
    for (row, _, gain_db), wave in zip(noises, played, strict=True):
        noise[row].add_(wave, alpha=10 ** (gain_db / 20))
    for row, m in enumerate(mixtures):
        if m.colour is not None or m.hum_hz:
            noise[row] += synthetic_noise(m, length, device)
        if m.babble:
            noise[row] += unit(sum(_filled(recordings, m.babble, length)))
    return Material(
        speech,
        noise,
        *_rooms(mixtures, recordings),
        _bandwidths(mixtures, recordings),
        lift.to(device),
    )


def _take_over(speech: Tensor, mixtures: Sequence[Mixture], recordings: Recordings) -> Tensor:
    """The guests' voices into speech (B, T), in place; returns their `lift` (B, T)."""
    lift = torch.ones_like(speech)
    guests = [(row, m.guest) for row, m in enumerate(mixtures) if m.guest]
    pieces = recordings.read_excerpts([guest.excerpt for _, guest in guests], speech.shape[1])
    for (row, guest), piece in zip(guests, pieces, strict=True):
        start = round(guest.begins * speech.shape[1] / FRAME) * FRAME
        piece = _repeated(piece, speech.shape[1] - start)
        levels = [float(active_rms(wave[None])) for wave in (speech[row, :start], piece)]
        gain = levels[0] / levels[1] if all(levels) else 1.0  # or there is no gap to speak of
        gap = 10 ** (guest.quieter_db / 20) if all(levels) else 1.0
        speech[row, start:] = piece * (gain / gap)
        lift[row, start:] = gap
    return lift


def _filled(recordings: Recordings, excerpts: Sequence[Excerpt], length: int) -> list[Tensor]:
    """Excerpts as waves (length,) of the same power; one that is too short is repeated."""
    waves = [_repeated(piece, length) for piece in recordings.read_excerpts(excerpts, length)]
    return list(unit(torch.stack(waves))) if waves else []


def _repeated(piece: Tensor, length: int) -> Tensor:
    times = math.ceil(length / max(len(piece), 1))
    return piece.repeat(times)[:length] if len(piece) else piece.new_zeros(length)


def _rooms(mixtures: Sequence[Mixture], recordings: Recordings) -> tuple[Tensor, Tensor]:
    rooms = [recordings.room(m.room) if m.room and m.speech else None for m in mixtures]
    responses = [room for room in rooms if room is not None]
    in_room = torch.tensor([room is not None for room in rooms], device=recordings.device)
    nothing = torch.zeros(0, RESPONSE, device=recordings.device)
    return in_room, torch.stack(responses) if responses else nothing


def _bandwidths(mixtures: Sequence[Mixture], recordings: Recordings) -> Tensor:
    """Of the speech as it is played (B,); all, where a mixture is limited further down."""
    whole, result = SAMPLE_RATE / 2, []
    for m in mixtures:
        voices = [voice for voice in (m.speech, m.guest and m.guest.excerpt) if voice]
        played = min((recordings.bandwidth(voice) for voice in voices), default=whole)
        result.append(played if played < m.band_limit_hz else whole)
    return torch.tensor(result, dtype=torch.float32, device=recordings.device)


def synthetic_noise(mixture: Mixture, length: int, device) -> Tensor:
    """Coloured noise of a mixture, mean square 1, and hum at its level beside it, (length,)."""
    wave = torch.zeros(length, device=device)
    generator = torch.Generator(device).manual_seed(_seed(mixture, 1))
    if mixture.colour is not None:
        wave += unit(coloured_noise(mixture.colour, length, generator))
    if mixture.hum_hz:
        wave += unit(hum(mixture.hum_hz, length, generator)) * 10 ** (mixture.hum_db / 20)
    return wave


def _seed(mixture: Mixture, purpose: int) -> int:
    return int(np.random.SeedSequence((*mixture.seed, purpose)).generate_state(1)[0])


def mix(material: Material, mixtures: Sequence[Mixture], config: MixtureConfig) -> tuple:
    """-> noisy and clean (B, T), bandwidth_hz (B,) and lift (B, T or 1), where the material is."""
    speech, clean, noise = captured(material, mixtures, config)

    def column(name: str) -> Tensor:
        values = [getattr(mixture, name) for mixture in mixtures]
        return torch.tensor(values, dtype=torch.float32, device=speech.device)[:, None]

    level, noise_level = (
        active_rms(speech * material.lift),
        noise.square().mean(1, keepdim=True).sqrt(),
    )
    gain = torch.where(level > 0, level, 1) * 10 ** (-column("snr_db") / 20)
    noise = noise * (gain / noise_level.clamp(min=1e-6))
    noisy = speech + noise
    level = torch.where(level > 0, level, noisy.square().mean(1, keepdim=True).sqrt())
    gain = 10 ** (column("level_dbfs") / 20) / level.clamp(min=1e-6)
    gain = gain.minimum(0.99 / (noisy.abs().amax(1, keepdim=True) + 1e-9))  # as a recorder would
    threshold = noisy.abs().amax(1, keepdim=True) * column("clip") * gain
    noisy, clean = (noisy * gain).maximum(-threshold).minimum(threshold), clean * gain
    for row, muted in ((row, m.muted) for row, m in enumerate(mixtures) if m.muted):
        stretch = slice(*(round(share * config.segment) for share in (muted.begins, muted.ends)))
        noisy[row, stretch] *= muted.gain
        clean[row, stretch] *= muted.gain
    return noisy, clean, material.bandwidth_hz, material.lift


def captured(
    material: Material, mixtures: Sequence[Mixture], config: MixtureConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """What rooms and microphones do: -> speech, its target and noise (B, T).

    The target in a room is the direct sound with its early reflections. Only the rows that need a
    filter are transformed.
    """
    speech, noise = material.speech.clone(), material.noise.clone()
    in_room, room = material.in_room, material.rooms
    device, length = speech.device, config.segment
    limits = torch.tensor([m.band_limit_hz for m in mixtures], device=device)
    tilts = torch.tensor([m.tilts_db for m in mixtures], device=device)
    limited = limits < SAMPLE_RATE / 2
    rows = (limited | (tilts[:, 1] != 0)).nonzero()[:, 0]
    noise[rows] = filtered(noise[rows], equaliser(tilts[rows, 1], limits[rows], length))
    rows = (limited | (tilts[:, 0] != 0) | in_room).nonzero()[:, 0]
    clean, response = speech.clone(), equaliser(tilts[rows, 0], limits[rows], length)
    if len(room):
        early = room.clone()
        early[:, round(config.early_seconds * SAMPLE_RATE) :] = 0
        dry = response[in_room[rows]] * torch.fft.rfft(early, length)
        clean[in_room] = filtered(speech[in_room], dry)
        response = response.to(dry.dtype)
        response[in_room[rows]] *= torch.fft.rfft(room, length)
    speech[rows] = filtered(speech[rows], response)
    clean[~in_room] = speech[~in_room]
    return speech, clean, noise


def batches(
    sources: Sources,
    config: MixtureConfig,
    recordings: Recordings,
    seed: int,
    indices: Iterator[Sequence[int]],
    taught: Callable[[Sequence[Mixture], Tensor, Tensor], Tensor] | None = None,
) -> Iterator[tuple]:
    """Item indices of each batch -> (noisy, clean, bandwidth_hz, lift), where the recordings are.

    `taught` makes of mixtures, noisy and clean what is to be learnt instead of clean.
    """
    for batch in indices:
        drawn = [sample(sources, config, seed, index) for index in batch]
        noisy, clean, *rest = mix(load(drawn, recordings, config), drawn, config)
        yield noisy, taught(drawn, noisy, clean) if taught else clean, *rest


def ahead(batches: Iterator[tuple]) -> Iterator[tuple]:
    """The same batches, two of them made by a thread on the GPU while one is learnt from."""
    stream = torch.cuda.Stream()

    def make() -> tuple:
        with torch.cuda.stream(stream):
            batch = next(batches)
            stream.synchronize()
        return batch

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(make) for _ in range(2))
        while True:
            waiting.append(pool.submit(make))
            batch = waiting.popleft().result()
            for tensor in batch:  # its memory may be used again only when this stream is done
                tensor.record_stream(torch.cuda.current_stream())
            yield batch
