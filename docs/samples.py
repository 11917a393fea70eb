"""Denoised samples and their pictures, from the embedded weights: python docs/samples.py

Writes samples/denoised (all samples, by checkpoints/band), samples/classic (one, by
checkpoints/classic, and the noise that was added to it) and the spectrograms and waveforms in
images/ and images/classic.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shrink import shrink  # noqa: E402

import denoiser  # noqa: E402
from denoiser import cli, mixing, offline  # noqa: E402

SAMPLES, IMAGES = ROOT / "samples", ROOT / "images"


def denoised(checkpoint: str, name: str, out: Path) -> Path:
    """One noisy sample, denoised by an embedded model into a FLAC file in `out`."""
    model = denoiser.load(ROOT / "checkpoints" / checkpoint, "cpu")
    target = out / f"{name}_denoised.flac"
    for _ in offline.denoise_file(model, SAMPLES / "noisy" / f"{name}.flac", target):
        pass
    return target


def draw(name: str, enhanced: Path, out: Path) -> None:
    """waveforms.png and spectrograms.png of a clean, a noisy and a denoised sample."""
    clean, noisy = (SAMPLES / kind / f"{name}.flac" for kind in ("clean", "noisy"))
    if code := cli.main(["plot", str(clean), str(noisy), str(enhanced), "-o", str(out)]):
        sys.exit(code)
    for picture in ("waveforms.png", "spectrograms.png"):
        shrink(out / picture)


def main() -> None:
    for noisy in sorted((SAMPLES / "noisy").glob("*.flac")):
        denoised("band", noisy.stem, SAMPLES / "denoised")
    draw("air_conditioner", SAMPLES / "denoised/air_conditioner_denoised.flac", IMAGES)
    draw("rain", denoised("classic", "rain", SAMPLES / "classic"), IMAGES / "classic")
    clean, noisy = (SAMPLES / kind / "rain.flac" for kind in ("clean", "noisy"))
    mixing.remix(noisy, clean, SAMPLES / "classic/rain_noise.flac", removed=True)


if __name__ == "__main__":
    main()
