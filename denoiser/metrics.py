"""How good is it? Scores of enhanced speech, all called metric(enhanced=, clean=, sample_rate=).

Signals are mono float arrays (T,) of the same length. PESQ and STOI need the packages in
training/requirements.txt.
"""

import numpy as np

from denoiser import audio


def si_sdr(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 3)."""
    enhanced, clean = (wave.astype(np.float64) - wave.mean() for wave in (enhanced, clean))
    target = clean * (enhanced @ clean / (clean @ clean + 1e-20))
    error = enhanced - target
    return float(10 * np.log10((target @ target + 1e-20) / (error @ error + 1e-20)))


def pesq(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ, 1.0 to 4.64 (ITU-T P.862.2), at 16 kHz. Raises ValueError without speech."""
    from pesq import PesqError
    from pesq import pesq as reference

    enhanced, clean = (_at(wave, sample_rate, 16000) for wave in (enhanced, clean))
    try:
        return float(reference(16000, clean, enhanced, "wb"))
    except PesqError as error:
        raise ValueError(f"PESQ found no speech to score: {error}") from error


def stoi(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, 0 to 1 (Taal et al. 2011)."""
    from pystoi import stoi as reference

    return float(reference(clean, enhanced, sample_rate))


def estoi(*, enhanced: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Extended STOI, 0 to 1 (Jensen and Taal 2016)."""
    from pystoi import stoi as reference

    return float(reference(clean, enhanced, sample_rate, extended=True))


def _at(wave: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    return audio.resample(wave[None].astype(np.float32), sample_rate, wanted)[0]
