"""Scores of enhanced speech: metric(enhanced=, clean=, sample_rate=), keyword-only."""

from typing import NamedTuple

from denoiser.metrics.scores import (
    LEAST_JUDGED_SECONDS,
    dnsmos,
    estoi,
    opinions,
    pesq,
    pesq_nb,
    si_sdr,
    stoi,
)

__all__ = [
    "DNSMOS",
    "HEADLINE",
    "LEAST_JUDGED_SECONDS",
    "METRICS",
    "dnsmos",
    "estoi",
    "opinions",
    "pesq",
    "pesq_nb",
    "si_sdr",
    "stoi",
]


class Metric(NamedTuple):
    """How to print a score."""

    title: str
    decimals: int


METRICS = {
    "pesq": Metric("PESQ-WB", 3),
    "estoi": Metric("ESTOI", 3),
    "stoi": Metric("STOI", 3),
    "si_sdr": Metric("SI-SDR, dB", 2),
    "csig": Metric("CSIG", 2),
    "cbak": Metric("CBAK", 2),
    "covl": Metric("COVL", 2),
    "ovrl": Metric("OVRL", 2),
    "sig": Metric("SIG", 2),
    "bak": Metric("BAK", 2),
    "p808": Metric("P.808", 2),
    "pesq_nb": Metric("PESQ-NB", 3),
}
DNSMOS = ("ovrl", "sig", "bak", "p808")
HEADLINE = ("pesq", "estoi", "si_sdr", "ovrl")  # for short tables
