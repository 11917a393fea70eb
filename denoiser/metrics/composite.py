"""Composite measures CSIG, CBAK, COVL: opinions of speech, background and both.

Hu and Loizou, "Evaluation of objective quality measures for speech enhancement" (IEEE TASLP 16(1),
2008), with the constants of Loizou's published code, so that the numbers compare with those of
papers: samples within -1..1 plus a small offset, frames of 30 ms every 7.5 ms with a Hann window,
LLR and WSS without their worst 5 % of frames, and wide-band PESQ at 16 kHz.

Shapes: waves (T,), frames (N, S) of S samples, energies (N, 25) of critical bands in dB.
"""

import numpy as np

SAMPLE_RATE = 16000  # Hz, for all functions here
FRAME, HOP, N_FFT = 480, 120, 1024  # samples
OFFSET = np.finfo(np.float64).eps  # added to samples; also the minimum energy of a frame
KEPT = 0.95  # fraction of the frames, best first, in the means of LLR and WSS
LPC_ORDER = 16
WSS_SCALE = 1 / 32768  # Loizou's factor for samples before WSS: bands below -100 dB become equal
SEGMENT_DB = -10.0, 35.0  # limits of a frame's SNR

# Critical bands: centres and widths in Hz
# fmt: off
CENTRES = np.array([
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.3,
    1288.72, 1442.54, 1610.7, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17,
    3597.63,
])
WIDTHS = np.array([
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423,
    153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465,
    346.136,
])
# fmt: on


def combine(pesq: float, llr: float, wss: float, seg_snr: float) -> dict[str, float]:
    """The three regressions on ratings (Hu and Loizou 2008, section V), each limited to 1..5."""
    scores = {
        "csig": 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        "cbak": 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * seg_snr,
        "covl": 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    }
    return {name: min(max(score, 1.0), 5.0) for name, score in scores.items()}


def segmental_snr(enhanced: np.ndarray, clean: np.ndarray) -> float:
    """Mean SNR of the frames in dB, each limited to -10..35 dB."""
    clean, enhanced = _frames(clean), _frames(enhanced)
    signal, error = np.square(clean).sum(1), np.square(clean - enhanced).sum(1)
    snr_db = 10 * np.log10(signal / (error + OFFSET) + OFFSET)
    return float(np.clip(snr_db, *SEGMENT_DB).mean())


def llr(enhanced: np.ndarray, clean: np.ndarray) -> float:
    """Log-likelihood ratio of the linear predictors: 0 for equal spectral envelopes."""
    lags, lags_enhanced = (_autocorrelation(_frames(wave)) for wave in (clean, enhanced))
    order = np.arange(LPC_ORDER + 1)
    toeplitz = lags[:, np.abs(order[:, None] - order)]  # (N, 17, 17)
    filters = (_predictor(lags_enhanced), _predictor(lags))
    used, best = (np.einsum("ni,nij,nj->n", a, toeplitz, a) for a in filters)
    return _mean_of_best(np.log(np.maximum(used, OFFSET) / np.maximum(best, OFFSET)))


def wss(enhanced: np.ndarray, clean: np.ndarray) -> float:
    """Weighted spectral slope distance (Klatt 1982) of the critical bands, in dB squared.

    The slopes of the loudest bands, and of those near a local peak, have the largest weights.
    """
    energies = [_band_energies(_frames(wave) * WSS_SCALE) for wave in (clean, enhanced)]
    clean_slope, slope = (np.diff(energy, axis=1) for energy in energies)
    weight = np.sum([_slope_weights(energy) for energy in energies], axis=0)
    distance = (weight * np.square(clean_slope - slope)).sum(1) / weight.sum(1)
    return _mean_of_best(distance)


def _frames(wave: np.ndarray) -> np.ndarray:
    """(T,) -> windowed frames (N, 480), without the last one, as in the original code."""
    count = (len(wave) - FRAME) // HOP
    if count < 1:
        raise ValueError(f"composite scores need at least {FRAME + HOP} samples, got {len(wave)}")
    wave = wave.astype(np.float64) + OFFSET
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[: count * HOP : HOP]
    return frames * np.hanning(FRAME + 2)[1:-1]


def _mean_of_best(distances: np.ndarray) -> float:
    return float(np.sort(distances)[: round(len(distances) * KEPT)].mean())


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Frames (N, S) -> autocorrelation at lags 0 to LPC_ORDER, (N, 17)."""
    lags = (frames[:, : FRAME - k] * frames[:, k:] for k in range(LPC_ORDER + 1))
    return np.stack([products.sum(1) for products in lags], 1)


def _predictor(lags: np.ndarray) -> np.ndarray:
    """Levinson-Durbin: autocorrelation (N, 17) -> prediction error filter 1, -a1, ... per frame."""
    error, energy = np.zeros_like(lags), lags[:, :1]
    error[:, 0] = 1.0
    for i in range(1, LPC_ORDER + 1):
        mismatch = (error[:, :i] * lags[:, i:0:-1]).sum(1, keepdims=True)
        reflection = -mismatch / np.maximum(energy, OFFSET)
        error[:, 1 : i + 1] += reflection * error[:, i - 1 :: -1][:, :i]
        energy = energy * (1 - reflection**2)
    return error


def _band_energies(frames: np.ndarray) -> np.ndarray:
    """(N, S) -> energies of the critical bands in dB, (N, 25), at least -100 dB."""
    bins = np.arange(N_FFT // 2)
    hz_per_bin = SAMPLE_RATE / N_FFT
    away = (bins - np.floor(CENTRES / hz_per_bin)[:, None]) / (WIDTHS / hz_per_bin)[:, None]
    filters = np.exp(-11 * away**2) * (WIDTHS[0] / WIDTHS)[:, None]
    filters[filters <= np.exp(-30 / (2 * 2.303))] = 0.0
    power = np.square(np.abs(np.fft.rfft(frames, N_FFT)[:, :-1]))
    return 10 * np.log10(np.maximum(power @ filters.T, 1e-10))


def _slope_weights(energy: np.ndarray) -> np.ndarray:
    """Band energies (N, 25) in dB -> weights of the slopes between them, (N, 24).

    The local peak of a rising slope lies above it, that of a falling slope below. Loizou's code
    stops one band short of a peak above, and so do published scores.
    """
    slope = np.diff(energy, axis=1)
    band = np.arange(slope.shape[1])
    falls = np.where(slope <= 0, band, len(band))
    rises = np.where(slope > 0, band, -1)
    above = np.minimum.accumulate(falls[:, ::-1], axis=1)[:, ::-1] - 1
    below = np.maximum.accumulate(rises, axis=1) + 1
    peak = np.take_along_axis(energy, np.where(slope > 0, above, below), axis=1)
    overall = 20 / (20 + energy.max(1, keepdims=True) - energy[:, :-1])
    return overall / (1 + peak - energy[:, :-1])
