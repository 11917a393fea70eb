"""Components that take a file of any kind, under the name that it has with its visitor."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from page.session import own_name


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
