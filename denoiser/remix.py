"""What becomes of a recording and its estimate: any strength, what was removed, one file for both.

The model runs once, at full strength; all this is done with its result, in pieces, so that memory
does not grow with the length. Waves are (C, n) float32.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from denoiser import audio
from denoiser.offline import mixed

PREVIEW_RATE = 48000  # Hz, at most: what browsers play


def remix(source, estimate, target, *, strength: float = 1.0, removed: bool = False) -> None:
    """Write a mixture of a recording and its full-strength estimate, or what that leaves out.

    `source` is any audio or video file, `estimate` what `denoise_file` made of it as 32 bit float,
    `target` a .wav (in the bit depth of the source), .flac or .mp3. strength 0 is the source, 1 the
    estimate: sample for sample what `denoise` gives. Raises AudioError in one sentence.
    """
    about = audio.info(source)
    with audio.Writer(target, about.sample_rate, about.channels, about.subtype) as writer:
        for noisy, clean in pairs(source, estimate):
            mixture = mixed(noisy, clean, strength)
            writer.write(noisy - mixture if removed else mixture)


def preview(source, estimate, target) -> None:
    """Both in one 16 bit .flac, side by side as channels, so that a player cannot lose their sync.

    Mono gives two channels: noisy, estimate; more channels four: noisy left and right, estimate
    left and right (beyond stereo, all channels in both).
    """
    about = audio.info(source)
    sides = 1 if about.channels == 1 else 2
    rate = min(about.sample_rate, PREVIEW_RATE)
    resampler = audio.Resampler(about.sample_rate, rate, 2 * sides)
    with audio.Writer(target, rate, 2 * sides) as writer:
        for noisy, clean in pairs(source, estimate):
            both = [wave if len(wave) <= 2 else _stereo(wave) for wave in (noisy, clean)]
            writer.write(resampler.push(np.concatenate(both)))
        writer.write(resampler.push(np.zeros((2 * sides, 0), np.float32), last=True))


def pairs(source, estimate) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Equally long pieces of two files of the same length, rate and channels, in step."""
    others, held = audio.blocks(estimate), None
    for block in audio.blocks(source):
        while held is None or held.shape[1] < block.shape[1]:
            more = next(others, None)
            if more is None:
                raise audio.AudioError(f"{Path(source).name} has changed: denoise it again.")
            held = more if held is None else np.concatenate((held, more), axis=1)
        yield block, held[:, : block.shape[1]]
        held = held[:, block.shape[1] :]


def _stereo(wave: np.ndarray) -> np.ndarray:
    return np.repeat(wave.mean(axis=0, keepdims=True), 2, axis=0)
