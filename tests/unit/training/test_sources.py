"""Folders of recordings: what is drawn, held out, cached, and left out as unreadable."""

import numpy as np
import pytest
from sounds import noise

from denoiser import audio
from training.data import cache as training_store
from training.data.cache import AudioCache, Excerpt
from training.data.mixture import MixtureConfig, sample
from training.data.sources import find_sources
from training.errors import TrainingError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A voice at 16 kHz, a noise at 48 kHz."""
    root = tmp_path_factory.mktemp("corpus")
    for folder, rate in (("clean", 16000), ("noise", 48000)):
        (root / folder).mkdir()
        audio.write(root / folder / "0.wav", noise(5 * rate), rate)
    return root


@pytest.fixture
def store(tmp_path):
    return AudioCache(tmp_path / "cache")


def test_one_file_in_fifty_is_held_out_and_never_trained_on(tmp_path):
    for n in range(100):
        (tmp_path / f"{n}.wav").touch()
    train, held_out = find_sources([tmp_path], [tmp_path], [])
    assert (len(train.clean), len(held_out.clean)) == (98, 2)
    assert not set(train.clean) & set(held_out.clean)


def test_what_is_named_twice_is_drawn_twice_as_often_and_never_held_out_as_well(tmp_path):
    for n in range(100):
        (tmp_path / f"{n}.wav").touch()
    train, held_out = find_sources([tmp_path], [tmp_path], [])
    rare, hidden = train.noise[0], held_out.noise[0]
    train, held_out = find_sources([tmp_path], [tmp_path, *[rare, hidden] * 50], [])
    assert (len(train.noise), len(held_out.noise)) == (98 + 50, 2)
    assert hidden not in train.noise
    drawn = [sample(train, MixtureConfig(), 1, n).noises for n in range(600)]
    first = [noises[0][0].path for noises in drawn if noises]
    assert first.count(rare) / len(first) == pytest.approx(51 / 148, abs=0.05)


def test_a_folder_without_audio_is_named(tmp_path, corpus):
    with pytest.raises(TrainingError, match=f"no audio in the folder {tmp_path}"):
        find_sources([corpus / "clean", tmp_path], [corpus / "noise"], [])
    with pytest.raises(TrainingError, match="give --clean and --noise"):
        find_sources([corpus / "clean"], [], [])


def test_an_unreadable_recording_is_named_once_and_counts_as_silence(tmp_path, store, capsys):
    (tmp_path / "letter.wav").write_text("This is no sound.")
    for name in ("letter.wav", "gone.wav"):
        for _ in range(2):
            piece, bandwidth = store.read(tmp_path / name, 0.5, 1000)
            assert (len(piece), bandwidth) == (0, 24000)
        assert capsys.readouterr().err.count(f"{tmp_path / name} counts as silence: ") == 1
    store.report()
    assert capsys.readouterr().err == (
        "Not read and taken for silence, to be tried again by the next run: 2 of the recordings, "
        f"{tmp_path / 'letter.wav'}, {tmp_path / 'gone.wav'}.\n"
    )


def test_what_could_not_be_read_is_tried_again_by_the_next_run(tmp_path, corpus, monkeypatch):
    """As after a decoder that lacked the codec, or a disk that was away for an hour."""
    path = corpus / "clean" / "0.wav"

    def unreadable(path):
        raise audio.AudioError(f"{path.name} may not be read: check its permissions.")

    with monkeypatch.context() as patch:
        patch.setattr(audio, "info", unreadable)
        assert len(AudioCache(tmp_path / "cache").read(path, 0.0, 4800)[0]) == 0
    again = AudioCache(tmp_path / "cache")
    assert len(again.read(path, 0.0, 4800)[0]) == 4800
    assert not again.failed


def test_a_failure_that_an_earlier_program_kept_is_tried_again(tmp_path, corpus):
    path, store = corpus / "clean" / "0.wav", AudioCache(tmp_path / "cache")
    cached = store.file(path)
    cached.write_bytes((24000).to_bytes(4, "little"))
    assert len(AudioCache(tmp_path / "cache").read(path, 0.0, 4800)[0]) == 4800


def test_a_full_disk_is_no_fault_of_a_recording(corpus, store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(store.folder / "x.s16"))

    monkeypatch.setattr(training_store, "_decode", full)
    with pytest.raises(OSError, match="No space left"):
        store.read(corpus / "clean" / "0.wav", 0.0, 100)
    assert not store.failed
    assert list(store.folder.iterdir()) == []


def test_a_second_read_comes_from_the_cache(corpus, store):
    path = corpus / "clean" / "0.wav"
    first, _ = store.read(path, 0.5, 4800)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "read", None)
        again, _ = store.read(path, 0.5, 4800)
    assert np.array_equal(first, again)
    assert len(first) == 4800
    wave, rate = audio.read(path)
    expected = audio.resample(wave, rate, 48000)[0]
    start = (len(expected) - 4800) // 2
    assert np.abs(first - expected[start : start + 4800]).max() < 1 / 32768


def test_a_faster_recording_is_higher_and_reaches_further_up(tmp_path, store):
    """A tone of 1 kHz at speed 1.25 is one of 1.25 kHz, and takes 1.25 times the recording."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000).astype(np.float32)
    audio.write(tmp_path / "tone.wav", tone[None], 48000)
    faster = Excerpt(tmp_path / "tone.wav", 0.0, 1.25)
    (piece,), bandwidth = store.read_excerpts([faster], 24000), store.bandwidth(faster)
    plain = store.read(tmp_path / "tone.wav", 0.0, 24000)[1]
    assert len(piece) == 24000
    assert np.argmax(np.abs(np.fft.rfft(piece * np.hanning(24000)))) * 2 == 1250
    assert bandwidth == 1.25 * plain
