"""Assigning a target file to every source: folders keep their structure, and no targets collide."""

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
    """Files and folders -> (source, target) for each recording, and the number of refused files.

    Without `out`, a target is beside its source. Otherwise the files of a folder keep their
    relative path under `out`, preceded by the name of the folder if there are other arguments. If
    two targets would differ only in case or Unicode normalization, the second gets another name.
    `notify` receives a sentence about each renamed or refused file.
    """
    refused: list[str] = []

    def refuse(sentence: str) -> None:
        refused.append(sentence)
        notify(sentence)

    # real path -> path as given or found, and its folder under `out`
    sources: dict[str, tuple[Path, Path]] = {}
    for source, folder in _sources(list(dict.fromkeys(given)), refuse):
        place = os.path.join(os.path.realpath(source.parent), source.name)
        sources.setdefault(place, (source, folder))  # given twice, or given and found
    busy, names = set(map(_key, sources)), _Names()
    jobs: list[tuple[Path, Path]] = []
    for source, folder in sources.values():
        target, remark = names.take(source, out / folder if out else source.parent)
        if os.path.exists(target) and not force:
            refuse(f"{target} exists: overwrite it with --force, or choose a folder with -o.")
        elif _key(target) in busy:
            refuse(
                f"{target} is also a source: choose a folder for the result of {source} with -o."
            )
        else:
            jobs.append((source, target))
            if remark:
                notify(remark)
    return jobs, len(refused)


def _sources(given: list[Path], refuse: Callable[[str], None]) -> Iterator[tuple[Path, Path]]:
    """Each recording, and the folder of its result under `out`."""
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
            refuse(f"{path} contains no audio or video file{_only(found.others)}.")
        for file in files:
            yield file, kept[path] / file.parent.relative_to(path)


def _only(others: list[Path]) -> str:
    if not others:
        return ": choose another folder"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f", only {others[0].name}{more}, without audio"


def _kept(given: list[Path]) -> dict[Path, Path]:
    """Folder -> the part of its path that its results keep.

    Empty for a single argument; otherwise the folder's name, with as many parent folders as make
    all of them distinct.
    """
    folders = {path: Path(os.path.abspath(path)).parts[1:] for path in given if os.path.isdir(path)}
    if len(given) == 1:
        return dict.fromkeys(folders, Path())
    size, different = 1, len(set(folders.values()))
    while len({parts[-size:] for parts in folders.values()}) < different:
        size += 1
    return {path: Path(*parts[-size:]) for path, parts in folders.items()}


class _Names:
    """The targets assigned so far; paths that a file system may treat as equal count as one."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[Path, Path]] = {}  # key -> source and target
        self.numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))

    def take(self, source: Path, folder: Path) -> tuple[Path, str | None]:
        """A unique target, and a sentence if it is not the usual one.

        The usual one is talk_denoised.wav; the alternatives are talk_mp3_denoised.wav, if the other
        source has another ending, and talk-2_denoised.wav.
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
        return target, f"{source} is written to {target}: {theirs} is the result of {first}."


def _key(path: StrPath) -> str:
    """Equal for paths that a file system may treat as equal: macOS and Windows ignore case."""
    folded = unicodedata.normalize("NFD", os.path.realpath(path)).casefold()
    return unicodedata.normalize("NFD", folded)
