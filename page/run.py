"""One recording through a model, and one pass over the result for all that is made of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

from denoiser.files import fitting
from page import results
from page.registry import ModelRegistry
from page.results import Result
from page.session import warn

LONG_SECONDS = 600  # from here on ZeroGPU's GPU is worth its start and the visitor's daily share


class Settings(NamedTuple):
    """What a visitor may choose before the run."""

    strength: float  # 0 to 1
    model: str
    device: str
    mono: bool
    loudness: str  # one of results.LOUDNESS


def run(
    models: ModelRegistry,
    original: str,
    folder: Path,
    settings: Settings,
    *,
    link: dict | None = None,
    shown: bool = False,
    zerogpu_run: Callable | None = None,
) -> Generator[float, None, Result]:
    """Yields the shares done and returns the result, whose files are in `folder`.

    `shown` asks for what the page plays and draws, too; `link` is the query of a link that leads
    here; `zerogpu_run` is `denoise_file` on ZeroGPU. Raises AudioError and CheckpointError.
    """
    from denoiser import audio, levels, mixing
    from denoiser.offline import denoise_blocks, return_free_memory

    start = time.monotonic()
    entry = models.get(settings.model, settings.device)
    if entry.notice:
        warn(entry.notice)
    recording = _as_mono(original, folder) if settings.mono else original
    about = audio.info(recording)
    survey = levels.survey(audio.blocks(recording, notify=warn), about.sample_rate)
    result = Result(
        original=original,
        recording=recording,
        enhanced=str(folder / "enhanced.wav"),
        seconds=survey.samples / about.sample_rate,
        model=entry.name,
        weights=entry.weights,
        link=link,
    )
    if zerogpu_run and about.seconds > LONG_SECONDS and entry == models.get():
        yield from zerogpu_run(recording, result.enhanced)
        source, enhanced, listeners = recording, result.enhanced, []
    else:
        source, waves = itertools.tee(audio.blocks(recording))
        enhanced = denoise_blocks(
            entry.model, waves, about.sample_rate, strength=1.0, before=survey, notify=warn
        )
        listeners = [mixing.File(recording, result.enhanced, subtype="FLOAT")]
    making = results.Making(result, settings.strength, settings.loudness, survey, shown)
    for done in mixing.observe(source, enhanced, *listeners, *making.listeners):
        yield min(done / survey.samples, 1.0)
    making.keep()
    return_free_memory()
    return result._replace(took=time.monotonic() - start)


def _as_mono(original: str, folder: Path) -> str:
    """A recording mixed to one channel, or itself if it is one."""
    from denoiser import audio, mixing

    if audio.info(original).channels == 1:
        return original
    (folder / "mono").mkdir()
    recording = str(folder / "mono" / fitting(Path(original).stem, ".wav"))
    mixing.to_mono(original, recording, notify=warn)
    return recording
