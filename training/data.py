"""Mixtures -> noisy and clean batches: drawn by `training.drawing`, then loaded, then mixed.

`load` reads a mixture's samples, `mix` makes sound of a batch of them on any device.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
import soxr
import torch
from torch import Tensor

from training.config import MixtureConfig
from training.drawing import Excerpt, Mixture, Sources, draw
from training.store import SAMPLE_RATE, Store

RESPONSE = 48000  # samples of a room response that are used


def load(mixture: Mixture, store: Store, config: MixtureConfig) -> dict[str, np.ndarray]:
    """The samples of a mixture: speech, noise (T,) float32, room response and its early part."""
    length = config.segment
    rng = np.random.default_rng((*mixture.seed, 1))
    item = {"bandwidth_hz": np.float32(SAMPLE_RATE / 2), "speech": np.zeros(length, np.float32)}
    if mixture.speech:
        piece, bandwidth = _played(store, mixture.speech, length)
        if config.trim:
            piece, _ = librosa.effects.trim(piece)
        start = rng.integers(length - len(piece) + 1)
        item["speech"][start : start + len(piece)] = piece
        if bandwidth < mixture.band_limit_hz:
            item["bandwidth_hz"] = np.float32(bandwidth)
    noise = np.zeros(length, np.float32)
    for excerpt, gain_db in mixture.noises:
        noise += _unit(_fill(_played(store, excerpt, length)[0], length)) * 10 ** (gain_db / 20)
    if mixture.babble:
        voices = [_fill(_played(store, excerpt, length)[0], length) for excerpt in mixture.babble]
        noise += _unit(sum(_unit(voice) for voice in voices))
    if mixture.colour is not None:
        noise += _unit(coloured_noise(mixture.colour, length, rng))
    if mixture.hum_hz:
        noise += _unit(hum(mixture.hum_hz, length, rng)) * 10 ** (rng.uniform(-10, 5) / 20)
    item["noise"] = noise
    if mixture.room and mixture.speech:
        response = store.read(mixture.room, 0.0, 2 * RESPONSE)[0]
        if response.any():
            item["room"] = room_response(response)
    return item


def _played(store: Store, excerpt: Excerpt, length: int) -> tuple[np.ndarray, float]:
    """Up to `length` samples of an excerpt at its speed, and the bandwidth they have then."""
    path, share, speed = excerpt
    piece, bandwidth = store.read(path, share, math.ceil(length * speed))
    if speed != 1 and len(piece):
        piece = soxr.resample(piece, speed, 1.0)[:length]
    return piece, bandwidth * speed


def _fill(piece: np.ndarray, length: int) -> np.ndarray:
    """Repeat a recording that is too short."""
    return np.resize(piece, length) if len(piece) else np.zeros(length, np.float32)


def _unit(wave: np.ndarray) -> np.ndarray:
    return wave / (np.sqrt(np.mean(np.square(wave))) + 1e-6)


def coloured_noise(exponent: float, length: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power falls with frequency to the power of `exponent`."""
    bins = length // 2 + 1
    spectrum = rng.standard_normal((bins, 2)).astype(np.float32).view(np.complex64)[:, 0]
    return np.fft.irfft(spectrum * np.arange(1, bins + 1) ** (-exponent / 2), length)


