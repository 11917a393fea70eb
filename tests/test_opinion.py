"""The opinion that is trained on is DNSMOS."""

from pathlib import Path

import torch

from denoiser import audio, metrics
from training.opinion import opinion

SAMPLES = Path(__file__).parent.parent / "samples"


def test_it_is_the_reference_implementation():
    for name in ("noisy/rain.flac", "clean/rain.flac"):
        wave, rate = audio.read(SAMPLES / name)
        at_16 = audio.resample(wave, rate, 16000)
        nine = at_16.repeat(9, 1).reshape(1, -1)[:, :144160]  # the reference repeats it to 9.01 s
        theirs = metrics.dnsmos(enhanced=nine[0], sample_rate=16000)
        ours = opinion(torch.from_numpy(audio.resample(nine, 16000, 48000)))[0]
        for value, key in zip(ours, ("sig", "bak", "ovrl"), strict=True):
            assert abs(float(value) - theirs[key]) < 0.02, key
