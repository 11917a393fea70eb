"""Folders -> the recordings that mixtures are drawn from, and those held out of training."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from denoiser import audio
from training.errors import TrainingError


@dataclass(frozen=True)
class Sources:
    """The files that mixtures are drawn from."""

    clean: list[Path]
    noise: list[Path]
    rooms: list[Path]


def find_sources(clean: list, noise: list, rooms: list) -> tuple[Sources, Sources]:
    """Folders -> sources for training and for validation: one file in fifty is never trained on.

    Folders of fewer than fifty files are too small for that: both use all of them.
    """
    if not clean or not noise:
        raise TrainingError("Training needs speech and noise: give --clean and --noise folders.")
    every = [audio_files(folders) for folders in (clean, noise, rooms)]
    kept, held_out = zip(*(_split(files) for files in every), strict=True)
    return Sources(*kept), Sources(*held_out)


def audio_files(folders: list) -> list[Path]:
    """Every audio or video file below the folders, in a fixed order; each folder must hold some.

    A file may stand for a folder that holds only it. What is named twice is there twice, and drawn
    twice as often.
    """
    return sorted(file for folder in folders for file in _files(folder))


def _files(folder) -> list[Path]:
    if not str(folder):  # Path("") would be the working folder
        raise TrainingError("An empty path is no folder: leave it out.")
    if os.path.isfile(folder):
        return [Path(folder)]
    if not os.path.isdir(folder):
        raise TrainingError(f"There is no file or folder {folder}: check its name.")
    found = audio.search(folder)
    if found.closed:
        name, why = found.closed[0].filename, found.closed[0].strerror or "unknown error"
        raise TrainingError(f"{name} cannot be searched, {why.lower()}: check its permissions.")
    if not found.files:
        only = f", only {len(found.others)} other files" if found.others else ""
        raise TrainingError(f"There is no audio in the folder {folder}{only}: give another.")
    return found.files


def _split(files: list[Path]) -> tuple[list[Path], list[Path]]:
    shuffled = sorted(files, key=lambda path: (zlib.crc32(path.name.encode()), path))
    different = list(dict.fromkeys(shuffled))
    held_out = dict.fromkeys(different[: len(different) // 50])
    kept = [path for path in shuffled if path not in held_out]
    return (kept, list(held_out)) if held_out else (shuffled, shuffled)
