"""What visitors send reaches the handlers as it was sent, under the name that it has with them.

Gradio keeps an upload under a shortened name, and shows a copy, converted by ffmpeg where there is
one on PATH, in place of what a handler gives out.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from denoiser.files import fitting
from page.results import cache

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows


class _Component(type(gr.Audio)):
    """Gradio's own would write a .pyi file beside this one whenever it is imported."""

    def __new__(cls, name, bases, attributes):
        return super(type(gr.Audio), cls).__new__(cls, name, bases, attributes)


class Recording(gr.Audio, metaclass=_Component):
    """Holds the very file that came in, whether or not the browser can play it."""

    is_template = True  # for the browser a gr.Audio

    def preprocess(self, payload: FileData | None) -> str | None:
        return payload and own_name(payload)

    def postprocess(self, value: str | None) -> FileData | None:
        return FileData(path=value, orig_name=Path(value).name) if value else None


class AnyFile(gr.UploadButton, metaclass=_Component):
    """A button for a file of any kind: whether it holds sound is for the decoder to say."""

    is_template = True

    def preprocess(self, payload: FileData | None) -> str | None:
        return payload and own_name(payload)


class AnyFiles(gr.File, metaclass=_Component):
    """The same for many. With `file_types` one foreign file would end the whole batch."""

    is_template = True

    def preprocess(self, payload: ListFiles | None) -> list[str] | None:
        return payload and [own_name(file) for file in payload]


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
