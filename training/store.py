"""Recordings of any kind, decoded once, read in pieces."""

import hashlib
import itertools
import math
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from denoiser import audio
from denoiser.levels import downmix_of

SAMPLE_RATE = 48000
RESPONSE = 48000  # samples of a room response that are used


class Excerpt(NamedTuple):
    """A piece of a recording."""

    path: Path
    share: float  # of the way through what there is to choose from
    speed: float = 1.0  # at which it is played: pitch and tempo change together


class Store:
    """Recordings decoded once to 48 kHz mono 16 bit in a folder, read from there in pieces.

    About 350 MB an hour of disk. Pieces are read, not mapped, so that memory stays flat however
    many files there are. A cached file begins with the recording's bandwidth in Hz (int32). A file
    that cannot be read is named once and then counts as a recording without samples.
    """

    device = torch.device("cpu")

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def play(self, excerpts: Sequence[Excerpt], length: int) -> list[Tensor]:
        """Up to `length` samples of each excerpt at its speed."""
        pieces = []
        for path, share, speed in excerpts:
            piece, _ = self.read(path, share, math.ceil(length * speed))
            if speed != 1 and len(piece):
                piece = soxr.resample(piece, speed, 1.0)[:length]
            pieces.append(torch.from_numpy(piece))
        return pieces

    def bandwidth(self, excerpt: Excerpt) -> float:
        """In Hz, as the excerpt is played."""
        return self.read(excerpt.path, 0, 0)[1] * excerpt.speed

    def room(self, path: Path) -> Tensor | None:
        """A room response (RESPONSE,); None where the file holds none."""
        response, _ = self.read(path, 0.0, 2 * RESPONSE)
        return torch.from_numpy(room_response(response)) if response.any() else None

    def read(self, path: Path, share: float, length: int) -> tuple[np.ndarray, int]:
        """Up to `length` samples of `path` (float32), `share` of the way in, and its bandwidth."""
        with open(self.file(path), "rb") as file:
            bandwidth = int.from_bytes(file.read(4), "little")
            samples = (os.fstat(file.fileno()).st_size - 4) // 2
            start = int(share * max(samples - length, 0))
            file.seek(4 + 2 * start)
            piece = np.frombuffer(file.read(2 * length), np.int16)
        return piece.astype(np.float32) / 32768, bandwidth

    def file(self, path: Path) -> Path:
        """The decoded recording, made where it is not there yet."""
        stat = path.stat()
        identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        cached = self.folder / f"{hashlib.sha1(identity.encode()).hexdigest()}.s16"
        if not cached.exists():
            temporary = cached.with_suffix(f".{uuid.uuid4().hex}")
            try:
                _decode(path, temporary)
            except audio.AudioError as error:
                temporary.write_bytes((SAMPLE_RATE // 2).to_bytes(4, "little"))
                print(f"{path} counts as silence: {error}", file=sys.stderr)
            temporary.rename(cached)
        return cached


def _decode(path: Path, target: Path) -> None:
    """A recording of any length -> its bandwidth and its mono samples at 48 kHz in a file."""
    resampler = audio.Resampler(audio.info(path).sample_rate, SAMPLE_RATE, 1)
    downmix = downmix_of(path)
    nothing = np.zeros((1, 0), np.float32)
    with open(target, "wb") as file:
        file.write(bytes(4))
        for block in itertools.chain(audio.blocks(path), [None]):
            if block is None:
                mono = resampler.push(nothing, last=True)
            else:
                mono = resampler.push(downmix(block))
            file.write((mono * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
    if target.stat().st_size > 4:
        with open(target, "r+b") as file:
            samples = np.memmap(target, "<i2", "r", offset=4)
            file.write(bandwidth_hz(samples).to_bytes(4, "little"))


def bandwidth_hz(wave: np.ndarray) -> int:
    """Frequency above which a wave (T,) at 48 kHz holds nothing: 45 dB below its 1 to 4 kHz.

    Resampling and lossy coding leave a cliff that a microphone does not. A cliff above 20 kHz does
    not count: codecs make one there by themselves.
    """
    n_fft = 2048
    count = min(len(wave) // n_fft, 2000)
    if count == 0:
        return SAMPLE_RATE // 2
    starts = np.linspace(0, len(wave) - n_fft, count).astype(int)
    frames = np.stack([wave[start : start + n_fft] for start in starts]) * np.hanning(n_fft)
    power = (np.abs(np.fft.rfft(frames)) ** 2).mean(0)
    power = np.convolve(power, np.ones(9) / 9, "same")
    hz = np.arange(len(power)) * SAMPLE_RATE / n_fft
    floor = power[(hz > 1000) & (hz < 4000)].mean() * 10**-4.5
    edge = int(hz[np.flatnonzero(power > floor)[-1]]) if (power > floor).any() else 0
    return SAMPLE_RATE // 2 if edge > 19500 else max(edge, 3000)


def room_response(response: np.ndarray) -> np.ndarray:
    """A recorded impulse response -> (RESPONSE,), beginning at the direct sound, which is 1."""
    peak = int(np.argmax(np.abs(response)))
    response = response[peak : peak + RESPONSE] / response[peak]
    return np.pad(response, (0, RESPONSE - len(response))).astype(np.float32)
