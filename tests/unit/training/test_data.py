"""Mixtures are what their record says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sounds import level_of

from denoiser import audio
from training.data import augment, batching
from training.data.cache import AudioCache, Excerpt
from training.data.mixture import MixtureConfig, sample
from training.data.sources import find_sources

PLAIN = MixtureConfig(
    segment=64 * 768,
    reverberant=0,
    tilt=0,
    band_limit=0,
    clip=0,
    speech_only=0,
    noise_only=0,
    babble=0,
    faster=0,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four voices at 16 kHz, three noises at 48 kHz, one room with an echo after 100 ms."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for folder, count, rate in (("clean", 4, 16000), ("noise", 3, 48000)):
        (root / folder).mkdir()
        for n in range(count):
            wave = 0.1 * rng.standard_normal((1, 5 * rate)).astype(np.float32)
            audio.write(root / folder / f"{n}.wav", wave, rate)
    echo = np.zeros((1, 48000), np.float32)
    echo[0, [100, 100 + 4800]] = 0.9, 0.5
    (root / "rir").mkdir()
    audio.write(root / "rir" / "room.wav", echo, 48000)
    return root


@pytest.fixture(scope="module")
def sources(corpus):
    return find_sources([corpus / "clean"], [corpus / "noise"], [corpus / "rir"])[0]


@pytest.fixture
def store(tmp_path):
    return AudioCache(tmp_path / "cache")


def sound(mixtures, store, config):
    return batching.mix(batching.load(mixtures, store, config), mixtures, config)


def test_measured_snr_and_level_are_the_drawn_ones(sources, store):
    mixtures = [sample(sources, PLAIN, seed=3, index=index) for index in range(12)]
    noisy, clean, *_ = sound(mixtures, store, PLAIN)
    noise = (noisy - clean).square().mean(1).sqrt()
    snr_db = 20 * torch.log10(augment.active_rms(clean)[:, 0] / noise)
    assert snr_db.tolist() == pytest.approx([m.snr_db for m in mixtures], abs=0.01)
    level = 20 * torch.log10(augment.active_rms(clean)[:, 0])
    free = noisy.abs().amax(1) < 0.98  # the others were turned down to stay below full scale
    assert free.sum() >= 6
    drawn = torch.tensor([m.level_dbfs for m in mixtures])
    assert (level - drawn)[free].abs().max() < 0.01
    assert (level <= drawn + 0.01).all()
    assert noisy.abs().max() == pytest.approx(0.99, abs=1e-3)  # none is fuller than that


@pytest.mark.parametrize("place", [0.0, 0.25, 0.75])
def test_speech_shorter_than_the_segment_lies_where_chance_put_it(tmp_path, sources, store, place):
    """A share of the silence goes before it, the rest behind it."""
    audio.write(tmp_path / "word.wav", np.full((1, 9152), 0.1, np.float32), 48000)
    word = Excerpt(tmp_path / "word.wav", 0.0)
    mixture = replace(sample(sources, PLAIN, seed=0, index=0), speech=word, place=place)
    speech = batching.load([mixture], store, PLAIN).speech[0]
    heard = speech.nonzero()[:, 0]
    assert (len(speech), len(heard)) == (49152, 9152)
    assert heard[0] == pytest.approx(place * 40000, abs=1)


def made_of(mixture, store) -> np.ndarray:
    """The noise of one mixture (T,), before it is brought to its level."""
    return batching.load([mixture], store, PLAIN).noise[0].numpy()


def test_two_noises_lie_as_far_apart_as_their_gains(tmp_path, sources, store):
    """Tones of 1 and 3 kHz as noises, one of them 10 dB below the other."""
    for khz in (1, 3):
        tone = np.sin(2 * np.pi * 1000 * khz * np.arange(2 * 48000) / 48000)[None]
        audio.write(tmp_path / f"{khz}.wav", (0.1 * khz * tone).astype(np.float32), 48000)
    one, three = (Excerpt(tmp_path / f"{khz}.wav", 0.0) for khz in (1, 3))
    mixture = replace(sample(sources, PLAIN, seed=0, index=0), noises=((one, 0.0), (three, -10.0)))
    wave = made_of(mixture, store)
    levels = [20 * np.log10(level_of(wave, 48000, hz)) for hz in (1000, 3000)]
    assert levels[0] - levels[1] == pytest.approx(10, abs=0.1)


def test_babble_is_as_loud_as_a_noise_at_full_level(sources, store):
    """Beside one at 10 dB below, and on its own."""
    voices = tuple(Excerpt(path, 0.0) for path in sources.clean[:3])
    quiet = ((Excerpt(sources.noise[0], 0.0), -10.0),)
    mixture = replace(sample(sources, PLAIN, seed=0, index=0), noises=quiet)
    powers = [
        np.square(made_of(replace(mixture, babble=babble), store)).mean() for babble in ((), voices)
    ]
    assert powers == pytest.approx([0.1, 1.1], rel=0.05)
    alone = made_of(replace(mixture, noises=(), babble=voices), store)
    assert np.square(alone).mean() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("tilt_db", [8.0, -5.0, 0.0])
def test_a_tilt_is_its_decibels_from_100_hz_to_10_khz(tilt_db):
    """White noise gains or loses as much with every octave, and nothing at 1 kHz."""
    generator = torch.Generator().manual_seed(0)
    wave = torch.randn(1, 2**17, generator=generator)
    response = augment.equaliser(torch.tensor([tilt_db]), torch.tensor([24000.0]), 2**17)
    tilted = augment.filtered(wave, response)
    before, after = (np.abs(np.fft.rfft(each[0])) ** 2 for each in (wave, tilted))
    hz = np.arange(len(before)) * 48000 / 2**17

    def gain_db(centre: float) -> float:
        near = (hz > centre / 1.1) & (hz < centre * 1.1)
        return 10 * np.log10(after[near].sum() / before[near].sum())

    octaves = [gain_db(125 * 2**n) for n in range(7)]  # to 8 kHz
    assert np.diff(octaves) == pytest.approx(tilt_db / np.log2(100), abs=0.1)
    assert gain_db(1000) == pytest.approx(0, abs=0.1)


def test_the_same_seed_and_index_give_the_same_sound(sources, store):
    config = MixtureConfig(segment=64 * 768)
    first, again = (
        [sample(sources, config, seed=1, index=index) for index in range(8)] for _ in range(2)
    )
    assert first == again
    assert torch.equal(sound(first, store, config)[0], sound(again, store, config)[0])
    assert sample(sources, config, seed=1, index=8) not in first


def test_draws_cover_the_ranges_in_the_shares(sources):
    config = MixtureConfig()
    mixtures = [sample(sources, config, seed=0, index=index) for index in range(2000)]
    snrs = [m.snr_db for m in mixtures if math.isfinite(m.snr_db)]
    assert min(snrs) == pytest.approx(-10, abs=0.2)
    assert max(snrs) == pytest.approx(20, abs=0.2)
    speeds = [m.speech.speed for m in mixtures if m.speech and m.speech.speed != 1]
    assert min(speeds) == pytest.approx(0.65, abs=0.02)
    assert max(speeds) == pytest.approx(3, abs=0.05)
    assert np.median(speeds) == pytest.approx(math.sqrt(0.65 * 3), rel=0.1)  # evenly by ratio
    share = {
        "room": config.reverberant,
        "babble": config.babble * (1 - config.speech_only),
        "hum_hz": config.hum * (1 - config.speech_only),
    }
    for name, expected in share.items():
        assert np.mean([bool(getattr(m, name)) for m in mixtures]) == pytest.approx(
            expected, abs=0.03
        )
    assert np.mean([m.speech is None for m in mixtures]) == pytest.approx(0.04, abs=0.015)
    recordings = np.bincount([len(m.noises) for m in mixtures if m.noises]) / 2000
    mixed = 0.96 * 0.92  # neither speech alone nor coloured noise in the recordings' place
    expected = mixed * np.array([0, 0.7 * 0.9, 0.3 * 0.9 + 0.7 * 0.1, 0.3 * 0.1])
    assert recordings == pytest.approx(expected, abs=0.03)
    for tilts in zip(*(m.tilts_db for m in mixtures), strict=True):  # of speech, of noise
        assert np.mean([tilt != 0 for tilt in tilts]) == pytest.approx(0.2, abs=0.03)
        assert min(tilts) == pytest.approx(-8, abs=0.2)
        assert max(tilts) == pytest.approx(8, abs=0.2)


def test_speech_alone_is_its_own_target_and_noise_alone_has_a_silent_one(sources, store):
    for config in (replace(PLAIN, speech_only=1), replace(PLAIN, noise_only=1)):
        mixture = sample(sources, config, seed=0, index=0)
        noisy, clean, *_ = sound([mixture], store, config)
        if config.speech_only:
            assert torch.equal(noisy, clean)
            assert clean.abs().max() > 0.01
        else:
            assert clean.abs().max() == 0
            assert noisy.abs().max() > 0.01


def test_the_target_in_a_room_keeps_the_direct_sound_and_drops_the_late_echo(sources, store):
    config = replace(PLAIN, reverberant=1, speech_only=1)
    mixture = sample(sources, config, seed=0, index=1)
    dry = replace(mixture, room=None)
    noisy, clean, *_ = sound([mixture], store, config)
    _, direct, *_ = sound([dry], store, config)
    clean, direct = clean / clean.norm(), direct / direct.norm()
    assert (clean - direct).norm() < 0.01
    late = noisy / (noisy * clean).sum() - clean
    expected = torch.nn.functional.pad(clean, (4800, 0))[:, : clean.shape[1]]
    assert (late * expected).sum() / expected.square().sum() == pytest.approx(0.55, abs=0.03)


def test_a_16_khz_voice_in_48_khz_teaches_nothing_above_8_khz(sources, store):
    mixture = sample(sources, PLAIN, seed=0, index=0)
    _, _, bandwidth, _ = sound([mixture], store, PLAIN)
    assert 7500 < bandwidth < 8500
    limited = replace(mixture, band_limit_hz=4000.0)
    noisy, _, bandwidth, _ = sound([limited], store, PLAIN)
    assert bandwidth == 24000  # nothing above 4 kHz in, nothing out: that can be learnt
    power = torch.fft.rfft(noisy).abs().square()[0]
    edge = round(4300 / 24000 * len(power))
    assert power[edge:].sum() / power.sum() < 1e-6


def test_clipping_flattens_the_noisy_side_only(sources, store):
    mixture = replace(sample(sources, PLAIN, seed=0, index=0), clip=0.5, snr_db=20.0)
    noisy, clean, *_ = sound([mixture], store, PLAIN)
    assert (noisy.abs() == noisy.abs().max()).sum() > 20
    assert clean.abs().max() > 1.5 * noisy.abs().max()


def test_coloured_noise_falls_as_its_exponent_says():
    generator = torch.Generator().manual_seed(0)
    wave = augment.coloured_noise(2.0, 2**16, generator)
    power = np.abs(np.fft.rfft(wave)) ** 2
    octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(4, 14)]
    assert np.diff(10 * np.log10(octaves)).mean() == pytest.approx(-6.02, abs=0.4)


def test_another_seed_makes_other_noise_and_the_same_one_the_same(sources):
    """Of the same colour; the run's seed and the number of the mixture both count."""
    mixture = replace(sample(sources, PLAIN, seed=0, index=5), colour=1.0)
    seeds = [(1, 5), (2, 5), (1, 6), (5_000_000_000, 5), (1, 5)]
    waves = [batching.synthetic_noise(replace(mixture, seed=s), 4800, "cpu") for s in seeds]
    assert torch.equal(waves[0], waves[-1])
    for first in range(4):
        for second in range(first):
            assert (waves[first] - waves[second]).square().mean() > 1  # 2 if nothing is shared


def test_hum_is_harmonics_of_the_mains():
    wave = augment.hum(50.0, 2 * 48000, torch.Generator().manual_seed(0)).numpy()
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hz = np.arange(len(power)) / 2
    near = np.abs(hz / 50 - np.round(hz / 50)) * 50 < 8  # 20 harmonics waver by 0.5 %
    assert power[near & (hz < 1010)].sum() > 0.999 * power.sum()
    assert power[(hz > 40) & (hz < 60)].sum() > 0.001 * power.sum()


def test_a_silent_room_is_no_room(sources, store, tmp_path):
    audio.write(tmp_path / "silent.wav", np.zeros((1, 4800), np.float32), 48000)
    mixture = sample(sources, PLAIN, seed=0, index=0)
    noisy, *_ = sound([replace(mixture, room=tmp_path / "silent.wav")], store, PLAIN)
    assert torch.equal(noisy, sound([mixture], store, PLAIN)[0])
