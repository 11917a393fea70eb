"""What the Hub costs: python bench/hub.py

10 MB published to a Hub on the loopback address and fetched back, and loading weights from the
cache compared with loading a folder. Prints a table.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from hub_server import TOKEN, Hub


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    with Hub().running() as server, tempfile.TemporaryDirectory() as folder:
        # The client reads these when it is imported
        os.environ |= {"HF_ENDPOINT": server.url, "HF_HOME": folder, "HF_TOKEN": TOKEN}
        os.environ["HF_HUB_DISABLE_XET"] = "1"
        from huggingface_hub.utils import disable_progress_bars

        import denoiser
        from denoiser import checkpoint
        from denoiser.hub import download, publish
        from denoiser.models.band import BandUNet, BandUNetConfig

        disable_progress_bars()
        large = Path(folder) / "large"
        checkpoint.save(BandUNet(BandUNetConfig(channels=512)), large)
        rows = {
            "publish 11 MB": seconds(lambda: publish.publish(large, "me/large")),
            "fetch them": seconds(lambda: download.fetch("me/large")),
        }
        for name, source in (("load the folder", large), ("load from the cache", "me/large")):
            rows[name] = min(
                seconds(lambda source=source: denoiser.load(source, "cpu")) for _ in range(3)
            )
        server.ended.set()
    print("| what | seconds |\n|:--|--:|")
    for name, took in rows.items():
        print(f"| {name} | {took:.2f} |")


if __name__ == "__main__":
    main()
