"""A visitor's session: uploads under their own names, deletion after an hour, stopping, errors.

Gradio shortens the names of uploads and, if ffmpeg is on PATH, shows converted copies in place of a
handler's files.
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
    """The folder in which Gradio keeps uploads and from which it serves files."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_folder() -> Path:
    """A folder for the files of one request, which are served unchanged and deleted in time."""
    return Path(tempfile.mkdtemp(dir=cache()))


@contextlib.contextmanager
def kept_if_finished(folder: Path) -> Iterator[None]:
    """Deletes a folder at once if the block fails or is stopped."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(folder: Path) -> None:
    """Deletes files older than KEPT_SECONDS, and empty folders, in an endless loop."""
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
    """The path of an upload under the visitor's name for it: a link or a copy."""
    path, name = Path(file.path), safe(file.orig_name or Path(file.path).name)
    if path.name == name or not path.is_relative_to(cache()):  # or an example
        return str(path)
    named = path.parent / "named" / name
    named.parent.mkdir(parents=True, exist_ok=True)
    try:
        named.symlink_to(path)
    except FileExistsError:
        pass  # from the previous run
    except OSError:  # on Windows, links need a privilege
        with suppress(FileNotFoundError):  # deleted in the meantime
            shutil.copyfile(path, named)
    return str(named)


def safe(name: str) -> str:
    """A file name from an untrusted one.

    Folders, control characters, spaces and dots at the ends, and Windows' device names are removed
    or replaced. Never raises.
    """
    name = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "_", re.split(r"[/\\]", name)[-1]
    )
    name = name.strip(" .") or "recording"
    stem, suffix = os.path.splitext(f"_{name}" if DEVICES.match(name) else name)
    return fitting(stem, suffix)


class Stopped(Exception):
    """The work is no longer wanted."""


class Latest:
    """Keeps only the latest work of each kind and visitor; `stop` ends that, too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: dict[tuple[str | None, str], object] = {}

    @contextlib.contextmanager
    def begin(self, request: gr.Request | None, kind: str) -> Iterator[Callable[[], None]]:
        """Yields a function that raises Stopped once the work was replaced or stopped."""
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
    """The path of an upload under its own name. Raises DenoiserError.

    A browser can send any `path`; only those in the cache are uploads.
    """
    file = Path(path)
    if not file.resolve().is_relative_to(cache().resolve()):
        raise DenoiserError(f"{safe(name)} was not uploaded: choose it again.")
    return own_name(FileData(path=str(file), orig_name=name))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns a DenoiserError into an error message on the page."""
    try:
        yield
    except DenoiserError as error:
        raise refusal(str(error)) from None


def refusal(sentence: str) -> gr.Error:
    return gr.Error(_text(sentence), print_exception=False)


def warn(sentence: str) -> None:
    gr.Warning(_text(sentence))


def _text(sentence: str) -> str:
    """A translated sentence without HTML tags, which names of files or links could contain."""
    return here(sentence).replace("<", "&lt;")
