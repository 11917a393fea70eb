"""Denoising whole recordings: any rate, number of channels and length, all kept in the output.

A recording is brought to a standard level, resampled to the model's rate and enhanced in chunks.
The model's state carries over from chunk to chunk, and each chunk comes with as much of the
following sound as the model needs for its backward recurrences; the overlapping synthesis windows
cross-fade neighbouring chunks. Channels are processed one after another, so that eight need hardly
more memory than one. The output has the input's level, length, rate and channels.
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
    """Noisy wave (C, T), float32 -> enhanced wave (C, T), float32, at the same rate and level.

    `strength` 1 gives the enhanced wave, 0 the input bit for bit, values between them a mixture of
    both. Raises ValueError unless the wave is finite float32 (channels, samples) with at least one
    sample, at 4 to 768 kHz.
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
    """Denoises an audio or video file into an audio file; yields the fraction done so far.

    Memory use does not depend on the length. The target keeps rate, channels and length, and the
    bit depth if its format supports it and `subtype` names no other. It appears only when complete,
    and not at all if the generator is closed early. `notify` receives a sentence about damage in
    the source and about anything the target cannot keep. Raises AudioError.
    """
    check_strength(strength)
    carried = tags.carried(source, target, notify)
    if Path(target).suffix.lower() == ".wav":
        yield from _denoise_wav(model, source, target, strength, subtype, notify, carried)
    else:  # its peak is known only at the end
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
    """The factor that brings the active parts of waves (C, n) to LEVEL_DBFS; 1 for silence."""
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
    """Consecutive waves (C, n) -> consecutive denoised waves of the same total length.

    `before` is the survey of the whole input. It determines the gain in front of the model and the
    constant offset to subtract; isolated extreme samples are limited.
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
    """A wave (C, n) in pieces of `size` samples, so that no processing step holds all of it."""
    for start in range(0, wave.shape[1], size):
        yield wave[:, start : start + size]


def return_free_memory() -> None:
    """Returns freed memory from glibc's heap to the kernel; in a server it would add up."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
