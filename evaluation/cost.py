"""How fast, how large: one table of a checkpoint's cost, by python -m training.evaluate --speed.

Times are CPU time of one thread, which other work on the machine disturbs less than the clock.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from denoiser import audio, checkpoint, console, mixing, plot, preview, report
from denoiser.offline import denoise, denoise_file

SAMPLE_RATE = 48000  # Hz, of all that is measured


def table(folder: Path) -> str:
    """Cost of the checkpoint in a folder as a Markdown table."""
    model = checkpoint.load(folder, "cpu")
    weights = folder / "model.safetensors"
    torch.set_num_threads(1)
    hour_gib = hour_of_stereo(model)  # first: the peak of a process never falls
    rng = np.random.default_rng(0)
    minute = (0.1 * rng.standard_normal((1, 60 * SAMPLE_RATE))).astype(np.float32)
    whole = cpu_seconds(lambda: denoise(model, minute, SAMPLE_RATE)) / 60
    rows = {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "`model.safetensors`": f"{weights.stat().st_size / 1e6:.2f} MB",
        "multiply-accumulates per second of audio": f"{macs_per_second(model) / 1e6:,.0f} million",
        "`denoise()` of 60 s, 48 kHz mono, one thread": f"{whole:.4f} of real time",
        "`step()`, hop by hop, one thread": step_time(model),
        "peak memory, 60-minute stereo file": f"{hour_gib:.2f} GiB",
        "`from denoiser import denoise, load`, with Python's start": f"{import_seconds():.1f} s",
    }
    return console.table(["what", "measured"], rows.items())


def macs_per_second(model) -> float:
    """Multiply-accumulates of matrix products and convolutions in one second of audio.

    Counted as they run. Transforms and what is done to single numbers are not in it.
    """
    from torch.utils.flop_counter import FlopCounterMode

    wave = torch.zeros(1, 10 * model.config.sample_rate)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(wave)
    return counter.get_total_flops() / 2 / 10


def step_time(model, seconds: int = 10) -> str:
    """CPU time of a causal model fed one hop at a time, as a share of real time."""
    if not getattr(model.config, "causal", False):
        return "not causal: hears ahead"
    hop = model.config.hop_length
    hops = torch.randn(seconds * model.config.sample_rate // hop, 1, hop) * 0.1

    def run() -> None:
        state = model.initial_state(hops[0])
        with torch.inference_mode():
            for frame in hops:
                _, state = model.step(frame, state)

    share = cpu_seconds(run) * model.config.sample_rate / (len(hops) * hop)
    return f"{share:.4f} of real time, {1000 * hop / model.config.sample_rate:.0f} ms a hop"


def cpu_seconds(work: Callable, times: int = 5) -> float:
    """Median CPU time of `work`, in this process."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def import_seconds() -> float:
    """Median time by the clock until a fresh Python has PyTorch and the model's code."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "from denoiser import denoise, load"], check=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def hour_of_stereo(model, minutes: float = 60.0) -> float:
    """Peak resident GiB of this process once it has denoised a 60-minute file as the page does."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        source, estimate, target = (Path(folder, f"{n}.wav") for n in ("hour", "estimate", "mixed"))
        with audio.Writer(source, SAMPLE_RATE, 2) as writer:
            for _ in range(round(6 * minutes)):
                block = 0.1 * rng.standard_normal((2, 10 * SAMPLE_RATE))
                writer.write(block.astype(np.float32))
        for _ in denoise_file(model, source, estimate, subtype="FLOAT"):
            pass
        listeners = [
            preview.Preview(source, Path(folder, "preview.webm"), peak=1.0),
            mixing.File(source, target, strength=0.8),
            report.Levels(source, strength=0.8),
        ]
        for _ in mixing.observe(source, estimate, *listeners):
            pass
        plot.compare_files(source, target)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
