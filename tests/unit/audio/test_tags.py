"""What a recording says of itself is in the result, wherever the format has a place for it."""

import struct

import av
import numpy as np
import pytest
import soundfile as sf
from films import CHAPTERS, jpeg, rich
from sounds import speech_like, tone
from tagged import (
    AFTER,
    BEFORE,
    CUES,
    RATE,
    TIME_REFERENCE,
    bext,
    chunk,
    copied,
    cue,
    labels,
    wav,
    write,
)

from denoiser import audio, mixing
from denoiser.audio import riff, tags

OLD = [(b"PEAK", struct.pack("<IIfI", 1, 0, 0.5, 7)), (b"levl", bytes(120))]


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
