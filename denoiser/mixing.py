"""A recording combined with its enhanced version: any strength, or the removed part alone.

The model runs once, at full strength; everything here is made from that result, in pieces, so that
memory use does not depend on the length, and in one pass for all listeners: see `observe`. Waves
are (C, n) float32. Every function raises AudioError with one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser import audio, levels
from denoiser.audio import tags
from denoiser.audio.encode import FULLEST
from denoiser.files import StrPath
from denoiser.stream import mixed

if TYPE_CHECKING:  # which imports this module
    from denoiser.loudness import Limiter

Source = StrPath | Iterable[np.ndarray]  # a file, or consecutive waves (C, n)
PATH = (str, os.PathLike)


class Listener:
    """Receives a recording and its enhanced version in step: see `observe`."""

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        """Processes the next pieces of both, (C, n) float32."""

    def finish(self) -> None:
        """Called once after the last pieces."""

    def drop(self) -> None:
        """Called instead of `finish` if the pass fails or is cancelled."""


def observe(source: Source, enhanced: Source, *listeners: Listener) -> Iterator[int]:
    """One pass over a recording and its enhanced version; yields the samples done so far.

    Each of the two is the path of a file or an iterable of waves (C, n). Every listener receives
    all pieces. Closing the generator cancels the pass: `drop` is called on every listener, and
    incomplete files are deleted. Raises AudioError if the two differ in length, rate or channels.
    """
    done = 0
    try:
        for noisy, clean in pairs(source, enhanced):
            for listener in listeners:
                listener.add(noisy, clean)
            done += noisy.shape[1]
            yield done
        for listener in listeners:
            listener.finish()
    except BaseException:  # also when the generator is closed
        for listener in listeners:
            listener.drop()
        raise


def remix(
    source: StrPath,
    enhanced: StrPath,
    target: StrPath,
    *,
    strength: float = 1.0,
    removed: bool = False,
    notify: audio.Notify | None = None,
) -> None:
    """Writes a mixture of a recording and its full-strength enhanced version, or the removed part.

    `source` is any audio or video file, `enhanced` the 32-bit float file that `denoise_file` made
    of it, `target` a .wav (in the bit depth of the source), .flac or .mp3. `strength` 0 gives the
    source, 1 the enhanced file, sample for sample as `denoise` does. Nothing is clipped: see
    `audio.fitting_gain`, which also explains `notify`. Raises AudioError.
    """
    gain = 1.0
    if Path(target).suffix.lower() != ".wav":
        shares = (_share(*pair, strength, removed) for pair in pairs(source, enhanced))
        peak = max(float(np.abs(wave).max(initial=0)) for wave in shares)
        gain = audio.fitting_gain(target, peak, notify)
    file = File(source, target, strength=strength, removed=removed, gain=gain, notify=notify)
    for _ in observe(source, enhanced, file):
        pass


class File(Listener):
    """A listener that writes a mixture, or the removed part, to a file.

    The file has the rate, channels and tags of the source. `strength` and `removed` are those of
    `remix`; `subtype` is the bit depth (default: that of the source); `gain` is a factor for the
    whole file. Samples above full scale turn a WAV into 32-bit float; for .flac and .mp3 the gain
    must prevent them. A `limiter` (see `loudness`) comes last.
    """

    def __init__(
        self,
        source: StrPath,
        target: StrPath,
        *,
        strength: float = 1.0,
        removed: bool = False,
        gain: float = 1.0,
        subtype: str | None = None,
        limiter: Limiter | None = None,
        notify: audio.Notify | None = None,
    ):
        self.strength, self.removed, self.gain = strength, removed, np.float32(gain)
        self.limiter = limiter
        carried = tags.carried(source, target, notify)
        self.writer = audio.Writer.like(
            audio.info(source), target, subtype, notify=notify, tags=carried
        )

    def add(self, noisy: np.ndarray, enhanced: np.ndarray) -> None:
        wave = self.gain * _share(noisy, enhanced, self.strength, self.removed)
        self.writer.write(self.limiter.push(wave) if self.limiter else wave)

    def finish(self) -> None:
        if self.limiter:
            self.writer.write(self.limiter.flush())
        self.writer.close()

    def drop(self) -> None:
        self.writer.drop()


def _share(noisy: np.ndarray, enhanced: np.ndarray, strength: float, removed: bool) -> np.ndarray:
    """The mixture of two waves (C, n) at a strength, or what it removes from the noisy one."""
    mixture = mixed(noisy, enhanced, strength)
    return noisy - mixture if removed else mixture


def pairs(source: Source, enhanced: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of equal length (C, n) of two recordings, in step.

    Each of the two is the path of a file or an iterable of waves (C, n). Raises AudioError if they
    differ in length, rate or channels.
    """
    names = [
        _name(each, usual)
        for each, usual in ((source, "the recording"), (enhanced, "the denoised version"))
    ]
    if isinstance(source, PATH) and isinstance(enhanced, PATH):
        shapes = [
            (about.sample_rate, about.channels) for about in map(audio.info, (source, enhanced))
        ]
        if shapes[0] != shapes[1]:
            raise audio.AudioError(f"{names[0]} and {names[1]} differ in rate or channels.")
    others = iter(_waves(enhanced))
    held: np.ndarray | None = None
    for block in _waves(source):
        while held is None or held.shape[1] < block.shape[1]:
            more = next(others, None)
            if more is None:
                raise audio.AudioError(
                    f"{names[0]} is longer than its denoised version: denoise it again."
                )
            held = more if held is None else np.concatenate((held, more), axis=1)
        yield block, held[:, : block.shape[1]]
        held = held[:, block.shape[1] :]
    if any(rest.shape[1] for rest in (held, next(others, None)) if rest is not None):
        raise audio.AudioError(f"{names[1]} is longer than {names[0]}: denoise the original again.")


