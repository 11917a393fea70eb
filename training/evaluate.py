"""Score a checkpoint: python -m training.evaluate checkpoints/band PAIRS...

A folder of pairs holds noisy/ and clean/ with equal file names. Recordings are denoised at their
own rate and scored at 16 kHz, where PESQ is defined and other systems publish. Prints a table and
writes metrics.json into the checkpoint's folder. --speed measures time and memory instead.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from denoiser import audio, checkpoint, metrics
from denoiser.offline import denoise, denoise_file

SCORED_AT = 16000  # Hz
METRICS = {
    "pesq": metrics.pesq,
    "estoi": metrics.estoi,
    "stoi": metrics.stoi,
    "si_sdr": metrics.si_sdr,
}


def score(model, folder: Path) -> dict:
    """Mean scores of the noisy and the enhanced recordings of a folder of pairs."""
    sums = {"noisy": [], "enhanced": []}
    names = sorted(path.name for path in (folder / "noisy").glob("*"))
    if not names:
        raise audio.AudioError(f"No pairs in {folder}: it needs noisy/ and clean/.")
    for name in names:
        noisy, rate = audio.read(folder / "noisy" / name)
        clean, clean_rate = audio.read(folder / "clean" / name)
        if (rate, noisy.shape) != (clean_rate, clean.shape):
            raise audio.AudioError(
                f"{name}: the noisy and the clean file differ in rate or length."
            )
        for kind, wave in (("noisy", noisy), ("enhanced", denoise(model, noisy, rate))):
            pair = {
                "enhanced": audio.resample(wave, rate, SCORED_AT)[0],
                "clean": audio.resample(clean, rate, SCORED_AT)[0],
                "sample_rate": SCORED_AT,
            }
            sums[kind].append({name: metric(**pair) for name, metric in METRICS.items()})
    return {"pairs": len(names)} | {
        kind: {name: round(float(np.mean([row[name] for row in rows])), 4) for name in METRICS}
        for kind, rows in sums.items()
    }


def table(results: dict) -> str:
    """Scores as Markdown: noisy, enhanced and gain of every set."""
    lines = ["| set | | PESQ-WB | ESTOI | STOI | SI-SDR, dB |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        noisy, enhanced = result["noisy"], result["enhanced"]
        gain = {metric: enhanced[metric] - noisy[metric] for metric in METRICS}
        for label, row in (("noisy", noisy), ("enhanced", enhanced), ("gain", gain)):
            sign, title = "+" if label == "gain" else "", ""
            if label == "noisy":
                title = f"{name} ({result['pairs']})"
            cells = (f"{row[m]:{sign}.{2 if m == 'si_sdr' else 3}f}" for m in METRICS)
            lines.append(f"| {title} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed(source: str) -> str:
    """Time on one thread and memory, as a Markdown table."""
    import torch

    model = checkpoint.load(source, device="cpu")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    minute = (0.1 * rng.standard_normal((1, 60 * 48000))).astype(np.float32)
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        denoise(model, minute, 48000)
        seconds.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import denoiser"], check=True)
    rows = {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "`denoise()` of 60 s, 48 kHz mono, one thread": f"{statistics.median(seconds) / 60:.4f}"
        " of real time",
        "`import denoiser`, with Python's start": f"{time.perf_counter() - begun:.1f} s",
        "peak memory, 60-minute stereo file": f"{hour_of_stereo(model):.2f} GiB",
    }
    lines = (f"| {what} | {measured} |" for what, measured in rows.items())
    return "\n".join(["| what | measured |", "|---|---|", *lines])


def hour_of_stereo(model) -> float:
    """Peak resident GiB of this process once it has denoised a 60-minute file as the page does."""
    from denoiser import plot

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "hour.wav"), Path(folder, "denoised.wav")
        with audio.Writer(source, 48000, 2) as writer:
            for _ in range(360):
                writer.write((0.1 * rng.standard_normal((2, 480000))).astype(np.float32))
        for _ in denoise_file(model, source, target):
            pass
        plot.compare_files(source, target)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("checkpoint", help="a folder with config.json and model.safetensors")
    parser.add_argument("pairs", nargs="*", type=Path, help="folders with noisy/ and clean/")
    parser.add_argument("--speed", action="store_true", help="measure time and memory instead")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    options = parser.parse_args(argv)
    if bool(options.pairs) == options.speed:
        parser.error("give folders of pairs, or --speed")
    try:
        if options.speed:
            print(speed(options.checkpoint))
            return 0
        model = checkpoint.load(options.checkpoint, options.device)
        results = {folder.resolve().name: score(model, folder) for folder in options.pairs}
    except (audio.AudioError, checkpoint.CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    path = Path(options.checkpoint) / "metrics.json"
    checkpoint.write_text(path, json.dumps(results, indent=2) + "\n")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
