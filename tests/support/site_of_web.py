"""The page of web/ as a static site in a folder, and a server for it."""

import hashlib
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SET_UP = ("package.json", "prepare.mjs", ".npmrc", "node_modules")  # what no visitor needs


def build(folder: Path) -> Path:
    """A site with the model of checkpoints/band-live."""
    from denoiser import export, hops

    if not (ROOT / "web" / "runtime" / "ort.mjs").exists():
        if os.environ.get("CI"):
            pytest.fail("web/runtime is missing: make .venv/web.stamp")
        pytest.skip("web/runtime is missing: make .venv/web.stamp")
    shutil.copytree(ROOT / "web", folder, ignore=shutil.ignore_patterns(*SET_UP))
    model = folder / "model" / "model.onnx"
    model.parent.mkdir()
    export.export(ROOT / "checkpoints" / "band-live", model)
    content = model.read_bytes()
    about = {
        **hops.load(model).about,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (model.parent / "model.json").write_text(json.dumps(about), "utf-8")
    return folder


class _Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".webmanifest": "application/manifest+json",
    }

    def log_message(self, *_):
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """On a free port, below a path of its own: `address` says where."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *request: _Files(*request, directory=str(folder.parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def address(server: http.server.ThreadingHTTPServer, folder: Path) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{folder.name}/"
