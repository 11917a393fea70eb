"""Which files of a folder are recordings."""

import os
import re

import av
import numpy as np
import pytest
from sounds import speech_like

from denoiser import audio
from denoiser.audio import sandbox


@pytest.fixture
def mp3(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("source") / "a.mp3"
    audio.write(path, speech_like(1.0, 48000).T, 48000)
    return path.read_bytes()


def found(folder) -> list[str]:
    return [str(path.relative_to(folder)) for path in audio.find(folder)]


def test_known_endings_are_taken_without_opening_them(tmp_path, monkeypatch):
    names = ["a.wave", "b.bwf", "c.WAV", "d.3gpp", "e.qta", "f.m2ts", "g.weba", "h.opus", "i.mp3"]
    for name in names:
        (tmp_path / name).write_text("anything")
    monkeypatch.setattr("builtins.open", None)
    assert found(tmp_path) == names


@pytest.mark.parametrize("name", ["talk", "talk.dat", "talk.mp3.part", "talk.ts", "talk.Zoom"])
def test_of_other_files_the_decoder_is_asked(tmp_path, mp3, name):
    (tmp_path / name).write_bytes(mp3)
    assert found(tmp_path) == [name]


@pytest.mark.parametrize(
    ("container", "codec"),
    [("wav", "pcm_s16le"), ("ogg", "libopus"), ("mpegts", "mp2"), ("mp4", "aac"),
     ("matroska", "aac"), ("flac", "flac"), ("adts", "aac"), ("ac3", "ac3"), ("caf", "pcm_s16le"),
     ("aiff", "pcm_s16be")],
)  # fmt: skip
def test_each_kind_of_container_is_known_without_an_ending(tmp_path, container, codec):
    with av.open(str(tmp_path / "recording"), "w", container) as file:
        stream = file.add_stream(codec, rate=48000, layout="mono")
        wave = (20000 * speech_like(1.0, 48000).reshape(1, -1)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        frame.sample_rate = 48000
        file.mux([*stream.encode(frame), *stream.encode(None)])
    assert found(tmp_path) == ["recording"]


def test_what_holds_no_sound_is_passed_over(tmp_path, mp3):
    rng = np.random.default_rng(0)
    foreign = {
        "a.txt": b"a letter\n" * 1000,
        "b.ts": b"export const sound: string = 'none';\n" * 100,
        "c.txt": "Gespräche\n".encode("latin-1") * 1000,
        "d.txt": "in two bytes\n".encode("utf-16") * 1000,
        "e.jpg": b"\xff\xd8\xff\xe0" + rng.bytes(3000) + mp3,
        "f.zip": b"PK\3\4" + mp3,
        "g.bin": b"",
        "h.m3u8": b"#EXTM3U\n#EXTINF:1,\na.wav\n",
        **{f"random{n}.bin": rng.bytes(int(rng.integers(10, 100_000))) for n in range(50)},
        "zeros.bin": bytes(100_000),
        ".hidden.mp3": mp3,
        ".folder/talk.mp3": mp3,
    }
    (tmp_path / ".folder").mkdir()
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    there = audio.search(tmp_path)
    assert there.files == there.closed == []
    assert [path.name for path in there.others] == sorted(n for n in foreign if n[0] != ".")


def test_neither_text_nor_pictures_reach_the_decoder(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"a letter\n" * 1000)
    (tmp_path / "b.csv").write_bytes("Gespräche;1\n".encode("latin-1") * 1000)
    (tmp_path / "c").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "d.bin").write_bytes(b"")
    monkeypatch.setattr(sandbox, "run", None)
    assert found(tmp_path) == []


def test_a_few_bytes_that_pass_for_an_mp3_make_no_recording(tmp_path, mp3):
    body = mp3[mp3.find(b"\xff\xfb") :]
    frames = [found.start() for found in re.finditer(b"\xff\xfb", body)]
    (tmp_path / "few").write_bytes(body[: frames[4]])
    (tmp_path / "many").write_bytes(body)
    assert found(tmp_path) == ["many"]


def test_a_file_that_ends_its_decoder_costs_only_itself(tmp_path, mp3, monkeypatch):
    """A stranger's file is opened by another process; here the second of five kills that."""
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(mp3)
    run = sandbox.run

    def dying(function, *places):
        for place, answer in zip(places, run(function, *places), strict=True):
            if place.endswith("1"):
                raise audio.AudioError("1 crashes its decoder.")
            yield answer

    monkeypatch.setattr(sandbox, "run", dying)
    assert found(tmp_path) == ["0", "2", "3", "4"]


def test_a_folder_is_searched_in_the_same_order_every_time(tmp_path, mp3):
    for name in ("b/2", "b/1.mp3", "a/3.wav", "c.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(mp3)
    assert found(tmp_path) == ["a/3.wav", "b/1.mp3", "b/2", "c.mp3"]
