"""One run of the model, and everything the page makes of it."""

import numpy as np
import pytest
from sounds import reference_loudness

from denoiser import audio, metrics
from denoiser.audio.layouts import convert
from denoiser.levels import survey
from denoiser.mixing import File, add_noise, observe, remix, to_mono
from denoiser.preview import Outline, Preview
from denoiser.report import Levels, report

RATE = 16000


def speechlike(seconds: float, channels: int = 1) -> np.ndarray:
    """Half a second of a tone at -9 dBFS, half a second of pause, and so on."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 0.5 * np.sin(2 * np.pi * 400 * t) * (t % 1 < 0.5)
    return np.stack([wave / (c + 1) for c in range(channels)]).astype(np.float32)


@pytest.fixture(params=[1, 2, 3])
def files(request, tmp_path):
    """A noisy recording in 24 bit, its estimate in 32 bit float (more than one block), both."""
    clean = speechlike(12.345, request.param)
    noise = np.random.default_rng(0).standard_normal(clean.shape) * 0.01
    noisy = clean + noise.astype(np.float32)
    audio.write(tmp_path / "talk.wav", noisy, RATE, "PCM_24")
    audio.write(tmp_path / "estimate.wav", clean, RATE, "FLOAT")
    return tmp_path / "talk.wav", tmp_path / "estimate.wav", audio.read(tmp_path / "talk.wav")[0]


@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_every_strength_is_the_mixture_to_the_last_bit(files, tmp_path, strength):
    source, estimate, noisy = files
    remix(source, estimate, tmp_path / "out.wav", strength=strength)
    clean = audio.read(estimate)[0]
    expected = noisy + np.float32(strength) * (clean - noisy)
    out = audio.read(tmp_path / "out.wav")[0]
    assert np.abs(out - expected).max() <= 2**-24
    assert audio.info(tmp_path / "out.wav").subtype == "PCM_24"


def test_what_is_removed_and_what_is_kept_are_the_recording(files, tmp_path):
    source, estimate, noisy = files
    remix(source, estimate, tmp_path / "kept.wav", strength=0.6)
    remix(source, estimate, tmp_path / "removed.wav", strength=0.6, removed=True)
    both = audio.read(tmp_path / "kept.wav")[0] + audio.read(tmp_path / "removed.wav")[0]
    assert np.abs(both - noisy).max() < 2**-22


def preview(source, enhanced, target, *, peak: float) -> dict[str, list[float]]:
    """One pass for the player's file and what it draws."""
    outline = Outline(audio.info(source).sample_rate)
    list(observe(source, enhanced, Preview(source, target, peak=peak), outline))
    return outline.columns()


def test_the_preview_holds_both_side_by_side(files, tmp_path):
    source, estimate, noisy = files
    preview(source, estimate, tmp_path / "preview.flac", peak=0.5)
    both, rate = audio.read(tmp_path / "preview.flac")
    clean = audio.read(estimate)[0]
    if len(noisy) > 2:
        noisy, clean = (convert(wave, "3.0", "stereo") for wave in (noisy, clean))
    assert rate == RATE
    assert np.abs(both - np.concatenate((noisy, clean))).max() < 2**-15


def test_the_outline_of_the_preview_is_the_peaks(files, tmp_path):
    source, estimate, noisy = files
    outlines = preview(source, estimate, tmp_path / "preview.flac", peak=1.0)
    assert len(outlines["before"]) == len(outlines["after"]) == 1235
    assert max(outlines["before"]) == pytest.approx(np.abs(noisy).max(), abs=1e-4)
    loud = np.array(outlines["after"]) > 0.4  # the tone sounds in half of the time
    assert loud.mean() == pytest.approx(0.5, abs=0.06)


