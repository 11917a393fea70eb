"""What nobody hears rules neither the gain nor the report nor an added noise."""

import numpy as np
import pytest
from sounds import noise, reference_loudness

import denoiser
from denoiser import audio, levels, metrics
from denoiser.mixing import add_noise
from denoiser.offline import level_gain
from denoiser.report import report

RATE = 48_000
ROOT = audio.__file__.rsplit("/denoiser/", 1)[0]


def at(dbfs: float, wave: np.ndarray) -> np.ndarray:
    return wave * np.float32(10 ** (dbfs / 20) / np.sqrt(np.square(wave).mean()))


@pytest.fixture(scope="module")
def quiet() -> tuple[np.ndarray, np.ndarray]:
    """A voice at -42 dBFS alone, and with faint noise under it, (1, 6 s)."""
    voice = audio.read(f"{ROOT}/samples/clean/rain.flac")[0]
    voice = at(-42, np.resize(voice, (1, 6 * RATE)))
    return voice, voice + at(-62, noise(6 * RATE, seed=5))


def click(wave, size):
    wave[0, 100] = size
    return wave


def slam(wave, size):
    """A tenth of a second, below 200 Hz."""
    burst = np.sin(np.arange(4800) * 0.02) * np.hanning(4800)
    wave[0, 4800:9600] += size * burst.astype(np.float32)
    return wave


def offset(wave, size):
    return wave + np.float32(size)


def rumble(wave, size):
    """5 Hz: below what is heard."""
    return wave + size * np.sin(2 * np.pi * 5 * np.arange(wave.shape[1]) / RATE).astype(np.float32)


def ultrasound(wave, size):
    """22 kHz, as switched power supplies give it."""
    t = np.arange(wave.shape[1]) / RATE
    return wave + size * np.sin(2 * np.pi * 22_000 * t).astype(np.float32)


DISTURBANCES = [(click, 1), (click, 100), (click, 17_000), (click, 1e10), (slam, 0.95),
                (offset, 0.01), (offset, 0.3), (rumble, 0.1), (ultrasound, 0.1)]  # fmt: skip


@pytest.mark.parametrize(("disturb", "size"), DISTURBANCES)
def test_the_gain_is_that_of_the_voice(quiet, disturb, size):
    gains = [level_gain([wave], RATE) for wave in (quiet[1], disturb(quiet[1].copy(), size))]
    assert 20 * np.log10(gains[1] / gains[0]) == pytest.approx(0, abs=1)


def test_clicks_in_every_stretch_do_not_count():
    """Ten samples of 0.9 in each 0.4 s have 7 dB more power than the hiss of -40 dBFS."""
    hiss = at(-40, noise(6 * RATE))
    clicked = hiss.copy()
    for start in range(5000, hiss.shape[1], round(0.4 * RATE)):
        clicked[0, start : start + 10] = 0.9
    powers = [levels.survey([wave], RATE).power for wave in (hiss, clicked)]
    assert 10 * np.log10(powers[1] / powers[0]) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(("disturb", "size"), [each for each in DISTURBANCES if each[0] != click])
def test_the_report_is_that_of_the_voice(quiet, tmp_path, disturb, size):
    for name, wave in (("x", quiet[1]), ("y", disturb(quiet[1].copy(), size))):
        audio.write(tmp_path / f"{name}.wav", wave, RATE, "FLOAT")
    expected, seen = (
        report(tmp_path / f"{name}.wav", tmp_path / f"{name}.wav")["before"] for name in "xy"
    )
    for key in ("noise_floor_db", "snr_db", "loudness_lufs"):
        assert seen[key] == pytest.approx(expected[key], abs=1), key


def test_ultrasound_of_a_studio_recording_does_not_count(quiet, tmp_path):
    wave = audio.resample(quiet[1], RATE, 96_000)
    t = np.arange(wave.shape[1]) / 96_000
    bats = wave + 0.1 * np.sin(2 * np.pi * 30_000 * t).astype(np.float32)
    assert level_gain([bats], 96_000) == pytest.approx(level_gain([wave], 96_000), rel=0.1)
    meters = [levels.Meter(96_000, "mono") for _ in range(2)]
    for meter, each in zip(meters, (wave, bats), strict=True):
        meter.add(each)
    expected, seen = (meter.summary() for meter in meters)
    assert seen["loudness_lufs"] == pytest.approx(expected["loudness_lufs"], abs=1)
    assert seen["noise_floor_db"] == pytest.approx(expected["noise_floor_db"], abs=1)


@pytest.mark.parametrize("size", [1, 17_000])
def test_a_broken_sample_does_not_rule_over_a_loudness(quiet, size):
    meters = [levels.Meter(RATE, "mono") for _ in range(2)]
    for meter, wave in zip(meters, (quiet[1], click(quiet[1].copy(), size)), strict=True):
        meter.add(wave)
    expected, seen = (meter.summary()["loudness_lufs"] for meter in meters)
    assert seen == pytest.approx(expected, abs=1)


