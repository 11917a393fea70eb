"""Scores of enhanced speech: metric(enhanced=, clean=, sample_rate=), keyword-only.

Signals are mono float arrays (T,) within -1..1, enhanced and clean of the same length; anything
else raises ValueError. Metrics without a reference have no `clean`. The packages come with the
extra `score`; MissingExtra names it.
"""

import numpy as np

from denoiser import audio
from denoiser.errors import needing
from denoiser.metrics import composite

LEAST_JUDGED_SECONDS = 0.1  # for DNSMOS, which repeats a recording up to 9 s
DNSMOS_NAMES = {"ovrl": "ovrl_mos", "sig": "sig_mos", "bak": "bak_mos", "p808": "p808_mos"}


def si_sdr(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 3)."""
    _check(enhanced, clean)
    enhanced, clean = (wave.astype(np.float64) - wave.mean() for wave in (enhanced, clean))
    target = clean * (enhanced @ clean / (clean @ clean + 1e-20))
    error = enhanced - target
    return float(10 * np.log10((target @ target + 1e-20) / (error @ error + 1e-20)))


def pesq(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ, 1.0 to 4.64 (ITU-T P.862.2), at 16 kHz. Raises ValueError without speech."""
    return _pesq(enhanced, clean, sample_rate, "wb")


def pesq_nb(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Narrow-band PESQ, 1.0 to 4.55 (ITU-T P.862 and P.862.1), in the telephone band, at 16 kHz."""
    return _pesq(enhanced, clean, sample_rate, "nb")


def stoi(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, 0 to 1 (Taal et al. 2011)."""
    with needing("score"):
        from pystoi import stoi as reference

    _check(enhanced, clean)
    return float(reference(clean, enhanced, sample_rate))


def estoi(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Extended STOI, 0 to 1 (Jensen and Taal 2016)."""
    with needing("score"):
        from pystoi import stoi as reference

    _check(enhanced, clean)
    return float(reference(clean, enhanced, sample_rate, extended=True))


def opinions(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Composite measures, 1 to 5, of speech, background and both (Hu and Loizou 2008), at 16 kHz.

    Keys csig, cbak and covl, and wide-band pesq, from which they are computed.
    """
    _check(enhanced, clean)
    rate = composite.SAMPLE_RATE
    enhanced, clean = (_at(wave, sample_rate, rate) for wave in (enhanced, clean))
    wide_band = _pesq(enhanced, clean, rate, "wb")
    parts = (
        part(enhanced, clean) for part in (composite.llr, composite.wss, composite.segmental_snr)
    )
    return {"pesq": wide_band} | composite.combine(wide_band, *parts)


def dnsmos(*, enhanced: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Ratings predicted without a reference, 1 to 5: keys ovrl, sig, bak (P.835) and p808.

    Reddy et al. 2022 and 2021, at 16 kHz; samples above full scale are clipped, as in a file.
    Raises ValueError for less than 0.1 s.
    """
    with needing("score"):
        from speechmos import dnsmos as reference

    _check(enhanced)
    if len(enhanced) < LEAST_JUDGED_SECONDS * sample_rate:
        raise ValueError(f"DNSMOS needs at least {LEAST_JUDGED_SECONDS} s.")
    wave = np.clip(_at(enhanced, sample_rate, 16000), -1.0, 1.0)
    scores = reference.run(wave, 16000)
    return {ours: float(scores[theirs]) for ours, theirs in DNSMOS_NAMES.items()}


def _pesq(enhanced: np.ndarray, clean: np.ndarray, sample_rate: int, mode: str) -> float:
    with needing("score"):
        from pesq import PesqError
        from pesq import pesq as reference

    _check(enhanced, clean)
    enhanced, clean = (_at(wave, sample_rate, 16000) for wave in (enhanced, clean))
    try:
        return float(reference(16000, clean, enhanced, mode))
    except PesqError as error:
        raise ValueError(f"PESQ found no speech to score: {error}") from error


def _check(*waves: np.ndarray) -> None:
    """Raises ValueError unless all waves are mono, (T,), and of equal length."""
    shapes = {wave.shape for wave in waves}
    if len(shapes) > 1 or len(*shapes) != 1:
        got = " and ".join(map(str, (wave.shape for wave in waves)))
        raise ValueError(f"expected mono signals (samples,) of equal length, got {got}")


def _at(wave: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    return audio.resample(wave[None].astype(np.float32), sample_rate, wanted)[0]
