"""Files that are no sound, that are cut off or damaged, and names that other programs choose."""

import os
import struct

import numpy as np
import pytest
import soundfile
from sounds import encode, level_of, noise, tone

from denoiser import audio
from denoiser.audio import AudioError


def make_bad(folder, name):
    path = folder / name
    if name == "text.mp3":
        path.write_text("This is not music.\n" * 500)
    elif name == "empty.wav":
        path.touch()
    elif name == "folder":
        path.mkdir()
    elif name == "pipe.wav":
        os.mkfifo(path)
    elif name == "picture.mp4":
        encode(path, None, None, 0, video="mpeg4")
    elif name == "playlist.wav":  # FFmpeg would open the file that it names
        audio.write(folder / "secret.wav", tone(8_000, 8_000), 8_000)
        path.write_text("ffconcat version 1.0\nfile secret.wav\n")
    elif name == "nothing.wav":
        audio.write(path, np.zeros((1, 0), np.float32), 48_000)
    elif name in ("nan.wav", "infinity.wav"):
        wave = noise(48_000)
        wave[0, 24_000] = np.nan if name == "nan.wav" else -np.inf
        soundfile.write(path, wave.T, 48_000, "FLOAT")
    elif name == "slow.wav":
        soundfile.write(path, noise(100)[0], 100)
    elif name == "many.wav":
        soundfile.write(path, noise(100, 9).T, 48_000)
    return path


UNREADABLE = (
    "is not a readable audio or video file, or it is damaged: choose another file, or export it "
    "as WAV or MP3."
)
NOT_NUMBERS = (
    "contains NaN or infinite samples at 0.50 s: export it again from the program that made it."
)
ONLY = (
    "but only 1 to 8 channels at 4000 to 768000 Hz are supported: export it as stereo at 48000 Hz."
)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing.wav", "does not exist: check the name and the folder."),
     ("folder", "is a folder: choose an audio or video file."),
     ("pipe.wav", "is not a regular file: choose an audio or video file."),
     ("empty.wav", "is empty (0 bytes): record or download it again."),
     ("text.mp3", UNREADABLE),
     ("playlist.wav", UNREADABLE),
     ("picture.mp4", "has no audio track: choose a file that has one."),
     ("nothing.wav", "contains no sound (zero samples): choose another file."),
     ("nan.wav", NOT_NUMBERS),
     ("infinity.wav", NOT_NUMBERS),
     ("slow.wav", f"is 1-channel audio at 100 Hz, {ONLY}"),
     ("many.wav", f"is 9-channel audio at 48000 Hz, {ONLY}")],
)  # fmt: skip
def test_bad_files_are_refused_with_a_sentence(tmp_path, name, sentence):
    path = make_bad(tmp_path, name)
    with pytest.raises(AudioError) as error:
        audio.read(path)
    assert str(error.value) == f"{name} {sentence}"
    if sentence != NOT_NUMBERS:  # these only show when all of it is decoded
        with pytest.raises(AudioError):
            audio.info(path)


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
def test_one_sample_is_a_recording(tmp_path, ending):
    audio.write(tmp_path / f"x{ending}", np.full((1, 1), 0.25, np.float32), 48_000)
    wave, rate = audio.read(tmp_path / f"x{ending}")
    assert (rate, wave[0, 0]) == (48_000, pytest.approx(0.25, abs=0.02))


@pytest.mark.parametrize("claimed", [0, 10**6, 2**32 - 1])
def test_a_wav_that_lies_about_its_length_gives_what_is_there(tmp_path, claimed):
    wave = np.rint(noise(10_000) * 2**15) / np.float32(2**15)
    audio.write(tmp_path / "x.wav", wave, 48_000)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, claimed)
    (tmp_path / "x.wav").write_bytes(data)
    np.testing.assert_array_equal(audio.read(tmp_path / "x.wav")[0], wave)


def test_a_truncated_mp3_gives_what_is_there(tmp_path):
    audio.write(tmp_path / "x.mp3", tone(96_000, 48_000), 48_000)
    data = (tmp_path / "x.mp3").read_bytes()
    (tmp_path / "half.mp3").write_bytes(data[: len(data) // 2])
    whole, half = audio.read(tmp_path / "x.mp3")[0], audio.read(tmp_path / "half.mp3")[0]
    assert 0.4 < half.shape[1] / whole.shape[1] < 0.6
    np.testing.assert_array_equal(half[:, :40_000], whole[:, :40_000])


def test_damage_in_the_middle_costs_only_the_damaged_part(tmp_path):
    audio.write(tmp_path / "x.flac", tone(480_000, 48_000), 48_000)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    (tmp_path / "x.flac").write_bytes(data)
    wave, _ = audio.read(tmp_path / "x.flac")
    assert wave.shape[1] > 460_000


def test_damage_is_said_in_one_sentence_at_the_end(tmp_path):
    audio.write(tmp_path / "whole.flac", tone(480_000, 48_000), 48_000)
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    (tmp_path / "hole.flac").write_bytes(data)
    audio.write(tmp_path / "whole.wav", tone(480_000, 48_000), 48_000)
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: len(data) // 2])
    careless = bytearray(data)  # the size of the file, where that of what follows should be
    struct.pack_into("<I", careless, 4, len(data))
    (tmp_path / "careless.wav").write_bytes(careless)
    said = []
    for name in ("whole.flac", "half.flac", "hole.flac", "whole.wav", "half.wav", "careless.wav"):
        for _ in audio.blocks(tmp_path / name, notify=said.append):
            pass
    rest = "s are missing; the rest is kept."
    assert said == [
        f"half.flac is damaged or cut off: 5.3 of 10.0 {rest}",
        f"hole.flac is damaged or cut off: 0.1 of 10.0 {rest}",
        f"half.wav is damaged or cut off: 5.0 of 10.0 {rest}",
    ]


def test_a_file_that_changes_rate_and_channels_keeps_its_pitch_and_length(tmp_path):
    data = b""
    for rate, channels in ((44_100, 2), (24_000, 1), (48_000, 2)):
        audio.write(tmp_path / "part.mp3", tone(2 * rate, rate, channels), rate)
        data += (tmp_path / "part.mp3").read_bytes()
    (tmp_path / "x.mp3").write_bytes(data)
    wave, rate = audio.read(tmp_path / "x.mp3")
    assert wave.shape == (2, pytest.approx(6 * rate, rel=0.03))
    for second in (0.5, 2.5, 4.5):
        part = wave[:, int(second * rate) : int((second + 1) * rate)]
        for channel in part:
            assert level_of(channel, rate, 440) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    "name", ["a:b.wav", "%d [x] ü.wav", "-v.wav", "UPPER.WAV", "x" * 250 + ".wav"]
)
def test_any_file_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    audio.write(name, noise(100), 48_000)
    assert audio.read(name)[0].shape == (1, 100)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_tags_in_an_old_encoding(tmp_path):
    audio.write(tmp_path / "x.wav", noise(100), 48_000)
    tag = b"LIST" + struct.pack("<I", 16) + b"INFOIART" + struct.pack("<I", 4) + b"J\xf6r\x00"
    with (tmp_path / "x.wav").open("ab") as file:
        file.write(tag)
    assert audio.read(tmp_path / "x.wav")[0].shape == (1, 100)
