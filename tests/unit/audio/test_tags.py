"""What a recording says of itself is in the result, wherever the format has a place for it."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile as sf
from films import CHAPTERS, jpeg, rich
from sounds import speech_like, tone

from denoiser import audio, mixing, offline
from denoiser.audio import riff, tags

RATE = 44100
TIME_REFERENCE = 12 * 3600 * RATE  # samples: noon
CUES = ((11025, "Question"), (33075, "Answer – done"))  # samples


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def bext() -> bytes:
    fields = [(b"Interview", 256), (b"Recorder 7", 32), (b"R7-0001", 32), (b"2026-01-31", 10)]
    text = b"".join(data.ljust(size, b"\0") for data, size in [*fields, (b"12:00:00", 8)])
    return text + struct.pack("<QH254x", TIME_REFERENCE, 1) + b"A=PCM,F=44100\r\n"


def cue() -> bytes:
    points = [
        struct.pack("<II4sIII", n, at, b"data", 0, 0, at) for n, (at, _) in enumerate(CUES, 1)
    ]
    return struct.pack("<I", len(points)) + b"".join(points)


def labels() -> bytes:
    notes = [struct.pack("<I", n) + text.encode() + b"\0" for n, (_, text) in enumerate(CUES, 1)]
    return b"adtl" + b"".join(chunk(b"labl", note) for note in notes)


BEFORE = [(b"bext", bext()), (b"iXML", b"<BWFXML><SCENE>12</SCENE></BWFXML>")]
AFTER = [
    (b"cue ", cue()),
    (b"LIST", labels()),
    (b"LIST", b"INFO" + chunk(b"INAM", b"Odd name\0") + chunk(b"IART", b"Somebody\0")),
    (b"smpl", struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, 0, 0)),
    (b"xodd", b"an odd number of bytes."),
]
OLD = [(b"PEAK", struct.pack("<IIfI", 1, 0, 0.5, 7)), (b"levl", bytes(120))]


def wav(path, before=BEFORE, after=AFTER, kind: bytes = b"RIFF", channels: int = 1) -> None:
    """A second of 16 bit sound with chunks on both sides of it."""
    sound = (20000 * speech_like(1.0, RATE, channels)).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, RATE, 2 * channels * RATE, 2 * channels, 16)
    body = chunk(b"fmt ", form) + b"".join(chunk(*each) for each in before)
    tail = b"".join(chunk(*each) for each in after)
    size = 4 + len(body) + 8 + len(sound) + len(tail)
    if kind == b"RIFF":
        head, data = kind + struct.pack("<I", size), b"data" + struct.pack("<I", len(sound))
    else:
        ds64 = struct.pack("<QQQI", size + 36, len(sound), RATE, 0)
        head, data = kind + b"\xff" * 4, b"data" + b"\xff" * 4
        body = chunk(b"ds64", ds64) + body
    path.write_bytes(head + b"WAVE" + body + data + sound + tail)


def copied(source, target, **settings):
    """The recording as `denoise` gives it with strength 0, which needs no model."""
    said = []
    list(offline.denoise_file(None, source, target, strength=0, notify=said.append, **settings))
    return said


@pytest.mark.parametrize("kind", [b"RIFF", b"RF64", b"BW64"])
def test_a_wav_keeps_its_chunks_byte_for_byte(tmp_path, kind):
    wav(tmp_path / "in.wav", [*OLD, *BEFORE], AFTER, kind)
    assert copied(tmp_path / "in.wav", tmp_path / "out.wav") == []
    assert riff.chunks(tmp_path / "out.wav") == ([*BEFORE, *AFTER], [])
    data = (tmp_path / "out.wav").read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    wave, rate = sf.read(tmp_path / "out.wav", dtype="int16")
    before = (20000 * speech_like(1.0, RATE)).astype("<i2")[:, 0]
    assert (rate, wave.tolist()) == (RATE, before.tolist())


def test_what_is_made_of_the_estimate_keeps_them_too(tmp_path):
    wav(tmp_path / "in.wav")
    copied(tmp_path / "in.wav", tmp_path / "estimate.wav", subtype="FLOAT")
    mixing.remix(tmp_path / "in.wav", tmp_path / "estimate.wav", tmp_path / "out.wav", strength=0.5)
    assert riff.chunks(tmp_path / "out.wav")[0] == [*BEFORE, *AFTER]


@pytest.mark.parametrize("ending", [".flac", ".mp3"])
def test_other_formats_keep_tags_time_and_cue_points(tmp_path, ending):
    """And say what they have no place for."""
    wav(tmp_path / "in.wav")
    said = copied(tmp_path / "in.wav", tmp_path / f"out{ending}")
    assert said == [f"{ending[1:].upper()} cannot hold metadata of in.wav: iXML, smpl, xodd."]
    with av.open(str(tmp_path / f"out{ending}")) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}
        chapters = [
            (float(c["start"] * c["time_base"]), c["metadata"]) for c in container.chapters()
        ]
    assert found["time_reference"] == str(TIME_REFERENCE)
    assert (found["title"], found["artist"]) == ("Odd name", "Somebody")
    assert found["originator_reference"] == "R7-0001"
    assert [each["title"] for _, each in chapters] == [text for _, text in CUES]
    assert [start for start, _ in chapters] == pytest.approx(
        [at / RATE for at, _ in CUES], abs=1e-3
    )


def test_the_time_of_recording_counts_the_samples_of_the_result(tmp_path):
    """MP3 knows no 96 kHz."""
    start = tags.Tags("a.wav", 96_000, (("time_reference", "9600000"),))
    with audio.Writer(tmp_path / "a.mp3", 96_000, 1, tags=start) as writer:
        writer.write(tone(96_000, 96_000))
    assert audio.info(tmp_path / "a.mp3").sample_rate == 48_000
    assert dict(tags.read(tmp_path / "a.mp3").metadata)["time_reference"] == "4800000"


def write(path, codec, muxer=None, cover=True) -> None:
    """A tagged recording of two seconds with two chapters, as another program would write it."""
    with av.open(str(path), "w", muxer) as container:
        mine = {"title": "Café", "artist": "Somebody", "album": "All", "comment": "Take 2"}
        mine |= {"composer": "Else", "genre": "Speech", "track": "3"}
        stream = container.add_stream(codec, rate=48000, layout="mono")
        (stream if muxer == "ogg" else container).metadata.update(mine)
        container.set_chapters(
            [
                {"id": n + 1, "start": n * 1200, "end": 1200 + n * 800}
                | {"metadata": {"title": title}, "time_base": Fraction(1, 1000)}
                for n, title in enumerate(("Eins", "Zwei"))
            ]
        )
        if cover:
            picture = container.add_mux_stream("mjpeg", width=64, height=48)
            picture.disposition = av.stream.Disposition.attached_pic
            container.start_encoding()
            packet = av.Packet(jpeg())
            packet.stream, packet.time_base = picture, Fraction(1, 1000)
            packet.pts = packet.dts = 0
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone(96000, 48000), "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])


# source: codec, muxer, whether FFmpeg writes chapters and a cover into it
SOURCES = {
    "a.mp3": ("libmp3lame", "mp3", True, True),
    "a.m4a": ("aac", "mp4", True, True),
    "a.flac": ("flac", "flac", False, True),
    "a.opus": ("libopus", "ogg", True, False),
    "a.mka": ("aac", "matroska", True, False),
}


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("name", SOURCES)
def test_tags_chapters_and_cover_go_from_format_to_format(tmp_path, name, ending):
    codec, muxer, has_chapters, has_cover = SOURCES[name]
    write(tmp_path / name, codec, muxer, has_cover)
    assert copied(tmp_path / name, tmp_path / f"out{ending}") == []
    found = tags.read(tmp_path / f"out{ending}")
    wanted = {"title": "Café", "artist": "Somebody", "album": "All", "comment": "Take 2"}
    wanted |= {"composer": "Else", "genre": "Speech", "track": "3"}
    assert wanted.items() <= dict(found.metadata).items()
    assert [each.title for each in found.chapters] == ["Eins", "Zwei"] * has_chapters
    if has_chapters:
        assert [each.start for each in found.chapters] == pytest.approx([0, 1.2], abs=0.002)
    assert (found.cover and found.cover.data) == (jpeg() if has_cover else None)
    assert audio.read(tmp_path / f"out{ending}")[0].shape == audio.read(tmp_path / name)[0].shape


def test_a_wav_has_them_where_other_programs_look(tmp_path):
    """libsndfile reads LIST INFO; editors show cue points with labels."""
    write(tmp_path / "a.mp3", "libmp3lame")
    copied(tmp_path / "a.mp3", tmp_path / "out.wav")
    with sf.SoundFile(tmp_path / "out.wav") as file:
        assert file.copy_metadata()["title"] == "Café"
    markers = riff.markers(riff.chunks(tmp_path / "out.wav")[0])
    assert [(each.start, each.text) for each in markers] == [(0, "Eins"), (57600, "Zwei")]


def test_a_flac_of_a_broadcast_wav_becomes_one_again(tmp_path):
    wav(tmp_path / "in.wav")
    copied(tmp_path / "in.wav", tmp_path / "a.flac")
    copied(tmp_path / "a.flac", tmp_path / "out.wav")
    kept = dict(riff.chunks(tmp_path / "out.wav")[0])
    assert kept[b"bext"][:602] == bext()[:602]
    markers = riff.markers(riff.chunks(tmp_path / "out.wav")[0])
    assert [each.text for each in markers] == [text for _, text in CUES]
    assert np.allclose([each.start for each in markers], [at for at, _ in CUES], atol=RATE / 1000)


def test_regions_and_markers_of_aiff_are_chapters(tmp_path):
    region = struct.pack("<II4sHHHH", 2, 4410, b"rgn ", 0, 0, 0, 0)
    note = labels() + chunk(b"ltxt", region)
    wav(tmp_path / "in.wav", [], [(b"cue ", cue()), (b"LIST", note)])
    question, answer = tags.read(tmp_path / "in.wav").chapters
    assert (question.start, question.end, answer.start) == (0.25, 0.75, 0.75)
    assert answer.end == pytest.approx(0.85)
    sf.write(tmp_path / "a.aiff", speech_like(1.0, RATE), RATE)
    mark = struct.pack(">HHIB", 1, 1, 22050, 4) + b"Half\0"
    with open(tmp_path / "a.aiff", "ab") as file:
        file.write(b"MARK" + struct.pack(">I", len(mark)) + mark)
    assert [(c.start, c.title) for c in tags.read(tmp_path / "a.aiff").chapters] == [(0.5, "Half")]


def test_a_film_gives_its_title_and_chapters(tmp_path):
    rich(tmp_path / "film.mkv")
    copied(tmp_path / "film.mkv", tmp_path / "out.wav")
    found = tags.read(tmp_path / "out.wav")
    assert dict(found.metadata)["title"] == "Film"
    assert [(each.start, each.title) for each in found.chapters] == [
        (start / 1000, title) for start, _, title in CHAPTERS
    ]


def test_what_describes_the_old_samples_is_left_out(tmp_path):
    lines = (("title", "A"), ("replaygain_track_gain", "-3 dB"), ("iTunSMPB", " 00000000 00000840"))
    with audio.Writer(tmp_path / "a.flac", RATE, 1, tags=tags.Tags(metadata=lines)) as writer:
        writer.write(tone(RATE, RATE))
    assert tags.read(tmp_path / "a.flac").metadata == (("title", "A"),)


# ---- damaged and hostile files


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