def _name(source: Source, usual: str) -> str:
    return Path(source).name if isinstance(source, PATH) else usual


def _waves(source: Source) -> Iterable[np.ndarray]:
    return audio.blocks(source) if isinstance(source, PATH) else source


def to_mono(source: StrPath, target: StrPath, notify: audio.Notify | None = None) -> None:
    """Mixes all channels to one (see `layouts.Downmix`), in the bit depth of the source.

    `notify` receives a sentence about damage, and one if the channels would have cancelled each
    other. Raises AudioError.
    """
    about, downmix = audio.info(source), levels.downmix_of(source)
    if downmix.remark and notify:
        notify(f"{Path(source).name}: {downmix.remark}")
    with audio.Writer(
        target, about.sample_rate, 1, about.subtype, notify=notify, tags=tags.read(source)
    ) as writer:
        for wave in audio.blocks(source, notify=notify):
            writer.write(downmix(wave))


def add_noise(speech: StrPath, noise: StrPath, target: StrPath, *, snr_db: float) -> None:
    """Mixes a noise into a clean recording, repeated as often as necessary.

    `snr_db` is the ratio of the active parts of both (see `levels`). A mixture that would clip is
    attenuated as a whole. Raises AudioError, for silence too.
    """
    about, downmix = audio.info(speech), levels.downmix_of(noise)
    noise_rate = audio.info(noise).sample_rate
    voice = levels.survey(audio.blocks(speech), about.sample_rate)
    disturbance = levels.survey(map(downmix, audio.blocks(noise)), noise_rate)
    if not voice.power or not disturbance.power:
        quiet = noise if voice.power else speech
        raise audio.AudioError(f"{Path(quiet).name} contains only silence: choose another file.")
    gain = np.float32(np.sqrt(voice.power / disturbance.power) * 10 ** (-snr_db / 20))

    def noises() -> Iterator[np.ndarray]:
        """Yields the noise as one channel (1, n) without its constant offset, endlessly."""
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
    with audio.Writer.like(about, target) as writer:
        for wave in mixture():
            writer.write(fits * wave)
