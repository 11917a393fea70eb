"""Loading models by name and device; all visitors share them, read-only."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from denoiser.models import Network

DIGITS = 8  # of a commit or digest
LOADED = 4  # models kept at most, besides the first; the least recently used one is dropped


class Entry(NamedTuple):
    """A loaded model."""

    model: Network  # in eval mode
    name: str
    weights: str = ""  # commit on the Hub, or first digits of the SHA-256
    card: str = ""  # Markdown
    notice: str | None = None  # from `download.fetch`: a newer version may exist


class ModelRegistry:
    """The page's first model, the embedded ones, and any model on the Hub.

    All run on the `device` of the first, unless a visitor chooses another.
    """

    def __init__(self, first: Entry, folder: Path, device: str):
        self.first, self._first, self._folder, self.device = first.name, first, folder, device
        self._loaded: OrderedDict[tuple[Path, str], Entry] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([self.first, *_embedded()]))

    def may_be(self, name: str) -> bool:
        """Whether this is the name of a model here, or has the form of a name on the Hub."""
        from denoiser.hub import download

        return name in self.names or bool(download.SOURCE.fullmatch(name))

    def get(self, name: str | None = None, device: str | None = None) -> Entry:
        """A model by its name here or on the Hub, never by a path. Raises CheckpointError."""

        from denoiser import checkpoint
        from denoiser.hub import download

        name = (name or self.first).strip()
        device = self.device if device in (None, "", "auto") else device
        if name == self.first and device == self.device:
            return self._first
        folder = self._folder if name == self.first else _embedded().get(name)
        if not folder and (not download.SOURCE.fullmatch(name) or Path(name).is_dir()):
            raise checkpoint.CheckpointError(
                f"Model {name} is not available: choose {' or '.join(self.names)}, or give "
                "owner/name of weights on the Hugging Face Hub."
            )
        with self._lock:
            notice = None
            if not folder:
                folder, notice = download.fetch(name)
            if (folder, device) not in self._loaded:
                self._loaded[folder, device] = entry(folder, name, device)
                if len(self._loaded) > LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end((folder, device))
            found = self._loaded[folder, device]
        return found._replace(notice=notice) if notice else found


def start(source: str | None, device: str) -> tuple[ModelRegistry, str | None]:
    """A registry that starts with the model `source`, and a notice or None.

    If the Hub cannot be reached, the embedded model replaces it. Raises CheckpointError.
    """
    from denoiser.hub import download

    notice = None
    try:
        folder, notice = download.fetch(source)
    except download.Unreachable as error:
        folder, _ = download.fetch(None)
        notice = f"{error} This page runs with the weights that it came with, not with {source}."
        source = None
    embedded = {path: name for name, path in _embedded().items()}
    name = embedded.get(folder.resolve()) or source or folder.name
    return ModelRegistry(entry(folder, name, device), folder, device), notice


def entry(folder: Path, name: str, device: str) -> Entry:
    """Loads the checkpoint in a folder. Raises CheckpointError."""
    from denoiser import checkpoint

    return Entry(checkpoint.load(folder, device), name, weights(folder), card(folder))


def weights(folder: Path) -> str:
    """The first DIGITS of the commit on the Hub, or of the weights' SHA-256."""
    import hashlib

    from denoiser.hub import download

    if download.COMMIT.fullmatch(folder.name):
        return folder.name[:DIGITS]
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return digest[:DIGITS]


def card(folder: Path) -> str:
    """The model card without its front matter."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).strip()


def devices() -> list[str]:
    """The available devices, the best first."""
    import torch

    found = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    return ["auto", *found, "cpu"]


def _embedded() -> dict[str, Path]:
    from denoiser import checkpoint

    folders = sorted(checkpoint.DEFAULT.parent.glob("*/model.safetensors"))
    return {path.parent.name: path.parent.resolve() for path in folders}
