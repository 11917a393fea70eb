"""The page: a recording in, the voice without the noise out."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import tempfile
import threading

# On a Space whose GPU is lent to one call at a time; before torch, which it changes
spaces = importlib.import_module("spaces") if os.environ.get("SPACES_ZERO_GPU") else None

from page import layout, loading, server  # noqa: E402


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="app.py", description="Serve the speech denoiser as a web page."
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for all)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also open a public link, through Gradio's relay"
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("DENOISER_MODEL") or None,
        metavar="FOLDER|OWNER/NAME[@REVISION]",
        help="checkpoint here or on the Hugging Face Hub (default: $DENOISER_MODEL, otherwise "
        "checkpoints/band)",
    )
    # On ZeroGPU there is no GPU outside a lent call, though torch says so
    device = "cpu" if spaces else "auto"
    parser.add_argument(
        "--device", default=device, help=f"auto, cpu, cuda or mps (default: {device})"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    from denoiser.checkpoint import CheckpointError

    try:
        models, notice = loading.start(args.model, args.device)
    except CheckpointError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    if notice:
        print(f"app.py: {notice}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leave the cache's `with` on a kill too
    threading.Thread(target=server.warm_up, args=[models.get().model], daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="denoiser-") as cache:
        os.environ["GRADIO_TEMP_DIR"] = cache  # a stopped server leaves nobody's audio behind
        try:
            # Host and port of None: GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, as a Space sets them
            page = layout.build(models, notice, spaces)
            server.serve(page, server_name=args.host, server_port=args.port, share=args.share)
        except (OSError, OverflowError) as error:
            print(f"app.py: the page cannot be served: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