def test_loudness_is_that_of_the_reference_implementation(quiet):
    for wave in (quiet[0], np.concatenate((quiet[0], at(-20, noise(3 * RATE))), axis=1)):
        meter = levels.Meter(RATE, "mono")
        meter.add(wave[:, :0])  # nothing changes nothing
        audible = levels.audible(wave, RATE).astype(np.float32)
        meter.add(audible)
        expected = reference_loudness(audible[0], RATE)
        assert meter.summary()["loudness_lufs"] == pytest.approx(expected, abs=0.05)


def test_surrounds_count_more_in_a_loudness_and_low_frequency_effects_nothing():
    """ITU-R BS.1770-4: 1.5 dB more; pyloudnorm knows five channels."""
    import pyloudnorm

    tone = at(-23, np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)[None].astype(np.float32))
    zero = np.zeros_like(tone)
    five = np.concatenate((tone, tone, zero, tone, tone))
    six = np.concatenate((tone, tone, zero, 10 * tone, tone, tone))
    meter = levels.Meter(RATE, "5.1(side)")
    meter.add(six)
    expected = pyloudnorm.Meter(RATE).integrated_loudness(five.T.astype(np.float64))
    assert meter.summary()["loudness_lufs"] == pytest.approx(expected, abs=0.1)


def test_a_silent_side_does_not_lower_the_numbers(quiet):
    one, two = levels.Meter(RATE, "mono"), levels.Meter(RATE, "stereo")
    one.add(quiet[1])
    two.add(np.concatenate((quiet[1], np.zeros_like(quiet[1]))))
    for key, value in one.summary().items():
        assert two.summary()[key] == pytest.approx(value, abs=0.1), key


# ---- the model


@pytest.mark.parametrize("size", [0.01, 0.1, 0.3, -0.3])
def test_a_constant_offset_changes_nothing_in_the_voice(model, quiet, size):
    voice, noisy = quiet

    def score(wave):
        return metrics.si_sdr(enhanced=wave[0, RATE:], clean=voice[0, RATE:], sample_rate=RATE)

    expected = denoiser.denoise(model, noisy, RATE)
    seen = denoiser.denoise(model, noisy + np.float32(size), RATE)
    assert score(seen) == pytest.approx(score(expected), abs=1)
    first = slice(0, RATE // 50)
    assert np.abs(seen[:, first]).max() <= 2 * np.abs(expected[:, first]).max() + 1e-4


@pytest.mark.parametrize("size", [1, 17_000])
def test_a_broken_sample_is_forgotten_within_a_second(model, quiet, size):
    expected = denoiser.denoise(model, quiet[1], RATE)[:, RATE:]
    seen = denoiser.denoise(model, click(quiet[1].copy(), size), RATE)[:, RATE:]
    error = np.square(seen - expected).mean() / np.square(expected).mean()
    assert 10 * np.log10(error) < -30


@pytest.mark.parametrize(("disturb", "size"), [(click, 1), (offset, 0.1), (slam, 0.95)])
def test_added_noise_has_the_level_that_is_asked_for(quiet, tmp_path, disturb, size):
    voice = quiet[0]
    for part in ("voice", "noise"):
        hiss = at(-50, noise(6 * RATE, seed=9))
        voices, hisses = voice.copy(), hiss.copy()
        if part == "voice":
            voices = disturb(voices, size)
        else:
            hisses = disturb(hisses, size)
        for name, wave in (("speech", voices), ("hiss", hisses)):
            audio.write(tmp_path / f"{name}.wav", wave, RATE, "FLOAT")
        add_noise(*(tmp_path / f"{n}.wav" for n in ("speech", "hiss", "mix")), snr_db=5)
        mix, _ = audio.read(tmp_path / "mix.wav")
        turned = np.abs(mix).max() / max(np.abs(voices).max(), np.abs(mix).max())
        added = (mix - turned * voices)[:, RATE:]
        survey = levels.survey([voice], RATE)
        snr_db = 10 * np.log10(survey.power / np.square(added - added.mean()).mean())
        assert snr_db == pytest.approx(5, abs=1.5), part


def test_a_constant_part_of_an_added_noise_stays_out_of_the_mixture(quiet, tmp_path):
    audio.write(tmp_path / "speech.wav", quiet[0], RATE, "FLOAT")
    audio.write(tmp_path / "hiss.wav", 0.3 + at(-50, noise(6 * RATE)), RATE, "FLOAT")
    add_noise(*(tmp_path / f"{name}.wav" for name in ("speech", "hiss", "mix")), snr_db=5)
    assert abs(audio.read(tmp_path / "mix.wav")[0].mean() - quiet[0].mean()) < 1e-4
