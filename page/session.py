"""A visitor's files: received under their own names, kept for an hour, and what is wrong with them.

Gradio keeps an upload under a shortened name, and shows a copy, converted by ffmpeg where there is
one on PATH, in place of what a handler gives out.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData

from denoiser.errors import DenoiserError
from denoiser.files import fitting
from page.i18n import here

KEPT_MINUTES = 60
KEPT_SECONDS, SWEEP_SECONDS = 60 * (KEPT_MINUTES - 1), 30.0
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows


def cache() -> Path:
    """Where Gradio keeps what visitors send, and serves from."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_folder() -> Path:
    """For one request: a file there is served as it is, and deleted in time."""
    return Path(tempfile.mkdtemp(dir=cache()))


@contextlib.contextmanager
def kept_if_finished(folder: Path) -> Iterator[None]:
    """A folder that is deleted at once if the work in it fails or is stopped."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(folder: Path) -> None:
    """Delete what visitors sent and got KEPT_SECONDS ago, and empty folders, again and again."""
    while True:
        time.sleep(SWEEP_SECONDS)
        old = time.time() - KEPT_SECONDS
        for parent, folders, files in os.walk(folder, topdown=False):
            for name in files + folders:
                path = Path(parent, name)
                with suppress(OSError):  # a visitor's Stop may be faster; or not empty
                    if path.lstat().st_ctime < old:
                        path.rmdir() if path.is_dir() else path.unlink()


def own_name(file: FileData) -> str:
    """The path of an upload under the visitor's name for it, which only says what it is called."""
    path, name = Path(file.path), safe(file.orig_name or Path(file.path).name)
    if path.name == name or not path.is_relative_to(cache()):  # an example keeps its own
        return str(path)
    named = path.parent / "named" / name
    named.parent.mkdir(parents=True, exist_ok=True)
    try:
        named.symlink_to(path)
    except FileExistsError:
        pass  # from the run before
    except OSError:  # Windows does not let everyone make links
        with suppress(FileNotFoundError):  # deleted in the meantime
            shutil.copyfile(path, named)
    return str(named)


def safe(name: str) -> str:
    """A name as a stranger gives it, as one of a file in whatever folder.

    Raises nothing: separators, control characters, dots at the ends and Windows' devices go.
    """
    name = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "_", re.split(r"[/\\]", name)[-1]
    )
    name = name.strip(" .") or "recording"
    stem, suffix = os.path.splitext(f"_{name}" if DEVICES.match(name) else name)
    return fitting(stem, suffix)


class Stopped(Exception):
    """Nobody wants the work any longer."""


class Latest:
    """Of several pieces of work of one kind and visitor only the last is wanted, until a Stop."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: dict[tuple[str | None, str], object] = {}

    @contextlib.contextmanager
    def begin(self, request: gr.Request | None, kind: str) -> Iterator[Callable[[], None]]:
        """Yields a function that raises Stopped once something else is wanted."""
        key, token = (request.session_hash if request else None, kind), object()
        with self.lock:
            self.wanted[key] = token

        def check() -> None:
            if self.wanted.get(key) is not token:
                raise Stopped

        try:
            yield check
        finally:
            with self.lock:
                if self.wanted.get(key) is token:
                    del self.wanted[key]

    def stop(self, request: gr.Request, kind: str) -> None:
        with self.lock:
            self.wanted.pop((request.session_hash, kind), None)


def received(path: str, name: str) -> str:
    """The path of an upload that a browser names, under its own name. Raises DenoiserError.

    A browser may name any path: only what lies in the cache was uploaded.
    """
    file = Path(path)
    if not file.resolve().is_relative_to(cache().resolve()):
        raise DenoiserError(f"{safe(name)} was not uploaded: choose it again.")
    return own_name(FileData(path=str(file), orig_name=name))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What is wrong with a visitor's file, link or model becomes a sentence on the page."""
    try:
        yield
    except DenoiserError as error:
        raise refusal(str(error)) from None


def refusal(sentence: str) -> gr.Error:
    return gr.Error(_text(sentence), print_exception=False)


def warn(sentence: str) -> None:
    gr.Warning(_text(sentence))


def _text(sentence: str) -> str:
    """Gradio shows messages as HTML: a file's name, or a link's words, could load a picture."""
    return here(sentence).replace("<", "&lt;")
