"""Lists of paths, one a line: what @FILE stands for on a command line."""

import argparse
import codecs
import os
import re
from pathlib import Path


class Paths(argparse.Action):
    """Files and folders; a value @FILE stands for the lines of that file, each as it is.

    argparse's own fromfile_prefix_chars would take an empty line for the working folder, and lines
    that begin with - or @ for options and lists.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        try:
            paths = [path for value in values for path in expanded(value)]
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, paths)


def expanded(value: str) -> list[str]:
    """A value of the command line -> the paths that it names. Raises ValueError in a sentence."""
    if not value:
        raise ValueError("an empty path is no folder: leave it out")
    return read(value[1:]) if value.startswith("@") else [value]


def read(name: str) -> list[str]:
    """The paths in a list; empty lines are passed over. Raises ValueError in a sentence.

    UTF-8 with or without a mark at its start, or UTF-16 with one; any line ends. A line may hold
    the bytes of a name that is not UTF-8.
    """
    if os.path.isdir(name):
        raise ValueError(f"{name} is a folder: give it without @")
    try:
        data = Path(name).read_bytes() if name else b""
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise ValueError(
            f"the list {name} cannot be read, {why}: check its name, or write ./@... for a folder "
            "whose own name begins with @"
        ) from None
    lines = re.split("\r\n|\r|\n", _decoded(name, data))
    paths = [line for line in lines if line.strip()]
    if not paths:
        raise ValueError(f"the list {name} holds no path: write one a line")
    for path in paths:
        _check(name, path)
    return paths


def _decoded(name: str, data: bytes) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16") if wide else data.decode("utf-8-sig", "surrogateescape")
    except UnicodeDecodeError:
        raise _foreign(name) from None
    if "\0" in text:
        raise _foreign(name)
    return text


def _check(name: str, path: str) -> None:
    there = os.path.exists(path)
    if there and os.path.samefile(path, name):
        raise ValueError(f"the list {name} names itself: take that line out")
    try:
        path.encode()
    except UnicodeEncodeError:  # right only if there is a file whose name is no UTF-8
        if not there:
            raise _foreign(name) from None


def _foreign(name: str) -> ValueError:
    return ValueError(f"the list {name} is not in UTF-8: save it as UTF-8")