def hum(fundamental_hz: float, length: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: up to 19 harmonics, falling, with phases of their own."""
    cycles = np.arange(length) * (2 * np.pi * fundamental_hz * rng.uniform(0.995, 1.005))
    harmonics = range(1, rng.integers(4, 21))
    return sum(
        rng.random() / k**0.7 * np.sin(k * cycles / SAMPLE_RATE + rng.uniform(0, 2 * np.pi))
        for k in harmonics
    )


def room_response(response: np.ndarray) -> np.ndarray:
    """A recorded impulse response -> (RESPONSE,), beginning at the direct sound, which is 1."""
    peak = int(np.argmax(np.abs(response)))
    response = response[peak : peak + RESPONSE] / response[peak]
    return np.pad(response, (0, RESPONSE - len(response))).astype(np.float32)


def mix(items: list[dict], mixtures: list[Mixture], config: MixtureConfig, device) -> tuple:
    """Loaded items -> noisy and clean (B, T), and bandwidth_hz (B,), on `device`."""

    def stack(name: str, rows: list[int] | None = None) -> Tensor:
        chosen = items if rows is None else [items[row] for row in rows]
        return torch.from_numpy(np.stack([item[name] for item in chosen])).to(device)

    speech, noise = stack("speech"), stack("noise")
    in_room = torch.tensor(["room" in item for item in items], device=device)
    room = stack("room", in_room.nonzero()[:, 0].tolist()) if in_room.any() else None
    speech, clean, noise = recorded(speech, noise, in_room, room, mixtures, config)

    def column(name: str) -> Tensor:
        values = [getattr(mixture, name) for mixture in mixtures]
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

    level, noise_level = active_rms(speech), noise.square().mean(1, keepdim=True).sqrt()
    gain = torch.where(level > 0, level, 1) * 10 ** (-column("snr_db") / 20)
    noise = noise * (gain / noise_level.clamp(min=1e-6))
    noisy = speech + noise
    level = torch.where(level > 0, level, noisy.square().mean(1, keepdim=True).sqrt())
    gain = 10 ** (column("level_dbfs") / 20) / level.clamp(min=1e-6)
    gain = gain.minimum(0.99 / (noisy.abs().amax(1, keepdim=True) + 1e-9))  # as a recorder would
    threshold = noisy.abs().amax(1, keepdim=True) * column("clip") * gain
    noisy = (noisy * gain).maximum(-threshold).minimum(threshold)
    return noisy, clean * gain, stack("bandwidth_hz")


def recorded(
    speech: Tensor,
    noise: Tensor,
    in_room: Tensor,
    room: Tensor | None,
    mixtures: list[Mixture],
    config: MixtureConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """What rooms and microphones do: speech, noise (B, T) -> speech, its target, and noise.

    `room` holds the responses of the rows that in_room (B,) marks. The target there is the direct
    sound with its early reflections. Only the rows that need a filter are transformed.
    """
    device, length = speech.device, config.segment
    limits = torch.tensor([m.band_limit_hz for m in mixtures], device=device)
    tilts = torch.tensor([m.tilts_db for m in mixtures], device=device)
    limited = limits < SAMPLE_RATE / 2
    rows = (limited | (tilts[:, 1] != 0)).nonzero()[:, 0]
    noise[rows] = filtered(noise[rows], equaliser(tilts[rows, 1], limits[rows], length))
    rows = (limited | (tilts[:, 0] != 0) | in_room).nonzero()[:, 0]
    clean, response = speech.clone(), equaliser(tilts[rows, 0], limits[rows], length)
    if room is not None:
        early = room.clone()
        early[:, round(config.early_seconds * SAMPLE_RATE) :] = 0
        dry = response[in_room[rows]] * torch.fft.rfft(early, length)
        clean[in_room] = filtered(speech[in_room], dry)
        response = response.to(dry.dtype)
        response[in_room[rows]] *= torch.fft.rfft(room, length)
    speech[rows] = filtered(speech[rows], response)
    clean[~in_room] = speech[~in_room]
    return speech, clean, noise


def active_frames(wave: Tensor) -> tuple[Tensor, Tensor]:
    """Power (B, N) of the 16 ms frames of (B, T), and which are within 35 dB of the loudest."""
    power = wave.unflatten(1, (-1, 768)).square().mean(2)
    return power, power > power.amax(1, keepdim=True) * 10**-3.5


def active_rms(wave: Tensor) -> Tensor:
    """RMS (B, 1) of the active frames of (B, T)."""
    power, active = active_frames(wave)
    return ((power * active).sum(1, keepdim=True) / active.sum(1, keepdim=True).clamp(min=1)).sqrt()


def filtered(waves: Tensor, response: Tensor) -> Tensor:
    """Waves (B, T) through frequency responses (B, T / 2 + 1).

    Circular: what rings beyond the end sounds at the start, as if more had come before.
    """
    if len(waves) == 0:  # MKL transforms no empty batch
        return waves
    return torch.fft.irfft(torch.fft.rfft(waves) * response, waves.shape[1])


def equaliser(tilt_db: Tensor, limit_hz: Tensor, length: int) -> Tensor:
    """Responses (B, length / 2 + 1): a tilt from 100 Hz to 10 kHz, nothing above the limit."""
    hz = torch.arange(length // 2 + 1, device=tilt_db.device) * (SAMPLE_RATE / length)
    slope = (hz.clamp(100, 10000).log10() - 3) / 2  # -0.5 at 100 Hz, 0.5 at 10 kHz
    limit = limit_hz[:, None]
    edge = ((limit * 1.05 - hz) / (limit * 0.1)).clamp(0, 1)
    edge = torch.where(limit < SAMPLE_RATE / 2, edge, 1)
    return 10 ** (tilt_db[:, None] * slope / 20) * edge


def batches(
    sources: Sources,
    config: MixtureConfig,
    store: Store,
    seed: int,
    indices: Iterator[Sequence[int]],
    device,
    ahead: int = 0,
) -> Iterator[tuple]:
    """Item indices of each batch -> (noisy, clean, bandwidth_hz), mixed on `device`.

    `ahead` batches are loaded by threads while one is learnt from: for a GPU. On a CPU, whose
    cores are busy with learning, 0 loads each when it is asked for.
    """

    def loaded(batch: Sequence[int]) -> tuple[list, list]:
        drawn = [draw(sources, config, seed, index) for index in batch]
        return [load(mixture, store, config) for mixture in drawn], drawn

    if not ahead:
        for batch in indices:
            yield mix(*loaded(batch), config, device)
        return
    with ThreadPoolExecutor(ahead) as pool:
        waiting = deque(pool.submit(loaded, next(indices)) for _ in range(ahead))
        while True:
            waiting.append(pool.submit(loaded, next(indices)))
            yield mix(*waiting.popleft().result(), config, device)
