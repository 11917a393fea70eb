"""Which recording goes to which file: folders keep their tree, and no result replaces another."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path

from denoiser import audio
from denoiser.files import StrPath, fitting

ENDING = "_denoised"


def plan(
    given: list[Path], out: Path | None, *, force: bool, notify: Callable[[str], None]
) -> tuple[list[tuple[Path, Path]], int]:
    """Files and folders -> (source, target) for each recording, and how many were refused.

    Without `out` a target is beside its source. Otherwise what lies in a folder keeps its path from
    there on under `out`; if more than this folder was given, the folder keeps its name, too. Of two
    sources whose targets only case or Unicode's normal form would tell apart, the second gets
    another name, and `notify` a sentence, as for everything that is refused.
    """
    refused: list[str] = []

    def refuse(sentence: str) -> None:
        refused.append(sentence)
        notify(sentence)

    # what each is on disk -> its path, and its folder under `out`
    sources: dict[str, tuple[Path, Path]] = {}
    for source, folder in _sources(list(dict.fromkeys(given)), refuse):
        place = os.path.join(os.path.realpath(source.parent), source.name)
        sources.setdefault(place, (source, folder))  # it may be named twice, or named and found
    busy, names = set(map(_key, sources)), _Names()
    jobs: list[tuple[Path, Path]] = []
    for source, folder in sources.values():
        target, remark = names.take(source, out / folder if out else source.parent)
        if os.path.exists(target) and not force:
            refuse(f"{target} exists: give --force to overwrite it, or -o for another folder.")
        elif _key(target) in busy:
            refuse(f"{target} is to be denoised itself: give -o for the result of {source}.")
        else:
            jobs.append((source, target))
            if remark:
                notify(remark)
    return jobs, len(refused)


def _sources(given: list[Path], refuse: Callable[[str], None]) -> Iterator[tuple[Path, Path]]:
    """Each recording, and the folder that its result is to be in under `out`."""
    kept = _kept(given)
    for path in given:
        if path not in kept:
            yield path, Path()
            continue
        found = audio.search(path)
        for error in found.closed:
            why = (error.strerror or "unknown error").lower()
            refuse(f"{error.filename} cannot be searched: {why}.")
        files = [file for file in found.files if not file.stem.endswith(ENDING)]
        if not files and not found.closed:
            refuse(f"{path} holds no audio or video file{_only(found.others)}.")
        for file in files:
            yield file, kept[path] / file.parent.relative_to(path)


def _only(others: list[Path]) -> str:
    if not others:
        return ": nothing to denoise there"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f", only {others[0].name}{more}, in which no sound was found"


def _kept(given: list[Path]) -> dict[Path, Path]:
    """Folder -> what is kept of its own path.

    Nothing if it is all that is given; otherwise its name, and where two folders have the same, as
    many of the names above as tell them apart.
    """
    folders = {path: Path(os.path.abspath(path)).parts[1:] for path in given if os.path.isdir(path)}
    if len(given) == 1:
        return dict.fromkeys(folders, Path())
    size, different = 1, len(set(folders.values()))
    while len({parts[-size:] for parts in folders.values()}) < different:
        size += 1
    return {path: Path(*parts[-size:]) for path, parts in folders.items()}


class _Names:
    """The targets that are taken already, by what a file system may take for the same."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[Path, Path]] = {}  # key -> source and target
        self.numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))

    def take(self, source: Path, folder: Path) -> tuple[Path, str | None]:
        """A target that no other source has, and a sentence where it is not the usual one.

        talk_denoised.wav; talk_mp3_denoised.wav beside that of a talk.wav; or talk-2_denoised.wav.
        """
        usual = folder / fitting(source.stem, f"{ENDING}.wav")
        first, theirs = self.taken.setdefault(_key(usual), (source, usual))
        if first is source:
            return usual, None
        kind = source.suffix[1:11]
        kinds = [f"_{kind}"] if kind and source.suffix.lower() != first.suffix.lower() else []
        for extra in chain(kinds, (f"-{number}" for number in self.numbers[_key(usual)])):
            target = folder / fitting(source.stem, f"{extra}{ENDING}.wav")
            if self.taken.setdefault(_key(target), (source, target))[0] is source:
                break
        return target, f"{source} becomes {target}: {theirs} is the result of {first}."


def _key(path: StrPath) -> str:
    """The same for paths that some file system takes for one: macOS and Windows ignore case."""
    folded = unicodedata.normalize("NFD", os.path.realpath(path)).casefold()
    return unicodedata.normalize("NFD", folded)
