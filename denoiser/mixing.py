"""What becomes of a recording and its estimate: any strength, what was removed, one file for both.

The model runs once, at full strength; all this is done with its result, in pieces, so that memory
does not grow with the length. Waves are (C, n) float32. Every function raises AudioError in one
sentence.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from denoiser import audio, levels
from denoiser.audio import tags
from denoiser.audio.encode import FULLEST
from denoiser.audio.layouts import conversion, convert
from denoiser.offline import mixed

PREVIEW_RATE = 48000  # Hz, at most: what browsers play
PREVIEW_PEAK = 0.9  # of what is turned down: resampling may add to it
OUTLINE_SECONDS = 0.01
OUTLINE_COLUMNS = 600


def remix(
    source,
    estimate,
    target,
    *,
    strength: float = 1.0,
    removed: bool = False,
    gain_db: float = 0.0,
    notify: audio.Notify | None = None,
) -> None:
    """Write a mixture of a recording and its full-strength estimate, or what that leaves out.

    `source` is any audio or video file, `estimate` what `denoise_file` made of it as 32 bit float,
    `target` a .wav (in the bit depth of the source), .flac or .mp3. strength 0 is the source, 1 the
    estimate: sample for sample what `denoise` gives. Nothing is clipped: see `audio.write_fitting`,
    which `notify` belongs to.
    """
    gain = np.float32(10 ** (gain_db / 20))

    def mixtures() -> Iterator[np.ndarray]:
        for noisy, clean in pairs(source, estimate):
            mixture = mixed(noisy, clean, strength)
            yield gain * (noisy - mixture if removed else mixture)

    subtype, carried = audio.info(source).subtype, tags.read(source)
    if notify and (lost := carried.lost(Path(target).suffix.lower())):
        notify(lost)
    audio.write_fitting(mixtures, source, target, subtype, notify, carried)


def preview(source, estimate, target, *, peak: float) -> dict[str, list[float]]:
    """Both in one 16 bit .flac, side by side as channels, so that a player cannot lose their sync.

    Mono gives two channels: noisy, estimate; more channels four: noisy left and right, estimate
    left and right (surround sound is mixed to stereo). `peak` is the largest magnitude in either:
    what goes above full scale is turned down, both sides alike. Returns the outlines of the two
    waveforms, "before" and "after": the peaks of at most OUTLINE_COLUMNS equal stretches.
    """
    about, outline = audio.info(source), Outline(audio.info(source).sample_rate)
    layout = "mono" if about.channels == 1 else "stereo"
    sides = 1 if about.channels == 1 else 2
    largest = peak * np.abs(conversion(about.layout, layout)).sum(axis=1).max()
    gain = np.float32(PREVIEW_PEAK / largest if largest > 1 else 1)
    rate = min(about.sample_rate, PREVIEW_RATE)
    resampler = audio.Resampler(about.sample_rate, rate, 2 * sides)
    with audio.Writer(target, rate, 2 * sides) as writer:
        for pair in pairs(source, estimate):
            outline.add(*pair)
            both = [gain * convert(wave, about.layout, layout) for wave in pair]
            writer.write(resampler.push(np.concatenate(both)))
        writer.write(resampler.push(np.zeros((2 * sides, 0), np.float32), last=True))
    return outline.columns()


class Outline:
    """The peaks of a recording and its estimate, gathered in pieces (C, n)."""

    def __init__(self, sample_rate: int):
        self.size = max(1, round(OUTLINE_SECONDS * sample_rate))
        self.peaks: list[np.ndarray] = []

    def add(self, noisy: np.ndarray, clean: np.ndarray) -> None:
        starts = np.arange(0, noisy.shape[1], self.size)
        loudest = [np.abs(wave).max(axis=0) for wave in (noisy, clean)]
        self.peaks.append(np.maximum.reduceat(loudest, starts, axis=1))

    def columns(self) -> dict[str, list[float]]:
        peaks = np.concatenate(self.peaks, axis=1)
        starts = np.linspace(0, peaks.shape[1], OUTLINE_COLUMNS, endpoint=False)
        outlines = np.maximum.reduceat(peaks, np.unique(starts.astype(int)), axis=1)
        return dict(zip(("before", "after"), outlines.round(4).tolist(), strict=True))


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
    """All channels as one (see `layouts.Downmix`), in the bit depth of the source.

    `notify` hears of damage, and where channels would have cancelled each other out.
    """
    about, downmix = audio.info(source), levels.downmix_of(source)
    if downmix.remark and notify:
        notify(f"{Path(source).name}: {downmix.remark}")
    with audio.Writer(
        target, about.sample_rate, 1, about.subtype, notify=notify, tags=tags.read(source)
    ) as writer:
        for wave in audio.blocks(source, notify=notify):
            writer.write(downmix(wave))


def add_noise(speech, noise, target, *, snr_db: float) -> None:
    """A clean recording with a noise under it, repeated as often as it must be.

    snr_db compares the active parts of both (see `levels`). A mixture that would be clipped is
    turned down as a whole.
    """
    about, downmix = audio.info(speech), levels.downmix_of(noise)
    noise_rate = audio.info(noise).sample_rate
    voice = levels.survey(audio.blocks(speech), about.sample_rate)
    disturbance = levels.survey(map(downmix, audio.blocks(noise)), noise_rate)
    if not voice.power or not disturbance.power:
        quiet = noise if voice.power else speech
        raise audio.AudioError(f"{Path(quiet).name} holds only silence: choose another.")
    gain = np.float32(np.sqrt(voice.power / disturbance.power) * 10 ** (-snr_db / 20))

    def noises() -> Iterator[np.ndarray]:
        """The noise as one channel without its constant part, (1, n), again and again."""
        resampler = audio.Resampler(noise_rate, about.sample_rate, 1)
        while True:
            for wave in audio.blocks(noise):
                yield resampler.push(downmix(wave) - disturbance.offset)

    def mixture() -> Iterator[np.ndarray]:
        endless, held = noises(), np.zeros((1, 0), np.float32)
        for wave in audio.blocks(speech):
            while held.shape[1] < wave.shape[1]:
                held = np.concatenate((held, next(endless)), axis=1)
            yield wave + gain * held[:, : wave.shape[1]]
            held = held[:, wave.shape[1] :]

    peak = max(float(np.abs(wave).max()) for wave in mixture())
    fits = np.float32(1.0 if peak <= max(1.0, voice.peak) else FULLEST / peak)
    with audio.Writer(
        target, about.sample_rate, about.channels, about.subtype, layout=about.layout
    ) as writer:
        for wave in mixture():
            writer.write(fits * wave)
