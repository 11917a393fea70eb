"""PNG -> the same picture in 256 colours, a third of the size: python docs/shrink.py PNG..."""

import sys
from pathlib import Path

from PIL import Image


def shrink(path: Path) -> None:
    """Replace a picture by its 256-colour version; the transparency of a figure is dropped."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    small.save(path, optimize=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        shrink(Path(name))
