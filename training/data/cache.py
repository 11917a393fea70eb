"""Recordings of any kind, decoded once, read in pieces."""

import hashlib
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from denoiser import audio, console
from denoiser.files import replacing
from denoiser.levels import downmix_of

SAMPLE_RATE = 48000
RESPONSE = 48000  # samples of a room response that are used
HEAD = 4  # bytes of a cached file before its samples
NAMED = 10  # recordings that a report names at most


class Excerpt(NamedTuple):
    """A piece of a recording."""

    path: Path
    share: float  # of the way through what there is to choose from
    speed: float = 1.0  # at which it is played: pitch and tempo change together


class AudioCache:
    """Recordings decoded once to 48 kHz mono 16 bit in a folder, read from there in pieces.

    About 350 MB an hour of disk. Pieces are read, not mapped, so that memory stays flat however
    many files there are. A cached file begins with the recording's bandwidth in Hz (int32). A file
    that cannot be read is named once and counts as a recording without samples, but only for this
    AudioCache: the next one tries it again.
    """

    device = torch.device("cpu")

    def __init__(self, folder: Path):
        self.folder = folder
        self.failed: dict[Path, str] = {}  # recordings that could not be read, and why
        folder.mkdir(parents=True, exist_ok=True)

    def read_excerpts(self, excerpts: Sequence[Excerpt], length: int) -> list[Tensor]:
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
            bandwidth = int.from_bytes(file.read(HEAD), "little")
            samples = (os.fstat(file.fileno()).st_size - HEAD) // 2
            start = int(share * max(samples - length, 0))
            file.seek(HEAD + 2 * start)
            piece = np.frombuffer(file.read(2 * length), np.int16)
        return piece.astype(np.float32) / 32768, bandwidth

    def file(self, path: Path) -> Path:
        """The decoded recording, made where it is not there yet."""
        if path in self.failed:
            return self._silence()
        try:
            return self._cached(path)
        except audio.AudioError as error:
            self.failed[path] = str(error)
        except OSError as error:
            if error.filename is None or Path(error.filename) != path:
                raise  # it is the cache that cannot be used
            self.failed[path] = f"{(error.strerror or 'unknown error').lower()}."
        console.say(f"{path} counts as silence: {self.failed[path]}")
        return self._silence()

    def _cached(self, path: Path) -> Path:
        stat = path.stat()
        identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        digest = hashlib.sha1(identity.encode(errors="surrogateescape")).hexdigest()
        cached = self.folder / f"{digest}.s16"
        # Earlier programs kept a failure, as a file without samples
        if not cached.exists() or cached.stat().st_size <= HEAD:
            with replacing(cached) as temporary:
                _decode(path, temporary)
        return cached

    def _silence(self) -> Path:
        """A cached file without samples, for all that could not be read."""
        path = self.folder / "silence.s16"
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes((SAMPLE_RATE // 2).to_bytes(HEAD, "little"))
        return path

    def report(self) -> None:
        """Say how many recordings could not be read, and which."""
        if not self.failed:
            return
        names = [str(path) for path in self.failed]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        console.say(
            f"Not read and taken for silence, to be tried again by the next run: {len(names)} of "
            f"the recordings, {', '.join(names[:NAMED])}{more}."
        )


def _decode(path: Path, target: Path) -> None:
    """A recording of any length -> its bandwidth and its mono samples at 48 kHz in a file.

    Raises AudioError if it cannot be read.
    """
    resampler = audio.Resampler(audio.info(path).sample_rate, SAMPLE_RATE, 1)
    downmix = downmix_of(path)
    nothing = np.zeros((1, 0), np.float32)
    with open(target, "wb") as file:
        file.write(bytes(HEAD))
        for block in itertools.chain(audio.blocks(path, notify=console.say), [None]):
            if block is None:
                mono = resampler.push(nothing, last=True)
            else:
                mono = resampler.push(downmix(block))
            file.write((mono * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
    if target.stat().st_size == HEAD:
        raise audio.AudioError(
            f"{path.name} contains no sound (zero samples): choose another file."
        )
    with open(target, "r+b") as file:
        samples = np.memmap(target, "<i2", "r", offset=HEAD)
        file.write(bandwidth_hz(samples).to_bytes(HEAD, "little"))


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
