"""Whole recordings through a model: any rate, channels and length in, the same out.

A recording is levelled, resampled to the model's rate and enhanced in chunks. Each chunk carries on
exactly where the one before ended and also hears as much of what follows as the model asks for, so
that its backward half knows what comes; neighbouring chunks are cross-faded by the overlapping
windows of the synthesis. Channels follow one another, so that eight need hardly more memory than
one. Every level, length, rate and channel comes back as it was.
"""

import contextlib
import copy
import ctypes
import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from denoiser import audio, levels
from denoiser.audio import Notify, tags
from denoiser.files import StrPath
from denoiser.models import Model, State

CHUNK_SECONDS = 20.0
LEAST_SECONDS = 1.0  # of a chunk, where a GPU has little memory left
LEVEL_DBFS = -26.0  # of the active parts, before the model: the middle of what it was trained on
BEYOND_SPEECH = 10.0  # 46 dB above that level


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
    _check_strength(strength)
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
    _check_strength(strength)
    carried, ending = tags.read(source), Path(target).suffix.lower()
    if lost := carried.lost(ending):
        notify(lost)
    if ending == ".wav":
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
) -> Iterator[float]:
    """`denoise_file` for a WAV."""
    about, done = audio.info(source), 0
    before = levels.survey(audio.blocks(source, notify=notify), about.sample_rate)
    with audio.Writer(
        target,
        about.sample_rate,
        about.channels,
        subtype or about.subtype,
        layout=about.layout,
        notify=notify,
        tags=carried,
    ) as writer:
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
    waiting: list[np.ndarray] = []  # noisy samples that are not enhanced yet
    rate = model.config.sample_rate
    gain = np.float32(_gain(before))

    def remembered() -> Iterator[np.ndarray]:
        for block in blocks:
            waiting.append(block)
            yield np.clip(gain * (block - before.offset), -BEYOND_SPEECH, BEYOND_SPEECH)

    levelled = _resampled(remembered(), sample_rate, rate)
    for wave in _resampled(_enhanced(model, levelled, notify), rate, sample_rate):
        noisy = np.concatenate(waiting, axis=1)
        count = min(wave.shape[1], noisy.shape[1])  # resampling twice may add a sample
        waiting[:] = [noisy[:, count:]]
        yield mixed(noisy[:, :count], wave[:, :count] / gain, strength)
    rest = sum(block.shape[1] for block in waiting)
    if rest:  # or drop one at the very end
        yield np.zeros((waiting[0].shape[0], rest), np.float32)


def mixed(noisy: np.ndarray, enhanced: np.ndarray, strength: float) -> np.ndarray:
    """What strength means: noisy + strength * (enhanced - noisy), exact at 0 and 1."""
    if strength in (0, 1):
        return enhanced if strength else noisy
    return noisy + np.float32(strength) * (enhanced - noisy)


def _resampled(waves: Iterable[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Consecutive waves at another rate."""
    pieces = iter(waves)
    before = next(pieces, None)
    if before is None:
        return
    resampler = audio.Resampler(from_rate, to_rate, before.shape[0])
    for wave in pieces:
        yield resampler.push(before)
        before = wave
    yield resampler.push(before, last=True)


def _enhanced(model: Model, waves: Iterable[np.ndarray], notify: Notify) -> Iterator[np.ndarray]:
    """Consecutive waves (C, n) at the model's rate, enhanced in chunks with look-ahead."""
    chunks = _Chunks(model, notify)
    for wave in waves:
        yield from chunks.push(wave)
    yield from chunks.flush()


class _Chunks:
    """A model that enhances one recording in chunks, each with what follows as its look-ahead.

    Every channel has a state of its own. When a GPU has no memory left, chunks get shorter, and in
    the end a copy of the model goes on on the CPU: the model itself is shared and stays.
    """

    def __init__(self, model: Model, notify: Notify) -> None:
        self.model, self.notify, self.moved = model, notify, False
        self.device = next(model.parameters()).device
        self.hop, rate = model.config.hop_length, model.config.sample_rate
        samples = (CHUNK_SECONDS * rate, model.lookahead, LEAST_SECONDS * rate)
        self.length, self.ahead, self.least = (
            round(count / self.hop) * self.hop for count in samples
        )
        self.held = torch.zeros(0, 0)  # (C, n): what came in and is not enhanced yet
        self.states: list[State] = []  # one a channel
        self.skip = model.delay  # samples of the output that belong to nothing
        self.due = 0  # samples that came in and did not go out

    def push(self, wave: np.ndarray) -> Iterator[np.ndarray]:
        """Takes in (C, n); gives every chunk that is complete with its look-ahead."""
        piece = torch.from_numpy(np.ascontiguousarray(wave)).to(self.device)
        if not self.states:
            self.held = piece[:, :0]
            self.states = [self.model.initial_state(row[None]) for row in piece]
        self.held, self.due = torch.cat((self.held, piece), 1), self.due + piece.shape[1]
        while self._complete():
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """The rest: silence after it brings out what the model holds back."""
        padding = -self.held.shape[1] % self.hop + self.model.delay
        self.held = torch.nn.functional.pad(self.held, (0, padding))
        while self.due:
            yield self._next()

    def _complete(self) -> bool:
        return self.held.shape[1] >= self.length + self.ahead

    def _next(self) -> np.ndarray:
        """The next chunk, enhanced; without look-ahead where nothing follows."""
        while True:
            complete = self._complete()
            piece = self.held[:, : self.length + self.ahead] if complete else self.held
            lookahead = self.ahead // self.hop if complete else 0
            try:
                enhanced, self.states = _run(self.model, piece, self.states, lookahead)
                break
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if not self._shortened() and not self._moved_to_cpu():
                    raise
        enhanced = enhanced[:, self.skip : self.skip + self.due]
        self.held, self.skip = self.held[:, self.length :], 0
        self.due -= enhanced.shape[1]
        return enhanced

    def _shortened(self) -> bool:
        """Halves the chunks; False where they are as short as they may be."""
        if self.length <= self.least:
            return False
        self.length = max(self.least, self.length // 2 // self.hop * self.hop)
        return True

    def _moved_to_cpu(self) -> bool:
        """Goes on on the CPU; False if that is where it is."""
        if self.moved:
            return False
        self.notify("The GPU has too little memory left: the CPU does the rest.")
        self.moved, self.device = True, torch.device("cpu")
        self.model = copy.deepcopy(self.model).to(self.device)
        self.held = self.held.to(self.device)
        self.states = [tuple(tensor.to(self.device) for tensor in s) for s in self.states]
        return True


def _run(
    model: Model, chunk: torch.Tensor, states: list[State], lookahead: int
) -> tuple[np.ndarray, list[State]]:
    """One chunk (C, n) through the model, channel by channel, each with a state of its own."""
    with torch.inference_mode():
        outcomes = [
            model.run(row[None], state, lookahead) for row, state in zip(chunk, states, strict=True)
        ]
    return torch.cat([row for row, _ in outcomes]).cpu().numpy(), [state for _, state in outcomes]


def return_free_memory() -> None:
    """Give the kernel what lies free between live blocks of glibc's heap: for hours it adds up."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength goes from 0 (the input) to 1 (fully enhanced), got {strength}.")
