"""A loudness that is asked for is met, and no peak, between samples either, is above -1 dBTP."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import butter, resample_poly, sosfilt

from denoiser.levels import Meter
from denoiser.loudness import Limiter, true_peak

RATE = 48000


def limited(wave: np.ndarray, pieces: int = 10_000, rate: int = RATE) -> np.ndarray:
    limiter = Limiter(rate, len(wave))
    out = [limiter.push(wave[:, n : n + pieces]) for n in range(0, wave.shape[1], pieces)]
    return np.concatenate([*out, limiter.flush()], axis=1)


def sine(hz: float, seconds: float, gain: float, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (gain * np.sin(2 * np.pi * hz * t + phase)).astype(np.float32)[None]


@pytest.mark.parametrize(("phase", "factor"), [(0, 4), (45, 4), (60, 4)])
def test_true_peak_is_that_of_ebu_tech_3341(phase, factor):
    """Test signals 15 to 17: a quarter of the rate, 0.5 of full scale, whatever the phase."""
    wave = sine(RATE / factor, 1.0, 0.5, np.deg2rad(phase))
    wave *= np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 480)  # no edges
    assert 20 * np.log10(true_peak(wave)) == pytest.approx(-6.0, abs=0.2)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(-23, 20)], -23.0),  # 1
        ([(-33, 20)], -33.0),  # 2
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),  # 3: pauses do not count
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),  # 4
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),  # 5
    ],
)
def test_loudness_is_that_of_ebu_tech_3341(levels, expected):
    """Stereo sines of 1 kHz, each at a level in dBFS (of its peak) for some seconds."""
    meter = Meter(RATE, "stereo")
    for level_db, seconds in levels:
        meter.add(np.repeat(sine(1000, seconds, 10 ** (level_db / 20)), 2, axis=0))
    assert meter.summary()["loudness_lufs"] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_above_the_ceiling_between_samples_either(channels):
    """Noise up to 20 kHz, a part of it far too loud."""
    noise = np.random.default_rng(0).standard_normal((channels, 2 * RATE))
    noise[:, RATE : RATE + 2000] *= 6
    wave = sosfilt(butter(12, 20_000, fs=RATE, output="sos"), 0.4 * noise).astype(np.float32)
    out = limited(wave)
    assert out.shape == wave.shape
    for finer, most in ((4, -0.99), (16, -0.7)):  # BS.1770 looks at 4 points a sample
        peak = np.abs(resample_poly(out, finer, 1, axis=1, window=("kaiser", 12))).max()
        assert 20 * np.log10(peak) < most
    assert true_peak(out) < 10 ** (-1 / 20)


def test_what_is_below_the_ceiling_is_left_alone():
    wave = sine(300, 1.0, 0.3)
    np.testing.assert_array_equal(limited(wave), wave)


def test_pieces_make_no_difference():
    wave = sine(200, 1.0, 1.5) + sine(3100, 1.0, 0.4)
    whole = limited(wave, 10**9)
    for pieces in (7, 1000):
        np.testing.assert_allclose(limited(wave, pieces), whole, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 5, 300])
def test_the_shortest_recordings_keep_their_length(samples):
    assert limited(np.full((1, samples), 2.0, np.float32)).shape == (1, samples)


def test_a_peak_is_turned_down_before_it_comes_and_the_rest_comes_back():
    wave = sine(1000, 1.0, 0.1)
    wave[:, RATE // 2] = 3.0
    out = limited(wave)
    gain = np.abs(out / np.where(wave == 0, 1, wave))[0]
    assert abs(out[0, RATE // 2]) < 0.9
    assert gain[RATE // 2 - 300] == pytest.approx(1)  # 6 ms before
    assert gain[-5] == pytest.approx(1, abs=0.01)  # half a second later


def test_a_loud_plosive_costs_speech_little_of_its_loudness():
    """Modulated noise at -16 LUFS once it is 20 dB louder, with one thump of full scale in it."""
    rng = np.random.default_rng(0)
    t = np.arange(10 * RATE) / RATE
    speech = 0.012 * rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 2 * t) > 0)
    thump = np.exp(-((t - 5) ** 2) / 2e-4) * np.sin(2 * np.pi * 60 * t)
    wave = (speech + 0.9 * thump).astype(np.float32)[None]
    meter = pyloudnorm.Meter(RATE)
    gain_db = -16 - meter.integrated_loudness(speech[:, None])
    out = limited((10 ** (gain_db / 20) * wave).astype(np.float32))
    assert gain_db > 10
    assert meter.integrated_loudness(out.T) == pytest.approx(-16, abs=0.5)
    assert true_peak(out) < 10 ** (-1 / 20)
