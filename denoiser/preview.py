"""Files for an audio player: a recording and its enhanced version in one file, and their outline.

The two are channels of one file, so that a player cannot lose their synchronisation. Up to
LOSSLESS_SECONDS it is FLAC; beyond that Opus in WebM at 64 kbit/s per channel, so that 45 minutes
take 86 MB instead of 350 MB.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
import numpy as np

from denoiser import audio
from denoiser.audio.layouts import conversion, convert
from denoiser.files import StrPath, beside
from denoiser.mixing import Listener

MOST_RATE = 48000  # Hz: browsers play it, and Opus uses it
LOSSLESS_SECONDS = 300.0
FULLEST = 0.9  # peak after attenuation: resampling may raise it
BIT_RATE = 64_000  # per channel and second, for Opus
OUTLINE_SECONDS = 0.01
OUTLINE_COLUMNS = 2400


def name(seconds: float) -> str:
    """The file name of the preview for a recording of that length."""
    return "preview.flac" if seconds <= LOSSLESS_SECONDS else "preview.webm"


def sides(seconds: float, channels: int) -> int:
    """How many channels each of the two has in the preview: 1 or 2.

    Opus stores two stereo pairs, each coded separately, even for mono.
    """
    return 1 if channels == 1 and seconds <= LOSSLESS_SECONDS else 2


class Preview(Listener):
    """A listener that writes a .flac or .webm: the noisy channels, then the enhanced ones.

    Surround sound is mixed to stereo. `peak` is the largest magnitude in either recording; above
    full scale, both are attenuated by the same factor.
    """

    def __init__(self, source: StrPath, target: StrPath, *, peak: float):
        about, lossless = audio.info(source), Path(target).suffix == ".flac"
        self.layout = about.layout
        self.target_layout = "mono" if lossless and about.channels == 1 else "stereo"
        self.channels = 2 if self.target_layout == "mono" else 4
        largest = peak * np.abs(conversion(self.layout, self.target_layout)).sum(axis=1).max()
        self.gain = np.float32(FULLEST / largest if largest > 1 else 1)
        rate = min(about.sample_rate, MOST_RATE) if lossless else MOST_RATE
        self.resampler = audio.Resampler(about.sample_rate, rate, self.channels)
        self.writer: audio.Writer | _Opus = (
            audio.Writer(target, rate, self.channels) if lossless else _Opus(target)
        )

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        both = [convert(wave, self.layout, self.target_layout) for wave in (noisy, enhanced)]
        self.writer.write(self.resampler.push(self.gain * np.concatenate(both)))

    def finish(self) -> None:
        nothing = np.zeros((self.channels, 0), np.float32)
        self.writer.write(self.resampler.push(nothing, last=True))
        self.writer.close()

    def drop(self) -> None:
        self.writer.drop()


class _Opus:
    """Two stereo pairs as Opus in WebM; a temporary file replaces the target when complete."""

    def __init__(self, path: StrPath):
        self.path = Path(path)
        self.temporary = beside(self.path)
        self.container = av.open(f"file:{self.temporary}", "w", "webm")
        self.stream = self.container.add_stream(
            "libopus", rate=MOST_RATE, format="flt", layout="quad", options={"mapping_family": "1"}
        )
        self.stream.bit_rate = 4 * BIT_RATE

    def write(self, wave: np.ndarray) -> None:
        """(4, n) float32."""
        for start in range(0, wave.shape[1], MOST_RATE):
            piece = np.ascontiguousarray(wave[:, start : start + MOST_RATE].T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(piece, "flt", "quad")
            frame.sample_rate = MOST_RATE
            self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()
        self.temporary.replace(self.path)

    def drop(self) -> None:
        with suppress(av.FFmpegError, OSError):
            self.container.close()
        self.temporary.unlink(missing_ok=True)


class Outline(Listener):
    """A listener that collects the peaks of a recording and its enhanced version."""

    def __init__(self, sample_rate: int):
        self.size = max(1, round(OUTLINE_SECONDS * sample_rate))
        self.peaks: list[np.ndarray] = []

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        starts = np.arange(0, noisy.shape[1], self.size)
        loudest = [np.abs(wave).max(axis=0) for wave in (noisy, enhanced)]
        self.peaks.append(np.maximum.reduceat(loudest, starts, axis=1))

    def columns(self) -> dict[str, list[float]]:
        """The peaks "before" and "after" in at most OUTLINE_COLUMNS equal intervals."""
        peaks = np.concatenate(self.peaks, axis=1)
        starts = np.linspace(0, peaks.shape[1], OUTLINE_COLUMNS, endpoint=False)
        outlines = np.maximum.reduceat(peaks, np.unique(starts.astype(int)), axis=1)
        return {
            side: [round(float(peak), 4) for peak in outline]
            for side, outline in zip(("before", "after"), outlines, strict=True)
        }
