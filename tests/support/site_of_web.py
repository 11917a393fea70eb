"""The page of web/ as a static site in a folder, and a server for it."""

import http.server
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """A site with the model of checkpoints/band-live."""
    from denoiser import site

    return site.build(ROOT / "checkpoints" / "band-live", folder)


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
