"""Lines on the console, for every command.

Printing is work that can fail: a console may lack the characters of a name, a disk may be full, and
whoever reads a pipe may leave. None of it ends what is being done.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import TextIO

from denoiser.errors import DenoiserError

STOPPED = 130  # what a shell reports for Ctrl+C


def command(work: Callable[..., int]) -> Callable[..., int]:
    """Makes a program's `main` of a function: a user's mistake is one sentence and exit code 1.

    `main(argv)` returns the exit code; argparse itself exits with 2 for a wrong option.
    """

    @wraps(work)
    def main(argv: list[str] | None = None) -> int:
        prepare()
        try:
            return work(argv)
        except KeyboardInterrupt:
            say("stopped.")
            return STOPPED
        except DenoiserError as error:
            say(error)
        except OSError as error:
            say(f"{error.filename or 'The system refuses'}: {why(error)}.")
        return 1

    return main


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as Markdown."""
    lines = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *lines])


def why(error: OSError) -> str:
    """The reason in the system's words."""
    return (error.strerror or "unknown error").lower()


def prepare() -> None:
    """Gives a program whose standard streams were closed ones that lead nowhere.

    Otherwise the next file that is opened takes their number, and what a library prints is in it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def say(sentence: object) -> None:
    """A sentence on stderr, above the progress bar where there is one."""
    with suppress(OSError):
        _write(one_line(str(sentence)), "stderr")


def show(result: object) -> int:
    """A result on stdout, there at once; 1 if that failed, with a sentence on stderr, otherwise 0.

    It is no failure if nobody reads any more. After either, results go nowhere.
    """
    try:
        put(result)
    except BrokenPipeError:
        return 0
    except OSError as error:
        say(f"The results cannot be printed: {(error.strerror or 'unknown error').lower()}.")
        return 1
    return 0


def put(line: object) -> None:
    """A line on stdout. Raises OSError once, BrokenPipeError if nobody reads it any more."""
    _write(str(line), "stdout")


def list_paths() -> None:
    """From now on stdout is a list of paths that is read again: UTF-8, and bytes that are not.

    A terminal stays as it is.
    """
    if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")


def printable(text: str, stream: TextIO) -> str:
    """The text with escapes such as \\u8a9e for what the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """The text with escapes for line breaks and other control characters, as names may have."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], text)


def _write(text: str, name: str) -> None:
    from tqdm import tqdm

    stream = getattr(sys, name)
    if stream is None or stream.closed:
        return
    try:
        with tqdm.external_write_mode(stream):
            try:
                stream.write(text + "\n")
            except UnicodeEncodeError:  # before anything was written
                stream.write(printable(text, stream) + "\n")
            stream.flush()
    except OSError:
        _abandon(stream)
        raise


def _abandon(stream: TextIO) -> None:
    """Leads a stream nowhere, so that what it still holds does not fail again as Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
