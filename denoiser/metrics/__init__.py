"""Scores of enhanced speech: metric(enhanced=, clean=, sample_rate=), keyword-only."""

from denoiser.metrics.scores import (
    LEAST_JUDGED_SECONDS,
    dnsmos,
    estoi,
    loudness,
    noise_floor,
    opinions,
    pesq,
    pesq_nb,
    si_sdr,
    stoi,
)

__all__ = [
    "LEAST_JUDGED_SECONDS",
    "dnsmos",
    "estoi",
    "loudness",
    "noise_floor",
    "opinions",
    "pesq",
    "pesq_nb",
    "si_sdr",
    "stoi",
]
