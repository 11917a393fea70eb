"""Makes tests/data/run, a run after three steps, to be resumed by later versions.

python tests/data/make_run.py [FOLDER]. Make it again only where a state is meant not to fit any
more, and say so in CHANGELOG.md: until then the committed one proves that earlier runs go on.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from toy import TINY, write_corpus

from training import train
from training.data.sources import find_sources

FILES = ("config.json", "model.safetensors", "state.safetensors", "log.csv")


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_corpus(folder)
        sources = find_sources([folder / "clean"], [folder / "noise"], [])
        train.validate_model = lambda *_: {}
        train.train(TINY, sources, folder / "run", minutes=60, steps=3, decay=0)
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(folder / "run" / name, out / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("run"))
