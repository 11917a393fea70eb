"""Damaged and hostile tags stop no recording."""

import struct

import numpy as np
import pytest
import soundfile as sf
from sounds import tone
from tagged import AFTER, BEFORE, RATE, chunk, copied, wav, write

from denoiser import audio
from denoiser.audio import riff, tags

HOSTILE = {
    "claims 4 GB": b"iXML" + b"\xf0\xff\xff\xff" + b"<x/>",
    "cut off": b"LIST" + struct.pack("<I", 1000) + b"INFO",
    "no name": b"\0\1\2\3" + struct.pack("<I", 4) + b"abcd",
    "cue without points": chunk(b"cue ", struct.pack("<I", 2**31)),
    "label of nothing": chunk(b"LIST", b"adtllabl" + b"\xff\xff\xff\xff"),
    "empty": chunk(b"cue ", b"") + chunk(b"id3 ", b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_chunks_that_lie_do_no_harm(tmp_path, name):
    wav(tmp_path / "in.wav")
    with open(tmp_path / "in.wav", "ab") as file:
        file.write(HOSTILE[name])
    for ending in (".wav", ".mp3"):
        copied(tmp_path / "in.wav", tmp_path / f"out{ending}")
        assert dict(tags.read(tmp_path / f"out{ending}").metadata)["title"] == "Odd name"
    assert riff.chunks(tmp_path / "out.wav")[0][: len(BEFORE + AFTER)] == BEFORE + AFTER


def test_padding_that_was_forgotten_is_not_missed(tmp_path):
    wav(tmp_path / "in.wav", after=[])
    with open(tmp_path / "in.wav", "ab") as file:
        file.write(b"odd " + struct.pack("<I", 3) + b"abc" + chunk(b"iXML", b"<y/>"))
    assert riff.chunks(tmp_path / "in.wav")[0][-2:] == [(b"odd ", b"abc"), (b"iXML", b"<y/>")]


def test_a_chunk_that_is_too_large_is_said_to_be(tmp_path):
    wav(tmp_path / "in.wav", after=[(b"junk", b""), (b"huge", bytes(riff.MOST_BYTES + 1))])
    assert copied(tmp_path / "in.wav", tmp_path / "out.wav") == [
        "WAV cannot hold metadata of in.wav: huge."
    ]
    assert riff.chunks(tmp_path / "out.wav")[0] == BEFORE


def test_mutated_tags_never_stop_a_recording(tmp_path):
    """200 bytes before and behind the sound, flipped; what remains is written."""
    write(tmp_path / "a.mp3", "libmp3lame")
    wav(tmp_path / "a.wav")
    random = np.random.default_rng(0)
    for name in ("a.mp3", "a.wav"):
        data = (tmp_path / name).read_bytes()
        places = [
            n for n in range(len(data)) if n < 700 or (n > len(data) - 400 and name == "a.wav")
        ]
        for _ in range(8):
            damaged = bytearray(data)
            for place in random.choice(places[44:], 40):
                damaged[place] = random.integers(256)
            (tmp_path / f"d{name}").write_bytes(damaged)
            found = tags.read(tmp_path / f"d{name}")
            for ending in (".wav", ".flac", ".mp3"):
                with audio.Writer(tmp_path / f"out{ending}", RATE, 1, tags=found) as writer:
                    writer.write(tone(4410, RATE))
                assert audio.read(tmp_path / f"out{ending}")[0].shape == (1, 4410)


def test_past_4_gib_a_wav_becomes_rf64(tmp_path):
    """The file is mostly a hole: its samples take no room on the disk."""
    with audio.Writer(tmp_path / "a.wav", RATE, 1) as writer:
        writer.write(np.zeros((1, 10), np.float32))
    data = (tmp_path / "a.wav").read_bytes()
    length = 2**32 - 200
    head = bytearray(data[: data.index(b"data") + 8])
    struct.pack_into("<I", head, 4, len(head) + length - 8)
    struct.pack_into("<I", head, len(head) - 4, length)
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(head)
        file.truncate(len(head) + length)
    riff.append(tmp_path / "a.wav", [(b"iXML", bytes(1000))])
    with open(tmp_path / "a.wav", "rb") as file:
        head = file.read(64)
    size, samples_bytes, samples = struct.unpack_from("<QQQ", head, 20)
    assert (head[:8], head[12:16]) == (b"RF64" + b"\xff" * 4, b"ds64")
    assert (samples_bytes, samples) == (length, length // 2)
    assert size == (tmp_path / "a.wav").stat().st_size - 8
    assert riff.chunks(tmp_path / "a.wav")[0] == [(b"iXML", bytes(1000))]
    assert sf.info(tmp_path / "a.wav").frames == length // 2
