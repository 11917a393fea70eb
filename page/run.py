"""Running a model on one recording, with one pass over the result for all outputs."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from denoiser.files import fitting
from page import results
from page.lanes import Lanes, Shared
from page.loading import ModelRegistry
from page.results import Result
from page.session import warn

if TYPE_CHECKING:
    from denoiser import audio, levels
    from denoiser.mixing import Listener, Source
    from denoiser.models import Model

LONG_SECONDS = 600  # longer recordings justify ZeroGPU's start time and the visitor's daily quota
UNKNOWN_SECONDS = 600.0  # assumed for files that do not state their length
LOOK_SECONDS = 0.25  # between two checks of the queue
READING = 0.2  # share of the work: measuring the levels of a recording
STEP = 0.01  # share of the work: smallest progress to report

Status = dict[str, Any]  # progress of a run: see `run_in_lane`
ZeroGpuRun = Callable[[str, str], Iterator[float]]  # source, target: `denoise_file` on ZeroGPU
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


class Settings(NamedTuple):
    """A visitor's settings for a run."""

    strength: float  # 0 to 1
    model: str
    device: str
    mono: bool
    loudness: str  # one of downloads.LOUDNESS

    @classmethod
    def chosen(cls, percent: float, model: str, device: str, mono: bool, loudness: str) -> Settings:
        """Settings from the values of the page's components, with the strength in percent."""
        return cls(percent / 100, model, device, bool(mono), loudness)


class Work(Generic[Yielded, Returned]):
    """An iterable over the values of a generator; `result` is its return value."""

    result: Returned

    def __init__(self, generator: Generator[Yielded, None, Returned]):
        self.generator = generator

    def __iter__(self) -> Iterator[Yielded]:
        with contextlib.closing(self.generator):
            self.result = yield from self.generator


def finished(generator: Generator[Any, None, Returned]) -> Returned:
    """The return value of a generator."""
    work = Work(generator)
    for _ in work:
        pass
    return work.result


def run_in_lane(
    models: ModelRegistry,
    lanes: Lanes,
    original: str,
    folder: Path,
    settings: Settings,
    **options: Any,
) -> Generator[Status, None, Result]:
    """`run`, after waiting in a queue: yields the status, returns the result.

    The states are waiting (with place in the queue and seconds to wait), reading, and working (with
    the share done and the seconds left).
    """
    from denoiser import audio
    from denoiser.offline import return_free_memory

    about = audio.info(original)
    length = (about.seconds or UNKNOWN_SECONDS) * (1 if settings.mono else about.channels)
    with lanes.place(length) as place:
        while ahead := place.ahead:
            yield {"state": "waiting", "place": ahead + 1, "wait": place.wait}
            time.sleep(LOOK_SECONDS)
        yield {"state": "reading"}
        work = Work(run(models, original, folder, settings, turns=lanes.turns, **options))
        for share in work:
            place.share = share
            yield {"state": "working", "share": share, "left": place.left}
    return_free_memory()  # only now has the work released it
    return work.result


def run(
    models: ModelRegistry,
    original: str,
    folder: Path,
    settings: Settings,
    *,
    turns: ThreadPoolExecutor | None = None,
    link: dict[str, str] | None = None,
    shown: bool = False,
    zerogpu_run: ZeroGpuRun | None = None,
) -> Generator[float, None, Result]:
    """Yields the shares done, 0 to 1, and returns the result, whose files are in `folder`.

    With `shown`, the files for the player and the picture are written, too. `link` is the query of
    a link to the result; `turns` executes the calls of a shared model; `zerogpu_run` is
    `denoise_file` on ZeroGPU. Raises AudioError and CheckpointError.
    """
    from denoiser import audio, mixing
    from denoiser.offline import denoise_blocks

    start = time.monotonic()
    entry = models.get(settings.model, settings.device)
    if entry.notice:
        warn(entry.notice)
    recording = _as_mono(original, folder) if settings.mono else original
    about = audio.info(recording)
    survey = yield from _surveyed(recording, about)
    result = Result(
        original=original,
        recording=recording,
        enhanced=str(folder / "enhanced.wav"),
        seconds=survey.samples / about.sample_rate,
        model=entry.name,
        weights=entry.weights,
        link=link,
    )
    source: Source
    enhanced: Source
    listeners: list[Listener]
    if zerogpu_run and about.seconds > LONG_SECONDS and entry == models.get():
        for share in zerogpu_run(recording, result.enhanced):
            yield READING + (1 - READING) * share
        source, enhanced, listeners = recording, result.enhanced, []
    else:
        source, waves = itertools.tee(audio.blocks(recording))
        model = cast("Model", Shared(entry.model, turns)) if turns else entry.model
        enhanced = denoise_blocks(
            model, waves, about.sample_rate, strength=1.0, before=survey, notify=warn
        )
        listeners = [mixing.File(recording, result.enhanced, subtype="FLOAT")]
    making = results.Making(result, settings.strength, settings.loudness, survey, shown)
    for done in mixing.observe(source, enhanced, *listeners, *making.listeners):
        yield READING + (1 - READING) * min(done / survey.samples, 1.0)
    making.keep()
    return result._replace(took=time.monotonic() - start)


def _surveyed(recording: str, about: audio.Info) -> Generator[float, None, levels.Survey]:
    """The levels of a recording; yields shares of the whole run, up to READING."""
    from denoiser import audio, levels

    blocks = audio.blocks(recording, notify=warn)
    expected = (about.seconds or UNKNOWN_SECONDS) * about.sample_rate
    work, told = Work(levels.surveying(blocks, about.sample_rate)), 0.0
    for samples in work:
        share = READING * min(samples / expected, 1.0)
        if share >= told + STEP:
            yield share
            told = share
    return work.result


def _as_mono(original: str, folder: Path) -> str:
    """The path of a recording mixed to one channel, or of the original if it has only one."""
    from denoiser import audio, mixing

    if audio.info(original).channels == 1:
        return original
    (folder / "mono").mkdir()
    recording = str(folder / "mono" / fitting(Path(original).stem, ".wav"))
    mixing.to_mono(original, recording, notify=warn)
    return recording
