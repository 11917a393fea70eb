"""One recording through a model, and one pass over the result for all that is made of it."""

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

LONG_SECONDS = 600  # from here on ZeroGPU's GPU is worth its start and the visitor's daily share
UNKNOWN_SECONDS = 600.0  # what a file that does not say its length is taken for
LOOK_SECONDS = 0.25  # between looks at the line
READING = 0.2  # of all the work: what reading a recording for its levels takes
STEP = 0.01  # of all the work: what is worth telling a visitor

Status = dict[str, Any]  # what there is to show of a run: see `run_in_lane`
ZeroGpuRun = Callable[[str, str], Iterator[float]]  # source, target: `denoise_file` on ZeroGPU
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


class Settings(NamedTuple):
    """What a visitor may choose before the run."""

    strength: float  # 0 to 1
    model: str
    device: str
    mono: bool
    loudness: str  # one of downloads.LOUDNESS

    @classmethod
    def chosen(cls, percent: float, model: str, device: str, mono: bool, loudness: str) -> Settings:
        """From the values of the page's components, whose strength is in percent."""
        return cls(percent / 100, model, device, bool(mono), loudness)


class Work(Generic[Yielded, Returned]):
    """What a generator yields, and what it returns at the end as `result`."""

    result: Returned

    def __init__(self, generator: Generator[Yielded, None, Returned]):
        self.generator = generator

    def __iter__(self) -> Iterator[Yielded]:
        with contextlib.closing(self.generator):
            self.result = yield from self.generator


def finished(generator: Generator[Any, None, Returned]) -> Returned:
    """What a generator returns."""
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
    """`run` when its turn has come: yields what there is to show meanwhile, returns the result.

    The states are waiting (with place in line and seconds to wait), reading and working (with the
    share done and the seconds left).
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
    return_free_memory()  # now that all the work held is free
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
    """Yields the shares done and returns the result, whose files are in `folder`.

    `shown` asks for what the page plays and draws, too; `link` is the query of a link that leads
    here; the model is shared by taking `turns`; `zerogpu_run` is `denoise_file` on ZeroGPU. Raises
    AudioError and CheckpointError.
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
    """The levels of a recording; yields the shares done of all the work."""
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
    """A recording mixed to one channel, or itself if it is one."""
    from denoiser import audio, mixing

    if audio.info(original).channels == 1:
        return original
    (folder / "mono").mkdir()
    recording = str(folder / "mono" / fitting(Path(original).stem, ".wav"))
    mixing.to_mono(original, recording, notify=warn)
    return recording
