"""Recordings of any kind, decoded once, read in pieces."""

import hashlib
import itertools
import os
import sys
import uuid
from pathlib import Path

import numpy as np

from denoiser import audio

SAMPLE_RATE = 48000


class Store:
    """Recordings decoded once to 48 kHz mono 16 bit in a folder, read from there in pieces.

    About 350 MB an hour of disk. Pieces are read, not mapped, so that memory stays flat however
    many files there are. A cached file begins with the recording's bandwidth in Hz (int32). A file
    that cannot be read is named once and then counts as a recording without samples.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, path: Path, share: float, length: int) -> tuple[np.ndarray, int]:
        """Up to `length` samples of `path` (float32), `share` of the way in, and its bandwidth."""
        with open(self._decoded(path), "rb") as file:
            bandwidth = int.from_bytes(file.read(4), "little")
            samples = (os.fstat(file.fileno()).st_size - 4) // 2
            start = int(share * max(samples - length, 0))
            file.seek(4 + 2 * start)
            piece = np.frombuffer(file.read(2 * length), np.int16)
        return piece.astype(np.float32) / 32768, bandwidth

    def _decoded(self, path: Path) -> Path:
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
    nothing = np.zeros((1, 0), np.float32)
    with open(target, "wb") as file:
        file.write(bytes(4))
        for block in itertools.chain(audio.blocks(path), [None]):
            if block is None:
                mono = resampler.push(nothing, last=True)
            else:
                mono = resampler.push(block.mean(0, keepdims=True))
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
