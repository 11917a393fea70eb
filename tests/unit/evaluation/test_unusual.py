"""What speech seldom is, as mixtures and as a measure: guests, muted stretches, held vowels."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from toy import TOY

from denoiser import audio
from denoiser.models.band import BandUNet
from evaluation import unusual
from training.data import augment, batching, singing
from training.data.cache import SAMPLE_RATE, AudioCache
from training.data.mixture import MixtureConfig, sample
from training.data.sources import find_sources
from training.losses import band, distillation

PLAIN = MixtureConfig(
    segment=128 * 768, reverberant=0, tilt=0, band_limit=0, clip=0, speech_only=0, noise_only=0,
    babble=0, faster=0, hum=0,
)  # fmt: skip
NOTE = singing.Note((220.0,), 0.1, 5.0, 0.0, 0.0, 0.0, -40.0, looped=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four voices, buzzing at 100 to 130 Hz, and three noises, 5 s each."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for folder in ("clean", "noise"):
        (root / folder).mkdir()
    for n in range(4):
        buzz = np.sin(np.arange(5 * 48000) * 2 * np.pi * (100 + 10 * n) / 48000) ** 9
        audio.write(root / "clean" / f"{n}.wav", (0.2 * buzz)[None].astype(np.float32), 48000)
    for n in range(3):
        wave = 0.1 * rng.standard_normal((1, 5 * 48000)).astype(np.float32)
        audio.write(root / "noise" / f"{n}.wav", wave, 48000)
    return root


@pytest.fixture(scope="module")
def sources(corpus):
    return find_sources([corpus / "clean"], [corpus / "noise"], [])[0]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return AudioCache(tmp_path_factory.mktemp("store") / "cache")


def sound(mixture, store, config):
    return batching.mix(batching.load([mixture], store, config), [mixture], config)


def level_db(wave):
    return float(20 * augment.active_rms(wave).log10())


def test_without_notes_guests_and_mutes_mixtures_are_those_of_before(sources):
    old, new = MixtureConfig(), MixtureConfig(held=1, guest=1, muted=1)
    for index in range(200):
        before, after = (sample(sources, config, 1, index) for config in (old, new))
        assert before.ordinary
        assert not after.ordinary
        quieter_db = after.guest.quieter_db if after.guest else 0.0
        assert before.snr_db + quieter_db == after.snr_db
        assert before == replace(after, note=None, guest=None, muted=None, snr_db=before.snr_db)


def test_a_guest_is_as_much_quieter_as_drawn_and_the_snr_is_the_guests(sources, store):
    config = replace(PLAIN, guest=1, level_dbfs=(-20.0, -20.0))
    for index in range(6):
        mixture = sample(sources, config, 3, index)
        noisy, clean, _, lift = sound(mixture, store, config)
        guest, start = mixture.guest, round(mixture.guest.begins * 128) * 768
        assert 6 <= guest.quieter_db <= 35
        host_db, guest_db = level_db(clean[:, :start]), level_db(clean[:, start:])
        assert host_db - guest_db == pytest.approx(guest.quieter_db, abs=0.1)
        snr_db = mixture.snr_db - guest.quieter_db  # as drawn, of a voice
        assert -10 <= snr_db <= 20
        noise = (noisy - clean).square().mean().sqrt()
        assert guest_db - float(20 * noise.log10()) == pytest.approx(snr_db, abs=0.1)
        lifted = clean * lift
        assert level_db(lifted[:, start:]) == pytest.approx(host_db, abs=0.1)
        assert torch.equal(lifted[:, :start], clean[:, :start])


def test_a_muted_stretch_is_turned_down_in_noisy_and_clean_half_of_them_to_nothing(sources, store):
    config, gains = replace(PLAIN, muted=1), []
    for index in range(40):
        mixture = sample(sources, config, 4, index)
        muted = mixture.muted
        gains.append(muted.gain)
        whole = sound(replace(mixture, muted=None), store, config)
        stretch = slice(round(muted.begins * 98304), round(muted.ends * 98304))
        for wave, before in zip(sound(mixture, store, config)[:2], whole, strict=False):
            assert torch.allclose(wave[:, stretch], before[:, stretch] * muted.gain)
            wave[:, stretch] = before[:, stretch]
            assert torch.equal(wave, before)
    assert 10 <= gains.count(0) <= 30
    assert all(20 <= -20 * math.log10(gain) <= 60 for gain in gains if gain)


def test_a_held_vowel_has_the_tone_and_the_timbre_it_should_have():
    """Of a buzz at 100 Hz through a resonance at 700: its harmonics at 220 Hz."""
    seconds = torch.arange(48000) / 48000
    gains = [1 / math.hypot(1, (100 * h - 700) / 100) for h in range(1, 60)]
    buzz = sum(g * (2 * math.pi * 100 * h * seconds).sin() for h, g in enumerate(gains, 1))
    buzz[24000:] = 0
    note = singing.sung(buzz, NOTE, 3 * 48000, seed=1)
    assert note[: round(0.1 * 3 * 48000)].abs().max() == 0
    middle = note[48000 : 2 * 48000]
    power = torch.fft.rfft(middle * torch.hann_window(48000)).abs().square()
    harmonics = sum(power[220 * h - 3 : 220 * h + 4].sum() for h in range(1, 60))
    assert float(harmonics / power.sum()) > 0.98
    assert 3 * 220 - 3 <= int(power.argmax()) <= 3 * 220 + 3  # nearest to 700 Hz
    assert torch.equal(note, singing.sung(buzz, NOTE, 3 * 48000, seed=1))
    assert singing.sung(torch.zeros(48000), NOTE, 48000, seed=1).abs().max() == 0


def test_a_looped_vowel_goes_on_at_its_own_pitch_and_level():
    buzz = 0.2 * (2 * math.pi * 130 * torch.arange(48000) / 48000).sin() ** 9
    buzz[24000:] = 0
    note = singing.sung(buzz, replace(NOTE, looped=True), 3 * 48000, seed=1)
    middle = note[48000 : 2 * 48000]
    level = 10 * math.log10(float(middle.square().mean() / buzz[:24000].square().mean()))
    assert level == pytest.approx(0, abs=1)
    power = torch.fft.rfft(middle * torch.hann_window(48000)).abs().square()
    harmonics = sum(power[130 * h - 3 : 130 * h + 4].sum() for h in range(1, 60))
    assert float(harmonics / power.sum()) > 0.9


def test_tones_follow_one_another_and_waver_as_drawn():
    note = replace(NOTE, tones_hz=(200.0, 300.0), vibrato_cents=50.0)
    hz = singing._pitch(note, 4 * 48000, torch.Generator().manual_seed(0))
    first, second = hz[: 2 * 48000 - 4800], hz[2 * 48000 + 4800 :]
    for part, tone in ((first, 200), (second, 300)):
        assert float(part.median()) == pytest.approx(tone, rel=0.005)
        assert float(part.max() / part.min()) == pytest.approx(2 ** (100 / 1200), rel=0.001)


def test_held_vowels_sound_through_the_segment(sources, store):
    config = replace(PLAIN, held=1)
    for index in range(6):
        mixture = sample(sources, config, 5, index)
        clean = sound(mixture, store, config)[1]
        begins = math.ceil(mixture.note.begins * 128)
        assert augment.active_frames(clean)[1][0, begins + 4 : -4].float().mean() > 0.95
        assert 60 <= mixture.note.tones_hz[0] <= 850


def test_a_guest_whose_voice_is_lost_costs_as_much_as_a_loud_one():
    """Lifted, silence in place of a voice at -30 dB is as bad as in place of that at 0 dB."""
    torch.manual_seed(0)
    loud = 0.1 * torch.randn(1, 32 * 768)

    class Silent(BandUNet):
        def forward(self, noisy):
            return 0 * noisy

    model, width = Silent(TOY.model), torch.tensor([24000.0])
    for gap in (1.0, 30.0):
        quiet, lift = loud / gap, torch.full((1, 32 * 768), gap)
        loss = band.band_objective(model, quiet, quiet, width, lift)["loss"]
        if gap == 1:
            expected = float(loss)
        assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_a_teacher_says_nothing_of_what_it_lost(sources, store):
    """Half of what it heard is what its student learns, of ordinary mixtures only."""
    config = replace(PLAIN, held=0.3, guest=0.3, muted=0.3)

    class Half(BandUNet):
        def forward(self, noisy):
            return 0.5 * noisy

    taught = partial(distillation.targets, Half(TOY.model))
    arguments = (sources, config, store, 6, [range(12)])
    mixtures = [sample(sources, config, 6, index) for index in range(12)]
    noisy, target, *_ = next(batching.batches(*arguments, taught))
    clean = next(batching.batches(*arguments))[1]
    assert 2 <= sum(mixture.ordinary for mixture in mixtures) <= 10
    for row, mixture in enumerate(mixtures):
        assert torch.equal(target[row], 0.5 * noisy[row] if mixture.ordinary else clean[row])


@pytest.fixture
def voices(tmp_path, monkeypatch):
    """Three voices as a folder of pairs and one of notes; the working folder."""
    rng = np.random.default_rng(0)
    for folder in ("pairs/noisy", "pairs/clean", "notes"):
        (tmp_path / folder).mkdir(parents=True)
    for n in range(3):
        seconds = np.arange(3 * 48000) / 48000
        wave = np.sin(2 * np.pi * (150 + 40 * n) * seconds) ** 9 * (
            1 + 0.01 * rng.standard_normal()
        )
        for kind in ("pairs/noisy", "pairs/clean", "notes"):
            audio.write(tmp_path / kind / f"{n}.wav", 0.1 * wave[None].astype(np.float32), 48000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unusual.checkpoint, "load", lambda *_: None)
    return tmp_path


def measured(monkeypatch, capsys, denoise) -> list[list[float]]:
    """Cells of the rows that `seldom` prints of a model that does what `denoise` does."""
    monkeypatch.setattr(unusual, "denoise", lambda model, wave, rate: denoise(wave))
    assert unusual.main(["model", "pairs", "--sung", "notes"]) == 0
    rows = [line.split("|")[2:-1] for line in capsys.readouterr().out.splitlines() if "/" in line]
    return [[float(part) for cell in row for part in cell.split("/")] for row in rows[-3:]]


def test_what_leaves_all_as_it_is_changes_nothing(voices, monkeypatch, capsys):
    for row in measured(monkeypatch, capsys, lambda wave: wave):
        assert row == pytest.approx([0] * len(row), abs=0.05)


def test_guests_onsets_and_notes_that_are_lost_are_lost_in_the_numbers(voices, monkeypatch, capsys):
    """A model that takes 6 dB after 4.9 s, and 12 dB of all that lasts 3 s."""

    def tired(wave):
        out = wave.copy()
        out[:, int(4.9 * 48000) :] *= 0.5
        return out * (0.25 if wave.shape[1] == 3 * 48000 else 1)

    pairs, formants, sung = measured(monkeypatch, capsys, tired)
    assert pairs[:8] == pytest.approx([-6] * 8, abs=0.2)
    assert pairs[8:] == formants == sung == pytest.approx([-12, -12], abs=0.1)


def test_a_missing_folder_is_one_sentence(voices, capsys):
    assert unusual.main(["model", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert SAMPLE_RATE == unusual.RATE
