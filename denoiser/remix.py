"""What becomes of a recording and its estimate: any strength, what was removed, one file for both.

The model runs once, at full strength; all this is done with its result, in pieces, so that memory
does not grow with the length. Waves are (C, n) float32. Every function raises AudioError in one
sentence.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from denoiser import audio
from denoiser.offline import level_gain, mixed

PREVIEW_RATE = 48000  # Hz, at most: what browsers play
OUTLINE_SECONDS = 0.01
OUTLINE_COLUMNS = 600
FULLEST = 0.98  # peak of a mixture that would be clipped otherwise


def remix(
    source, estimate, target, *, strength: float = 1.0, removed: bool = False, gain_db: float = 0.0
) -> None:
    """Write a mixture of a recording and its full-strength estimate, or what that leaves out.

    `source` is any audio or video file, `estimate` what `denoise_file` made of it as 32 bit float,
    `target` a .wav (in the bit depth of the source), .flac or .mp3. strength 0 is the source, 1 the
    estimate: sample for sample what `denoise` gives.
    """
    about = audio.info(source)
    gain = np.float32(10 ** (gain_db / 20))
    with audio.Writer(target, about.sample_rate, about.channels, about.subtype) as writer:
        for noisy, clean in pairs(source, estimate):
            mixture = mixed(noisy, clean, strength)
            writer.write(gain * (noisy - mixture if removed else mixture))


def preview(source, estimate, target) -> dict[str, list[float]]:
    """Both in one 16 bit .flac, side by side as channels, so that a player cannot lose their sync.

    Mono gives two channels: noisy, estimate; more channels four: noisy left and right, estimate
    left and right (beyond stereo, all channels in both). Returns the outlines of the two waveforms,
    "before" and "after": the peaks of at most OUTLINE_COLUMNS equal stretches.
    """
    about = audio.info(source)
    sides = 1 if about.channels == 1 else 2
    rate = min(about.sample_rate, PREVIEW_RATE)
    resampler = audio.Resampler(about.sample_rate, rate, 2 * sides)
    size, peaks = max(1, round(OUTLINE_SECONDS * about.sample_rate)), []
    with audio.Writer(target, rate, 2 * sides) as writer:
        for noisy, clean in pairs(source, estimate):
            starts = np.arange(0, noisy.shape[1], size)
            loudest = [np.abs(wave).max(axis=0) for wave in (noisy, clean)]
            peaks.append(np.maximum.reduceat(loudest, starts, axis=1))
            both = [wave if len(wave) <= 2 else _stereo(wave) for wave in (noisy, clean)]
            writer.write(resampler.push(np.concatenate(both)))
        writer.write(resampler.push(np.zeros((2 * sides, 0), np.float32), last=True))
    peaks = np.concatenate(peaks, axis=1)
    starts = np.unique(np.linspace(0, peaks.shape[1], OUTLINE_COLUMNS, endpoint=False).astype(int))
    outlines = np.maximum.reduceat(peaks, starts, axis=1).round(4).tolist()
    return dict(zip(("before", "after"), outlines, strict=True))


def pairs(source, estimate) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Equally long pieces of two files of the same length, rate and channels, in step."""
    shapes = [(about.sample_rate, about.channels) for about in map(audio.info, (source, estimate))]
    if shapes[0] != shapes[1]:
        raise audio.AudioError(
            f"{Path(source).name} and {Path(estimate).name} differ in rate or channels."
        )
    others, held = audio.blocks(estimate), None
    for block in audio.blocks(source):
        while held is None or held.shape[1] < block.shape[1]:
            more = next(others, None)
            if more is None:
                raise audio.AudioError(
                    f"{Path(source).name} is longer than what was made of it: denoise it again."
                )
            held = more if held is None else np.concatenate((held, more), axis=1)
        yield block, held[:, : block.shape[1]]
        held = held[:, block.shape[1] :]
    if any(rest.shape[1] for rest in (held, next(others, None)) if rest is not None):
        raise audio.AudioError(
            f"{Path(estimate).name} is longer than {Path(source).name}: denoise that again."
        )


def to_mono(source, target, notify: audio.Notify | None = None) -> None:
    """The mean of all channels, in the bit depth of the source; `notify` hears of damage."""
    about = audio.info(source)
    with audio.Writer(target, about.sample_rate, 1, about.subtype) as writer:
        for wave in audio.blocks(source, notify=notify):
            writer.write(wave.mean(axis=0, keepdims=True))


def add_noise(speech, noise, target, *, snr_db: float) -> None:
    """A clean recording with a noise under it, repeated as often as it must be.

    snr_db compares the active parts of both (see `level_gain`). A mixture that would be clipped is
    turned down as a whole.
    """
    about = audio.info(speech)
    speech_gain, noise_gain = (
        level_gain(audio.blocks(path), audio.info(path).sample_rate) for path in (speech, noise)
    )
    if speech_gain == 1.0 or noise_gain == 1.0:
        quiet = speech if speech_gain == 1.0 else noise
        raise audio.AudioError(f"{Path(quiet).name} holds only silence: choose another.")
    gain = np.float32(noise_gain / speech_gain * 10 ** (-snr_db / 20))

    def mixture() -> Iterator[np.ndarray]:
        noises, held = _endless(noise, about.sample_rate), np.zeros((1, 0), np.float32)
        for wave in audio.blocks(speech):
            while held.shape[1] < wave.shape[1]:
                held = np.concatenate((held, next(noises)), axis=1)
            yield wave + gain * held[:, : wave.shape[1]]
            held = held[:, wave.shape[1] :]

    peak = max(float(np.abs(wave).max()) for wave in mixture())
    fits = np.float32(min(1.0, FULLEST / peak))
    with audio.Writer(target, about.sample_rate, about.channels, about.subtype) as writer:
        for wave in mixture():
            writer.write(fits * wave)


def _endless(path, sample_rate: int) -> Iterator[np.ndarray]:
    """The mean of a file's channels, (1, n) at another rate, again and again."""
    resampler = audio.Resampler(audio.info(path).sample_rate, sample_rate, 1)
    while True:
        for wave in audio.blocks(path):
            yield resampler.push(wave.mean(axis=0, keepdims=True))


def _stereo(wave: np.ndarray) -> np.ndarray:
    return np.repeat(wave.mean(axis=0, keepdims=True), 2, axis=0)
