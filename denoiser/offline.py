"""Whole recordings through a model: any rate, channels and length in, the same out.

A recording is levelled, resampled to the model's rate and enhanced in chunks. Each chunk carries on
exactly where the one before ended and also hears as much of what follows as the model asks for, so
that its backward half knows what comes; neighbouring chunks are cross-faded by the overlapping
windows of the synthesis. Channels follow one another, so that eight need hardly more memory than
one. Every level, length, rate and channel comes back as it was.
"""

import contextlib
import ctypes
import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np

from denoiser import audio, levels
from denoiser.audio import Notify, tags
from denoiser.chunks import Chunks
from denoiser.files import StrPath
from denoiser.models import Model
from denoiser.stream import LEVEL_DBFS, Constant, Pipeline, check_strength

CHUNK_SECONDS = 20.0


def denoise(
    model: Model, wave: np.ndarray, sample_rate: int, *, strength: float = 1.0
) -> np.ndarray:
    """Noisy wave (C, T), float32 -> the same shape without the noise.

    strength 1 is the enhanced wave, 0 the input bit for bit, between them a mixture of both.
    Raises ValueError for anything but finite float32 (channels, samples) of at least one sample, at
    4 to 768 kHz.
    """
    if not isinstance(wave, np.ndarray) or wave.ndim != 2 or wave.dtype != np.float32:
        got = f"{wave.dtype} {wave.shape}" if isinstance(wave, np.ndarray) else type(wave).__name__
        raise ValueError(f"denoise() takes a float32 array (channels, samples), got {got}.")
    audio.check_wave(wave)
    if wave.size == 0 or not np.isfinite(wave).all():
        raise ValueError("denoise() needs at least one sample, and no NaN or infinity.")
    if not audio.LOWEST_RATE <= sample_rate <= audio.HIGHEST_RATE:
        raise ValueError(
            f"denoise() takes {audio.LOWEST_RATE} to {audio.HIGHEST_RATE} Hz, got {sample_rate}."
        )
    check_strength(strength)
    before = levels.survey([wave], sample_rate)
    enhanced = denoise_blocks(model, [wave], sample_rate, strength=strength, before=before)
    return np.concatenate(list(enhanced), axis=1)


def denoise_file(
    model: Model,
    source: StrPath,
    target: StrPath,
    *,
    strength: float = 1.0,
    subtype: str | None = None,
    notify: Notify = warnings.warn,
) -> Generator[float, None, None]:
    """Denoise an audio or video file into an audio file, yielding the share done after each chunk.

    Memory does not grow with the length. The target keeps rate, channels, length and, unless
    `subtype` names another and where its format can, bit depth; it appears when all is done, and
    not at all if the generator is closed before. Raises AudioError in one sentence.
    """
    check_strength(strength)
    carried = tags.carried(source, target, notify)
    if Path(target).suffix.lower() == ".wav":
        yield from _denoise_wav(model, source, target, strength, subtype, notify, carried)
    else:  # whose loudest sample is known at the end
        with tempfile.TemporaryDirectory(dir=Path(target).parent, prefix=".") as folder:
            whole = Path(folder, "whole.wav")
            yield from _denoise_wav(model, source, whole, strength, "FLOAT", notify, tags.Tags())
            subtype = subtype or audio.info(source).subtype
            audio.write_fitting(
                lambda: audio.blocks(whole), whole, target, subtype, notify, carried
            )


def _denoise_wav(
    model: Model,
    source: StrPath,
    target: StrPath,
    strength: float,
    subtype: str | None,
    notify: Notify,
    carried: tags.Tags,
) -> Generator[float, None, None]:
    """`denoise_file` for a WAV."""
    about, done = audio.info(source), 0
    before = levels.survey(audio.blocks(source, notify=notify), about.sample_rate)
    with audio.Writer.like(about, target, subtype, notify=notify, tags=carried) as writer:
        denoised = denoise_blocks(
            model,
            audio.blocks(source),
            about.sample_rate,
            strength=strength,
            before=before,
            notify=notify,
        )
        for wave in denoised:
            writer.write(wave)
            done += wave.shape[1]
            yield min(done / before.samples, 1.0)


def level_gain(blocks: Iterable[np.ndarray], sample_rate: int) -> float:
    """Factor that brings the active parts of waves (C, n) to LEVEL_DBFS; 1 for silence."""
    return _gain(levels.survey(blocks, sample_rate))


def _gain(before: levels.Survey) -> float:
    return float(10 ** (LEVEL_DBFS / 20) / np.sqrt(before.power)) if before.power else 1.0


def denoise_blocks(
    model: Model,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    *,
    strength: float,
    before: levels.Survey,
    notify: Notify = warnings.warn,
) -> Iterator[np.ndarray]:
    """Consecutive waves (C, n) -> consecutive denoised waves, in all as long as what came in.

    `before` is the survey of all that comes in. The model is given it at one level, without its
    constant part, which nobody hears, and without the absurd values of single broken samples.
    """
    if strength == 0:
        yield from blocks
        return
    leveller, pipeline = Constant(_gain(before), before.offset), None
    for block in blocks:
        pipeline = pipeline or Pipeline(
            Chunks(model, CHUNK_SECONDS, notify),
            audio.Resampler(sample_rate, model.config.sample_rate, len(block)),
            audio.Resampler(model.config.sample_rate, sample_rate, len(block)),
            leveller,
            strength,
        )
        for piece in _pieces(block, round(CHUNK_SECONDS * sample_rate)):
            if (ready := pipeline.push(piece)).shape[1]:
                yield ready
    if pipeline:
        yield pipeline.flush()


def _pieces(wave: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """A wave (C, n) in pieces of `size` samples, so that not all steps hold all of it."""
    for start in range(0, wave.shape[1], size):
        yield wave[:, start : start + size]


def return_free_memory() -> None:
    """Give the kernel what lies free between live blocks of glibc's heap: for hours it adds up."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