def test_the_preview_of_a_long_recording_is_small_and_keeps_both_apart(tmp_path):
    """Opus: 45 minutes in less than 100 MB; noise of one side is not heard in the other."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 20 * 48000)).astype(np.float32)
    quiet = np.zeros_like(noise)
    for name, wave in (("talk", noise), ("enhanced", quiet)):
        audio.write(tmp_path / f"{name}.wav", wave, 48000, "FLOAT")
    source, enhanced, target = (tmp_path / n for n in ("talk.wav", "enhanced.wav", "p.webm"))
    preview(source, enhanced, target, peak=1.0)
    assert target.stat().st_size * 45 * 60 / 20 < 100e6
    both, rate = audio.read(target)
    assert (rate, len(both), both.shape[1]) == (48000, 4, 20 * 48000)
    before, after = np.sqrt(np.square(both[:2]).mean()), np.sqrt(np.square(both[2:]).mean())
    assert before == pytest.approx(0.1, rel=0.1)
    assert after < 1e-4


def test_one_pass_gives_all_listeners_what_each_gets_alone(files, tmp_path, monkeypatch):
    source, enhanced, _ = files
    remix(source, enhanced, tmp_path / "alone.wav", strength=0.6)
    alone, read, blocks = report(source, enhanced, strength=0.6), [], audio.blocks
    monkeypatch.setattr(audio, "blocks", lambda path, **more: read.append(path) or blocks(path))
    levels = Levels(source, 0.6)
    listeners = [
        File(source, tmp_path / "together.wav", strength=0.6),
        levels,
        Preview(source, tmp_path / "preview.flac", peak=1.0),
    ]
    shares = list(observe(source, enhanced, *listeners))
    assert sorted(read) == sorted([source, enhanced])
    assert shares == [10 * RATE, round(12.345 * RATE)]
    assert levels.numbers() == alone
    files = [(tmp_path / f"{name}.wav").read_bytes() for name in ("alone", "together")]
    assert files[0] == files[1]


def test_a_pass_that_nobody_waits_for_leaves_no_file(files, tmp_path):
    source, enhanced, _ = files
    there = set(tmp_path.iterdir())
    listeners = [
        File(source, tmp_path / "out.flac"),
        Preview(source, tmp_path / "preview.flac", peak=1.0),
    ]
    work = observe(source, enhanced, *listeners)
    next(work)
    assert len(set(tmp_path.iterdir()) - there) == 2
    work.close()
    assert set(tmp_path.iterdir()) == there


def test_mono_is_the_mean_of_left_and_right_and_less_of_the_centre(files, tmp_path):
    source, _, noisy = files
    to_mono(source, tmp_path / "mono.wav")
    mono = audio.read(tmp_path / "mono.wav")[0]
    assert mono.shape == (1, noisy.shape[1])
    weights = np.array([1, 1, 10 ** (-3 / 20)][: len(noisy)])
    assert np.abs(mono - weights @ noisy / weights.sum()).max() < 2**-22
    assert audio.info(tmp_path / "mono.wav").subtype == "PCM_24"


@pytest.mark.parametrize("snr_db", [-5, 20])
def test_added_noise_is_as_loud_as_asked_and_repeated_to_the_end(tmp_path, snr_db):
    speech = 0.2 * speechlike(12.0, 2)
    noise = 0.3 * np.random.default_rng(0).standard_normal((1, 5 * 8000)).astype(np.float32)
    audio.write(tmp_path / "speech.wav", speech, RATE, "FLOAT")
    audio.write(tmp_path / "noise.wav", noise, 8000, "FLOAT")
    add_noise(*(tmp_path / f"{name}.wav" for name in ("speech", "noise", "mix")), snr_db=snr_db)
    added = audio.read(tmp_path / "mix.wav")[0] - speech
    active = np.square(speech[0, : RATE // 2]).mean() / 2  # half of what is compared is pause
    for part in (added[:, :RATE], added[:, -RATE:]):
        snr = 10 * np.log10(active / np.square(part).mean())
        assert snr == pytest.approx(snr_db, abs=1.0)


def test_a_mixture_is_turned_down_rather_than_clipped(tmp_path):
    for name in ("speech", "noise"):
        audio.write(tmp_path / f"{name}.wav", 1.9 * speechlike(2.0), RATE)
    add_noise(*(tmp_path / f"{name}.wav" for name in ("speech", "noise", "mix")), snr_db=0)
    assert np.abs(audio.read(tmp_path / "mix.wav")[0]).max() == pytest.approx(0.98, abs=1e-3)


def test_silence_cannot_be_mixed(tmp_path):
    audio.write(tmp_path / "speech.wav", speechlike(1.0), RATE)
    audio.write(tmp_path / "hush.wav", np.zeros((1, RATE), np.float32), RATE)
    with pytest.raises(audio.AudioError, match="hush.wav contains only silence"):
        add_noise(tmp_path / "speech.wav", tmp_path / "hush.wav", tmp_path / "m.wav", snr_db=0)


def test_the_preview_of_a_studio_recording_is_what_browsers_play(tmp_path):
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 96000)).astype(np.float32)
    for name in ("talk.wav", "estimate.wav"):
        audio.write(tmp_path / name, wave, 96000, "FLOAT")
    preview(tmp_path / "talk.wav", tmp_path / "estimate.wav", tmp_path / "preview.flac", peak=0.5)
    both, rate = audio.read(tmp_path / "preview.flac")
    assert (rate, both.shape) == (48000, (2, 48000))


def test_another_recording_than_the_estimates_is_refused(files, tmp_path):
    source, estimate, noisy = files
    audio.write(source, np.concatenate((noisy, noisy), axis=1), RATE)
    with pytest.raises(audio.AudioError, match="is longer than its denoised version"):
        remix(source, estimate, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_damage_is_said_of_a_recording_that_becomes_mono(tmp_path):
    audio.write(tmp_path / "whole.flac", speechlike(3, 2), RATE)
    (tmp_path / "half.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:-9000])
    said = []
    to_mono(tmp_path / "half.flac", tmp_path / "mono.wav", notify=said.append)
    assert said == ["half.flac is damaged or cut off: 1.6 of 3.0 s are missing; the rest is kept."]


@pytest.mark.parametrize(
    ("rate", "shape", "sentence"),
    [
        (RATE, (1, 8001), "after.wav is longer than before.wav: denoise the original again."),
        (RATE, (2, 8000), "before.wav and after.wav differ in rate or channels."),
        (2 * RATE, (1, 8000), "before.wav and after.wav differ in rate or channels."),
    ],
)
def test_recordings_that_do_not_belong_together_are_not_compared(tmp_path, rate, shape, sentence):
    audio.write(tmp_path / "before.wav", np.zeros((1, 8000), np.float32), RATE)
    audio.write(tmp_path / "after.wav", np.zeros(shape, np.float32), rate)
    with pytest.raises(audio.AudioError) as error:
        report(tmp_path / "before.wav", tmp_path / "after.wav")
    assert str(error.value) == sentence


def test_report_measures_floor_snr_loudness_and_peak(files):
    source, estimate, noisy = files
    clean = audio.read(estimate)[0]
    result = report(source, estimate)
    assert result["seconds"] == pytest.approx(12.345)
    assert (result["sample_rate"], result["channels"]) == (RATE, len(noisy))
    before, after = result["before"], result["after"]
    assert before["noise_floor_db"] == pytest.approx(-40, abs=0.5)  # noise of 0.01
    assert after["noise_floor_db"] == -140
    active = 10 * np.log10(np.square(clean[:, : RATE // 2]).mean())
    assert before["snr_db"] == pytest.approx(active + 40, abs=0.7)
    assert after["peak_dbfs"] == pytest.approx(-6.02, abs=0.01)
    for side, wave in (("before", noisy), ("after", clean)):
        reference = reference_loudness(wave.T, RATE)
        assert result[side]["loudness_lufs"] == pytest.approx(reference, abs=0.1)
    assert result["remark"] is None


def test_too_little_for_dnsmos_is_a_sentence(tmp_path):
    """It repeats a recording until it lasts 9 s: of nothing, for ever."""
    audio.write(tmp_path / "click.wav", np.full((1, 1), 0.1, np.float32), 48_000)
    with pytest.raises(audio.AudioError, match=r"click\.wav is too short for DNSMOS"):
        report(tmp_path / "click.wav", tmp_path / "click.wav", dnsmos=True)
    with pytest.raises(ValueError, match=r"at least 0\.1 s"):
        metrics.dnsmos(enhanced=np.zeros(1, np.float32), sample_rate=48_000)


def test_report_at_half_strength_lies_between(files):
    source, estimate, _ = files
    half = report(source, estimate, strength=0.5)
    assert half["after"]["noise_floor_db"] == pytest.approx(-46, abs=0.5)


@pytest.mark.parametrize(("kept", "start"), [(1.0, "Almost nothing"), (0.05, "Almost everything")])
def test_report_says_when_nothing_or_all_was_removed(files, kept, start):
    source, estimate, noisy = files
    audio.write(estimate, kept * noisy, RATE, "FLOAT")
    assert report(source, estimate)["remark"].startswith(start)


def test_the_preview_of_what_is_above_full_scale_has_no_flat_tops(tmp_path):
    wave = 4 * speechlike(1.0, 2)
    for name in ("talk.wav", "estimate.wav"):
        audio.write(tmp_path / name, wave, RATE, "FLOAT")
    peak = float(np.abs(wave).max())
    preview(tmp_path / "talk.wav", tmp_path / "estimate.wav", tmp_path / "p.flac", peak=peak)
    both = audio.read(tmp_path / "p.flac")[0]
    assert np.abs(both).max() == pytest.approx(0.9, abs=1e-3)
    assert np.abs(both - 0.9 / peak * np.concatenate((wave, wave))).max() < 2**-14


def test_a_noise_of_unrelated_channels_has_the_level_that_is_asked_for(tmp_path):
    """Mixed to one they are 3 dB quieter; that is what is compared."""
    speech = 0.2 * speechlike(4.0)
    hiss = 0.1 * np.random.default_rng(0).standard_normal((2, 4 * RATE)).astype(np.float32)
    audio.write(tmp_path / "speech.wav", speech, RATE, "FLOAT")
    audio.write(tmp_path / "hiss.wav", hiss, RATE, "FLOAT")
    add_noise(*(tmp_path / f"{name}.wav" for name in ("speech", "hiss", "mix")), snr_db=10)
    added = audio.read(tmp_path / "mix.wav")[0] - speech
    power = survey([speech], RATE).power
    assert 10 * np.log10(power / np.square(added).mean()) == pytest.approx(10, abs=1)
