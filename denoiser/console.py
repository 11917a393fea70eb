"""Output on the console, shared by all commands.

Printing can fail: a console may lack the characters of a file name, a disk may be full, and the
reader of a pipe may close it. None of these stops the work.
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
    """Turns a function into a program's `main`: a user error becomes one sentence and exit code 1.

    `main(argv)` returns the exit code; argparse exits with 2 for a wrong option.
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
            say(f"{error.filename or 'System error'}: {why(error)}.")
        return 1

    return main


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *lines])


def why(error: OSError) -> str:
    """The operating system's explanation of an error."""
    return (error.strerror or "unknown error").lower()


def prepare() -> None:
    """Opens the null device for standard streams that are closed.

    Otherwise the next file to be opened would get their descriptor, and library output would end up
    in that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def say(sentence: object) -> None:
    """Prints a sentence on stderr, above the progress bar if there is one."""
    with suppress(OSError):
        _write(one_line(str(sentence)), "stderr")


def show(result: object) -> int:
    """Prints a result on stdout and flushes; 1 if that failed, with a sentence on stderr, else 0.

    A closed pipe is not a failure. After either error, further results are discarded.
    """
    try:
        put(result)
    except BrokenPipeError:
        return 0
    except OSError as error:
        say(f"Results cannot be printed: {(error.strerror or 'unknown error').lower()}.")
        return 1
    return 0


def put(line: object) -> None:
    """Prints a line on stdout. Raises OSError once, and BrokenPipeError for a closed pipe."""
    _write(str(line), "stdout")


def list_paths() -> None:
    """Switches stdout to UTF-8 with undecodable bytes unchanged, for a list of paths.

    A terminal keeps its encoding.
    """
    if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")


def printable(text: str, stream: TextIO) -> str:
    """The text with escapes such as \\u8a9e for characters that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """The text with escapes for control characters, which file names may contain."""
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
            except UnicodeEncodeError:  # nothing was written yet
                stream.write(printable(text, stream) + "\n")
            stream.flush()
    except OSError:
        _abandon(stream)
        raise


def _abandon(stream: TextIO) -> None:
    """Redirects a stream to the null device, so that the flush at exit cannot fail again."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
