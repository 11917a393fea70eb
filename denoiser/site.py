"""Building a static site that runs the denoiser in the browser, on any host and at any path."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from denoiser import export, hops
from denoiser.errors import DenoiserError
from denoiser.files import StrPath, replacing

_HERE = Path(__file__).parent
# Inside the installed package, or beside it in a checkout
WEB = next((path for path in (_HERE / "web", _HERE.parent / "web") if path.is_dir()), _HERE / "web")
RUNTIME = ("ort.mjs", "ort.wasm.gz")
SET_UP = ("package.json", "prepare.mjs", "requirements.txt")  # not part of the site
MODEL = "model.onnx.gz"


class SiteError(DenoiserError):
    """The site cannot be built."""


def build(folder: StrPath, target: StrPath) -> Path:
    """Writes a site with the causal model of a checkpoint folder to `target`, and returns `target`.

    Files of the same names are replaced, others are kept. Raises SiteError if the runtime is
    missing, CheckpointError as `export` does.
    """
    target = Path(target)
    if not all((WEB / "runtime" / name).is_file() for name in RUNTIME):
        raise SiteError(f"The runtime for browsers is missing: run `npm install` in {WEB}.")
    with tempfile.TemporaryDirectory() as scratch:
        content = export.export(folder, Path(scratch) / "model.onnx").read_bytes()
        about = hops.load(Path(scratch) / "model.onnx").about
    for source in _files():
        copy = target / source.relative_to(WEB)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    about |= {"file": MODEL, "sha256": hashlib.sha256(content).hexdigest()}
    (target / "model").mkdir(exist_ok=True)
    _replace(target / "model" / MODEL, gzip.compress(content, mtime=0))
    _replace(target / "model" / "model.json", json.dumps(about, indent=2).encode())
    return target


def _files() -> list[Path]:
    """The files of the page and of the runtime."""
    page = [*WEB.iterdir(), *(WEB / "sound").iterdir()]
    page = [path for path in page if path.is_file() and path.name not in SET_UP]
    visible = [path for path in page if not path.name.startswith(".")]
    return [*visible, *(WEB / "runtime" / name for name in RUNTIME)]


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
