"""What a film holds beside pictures and the cleaned track is in the new one, or said to be lost."""

import av
import numpy as np
import pytest
from films import CHAPTERS, KINDS, film, rich

from denoiser import audio, video


def contents(path) -> list[dict]:
    """What every stream is, says of itself and holds."""
    with av.open(str(path)) as container:
        found = [
            {
                "type": stream.type,
                "codec": stream.codec_context.name if stream.codec_context else None,
                "title": stream.metadata.get("title", stream.metadata.get("name")),
                "language": stream.metadata.get("language"),
                "flags": int(stream.disposition),
                "data": [],
            }
            for stream in container.streams
        ]
        for each in container.demux():
            if each.size and bytes(each) != b"\0\0":  # the pauses of mov_text
                found[each.stream_index]["data"].append(bytes(each))
        for stream in container.streams.attachments:
            found[stream.index]["data"] = [stream.name, stream.mimetype, stream.data]
    return found


def cleaned(tmp_path, source, ending=None) -> tuple:
    """The film with half its sound, and what was said."""
    wave, rate = audio.read(source)
    audio.write(tmp_path / "sound.wav", wave / 2, rate)
    target, said = tmp_path / f"out{ending or source.suffix}", []
    video.replace_sound(source, tmp_path / "sound.wav", target, notify=said.append)
    return target, said


@pytest.mark.parametrize("ending", KINDS)
def test_all_but_the_cleaned_track_is_as_it_was(tmp_path, ending):
    rich(tmp_path / f"film{ending}")
    before = contents(tmp_path / f"film{ending}")
    target, said = cleaned(tmp_path, tmp_path / f"film{ending}")
    after = contents(target)
    assert len(after) == len(before)
    assert after[2].pop("data") != before[2].pop("data")  # the default one
    assert after == before
    assert said == [
        "Of 2 audio tracks, number 2 (Dubbed, eng) was denoised; the others are unchanged."
    ]
    wave, old = audio.read(target)[0], audio.read(tmp_path / f"film{ending}")[0]
    assert np.abs(wave).max() == pytest.approx(np.abs(old).max() / 2, rel=0.1)


@pytest.mark.parametrize("ending", KINDS)
def test_chapters_and_tags_are_as_they_were(tmp_path, ending):
    rich(tmp_path / f"film{ending}")
    target, _ = cleaned(tmp_path, tmp_path / f"film{ending}")
    with av.open(str(target)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        chapters = [
            (round(1000 * c["start"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
    assert (tags["title"], tags["artist"], tags["comment"]) == ("Film", "Somebody", "Take 2")
    assert chapters == [(start, title) for start, _, title in CHAPTERS]


def test_subtitles_are_shown_when_they_were(tmp_path):
    rich(tmp_path / "film.mkv")
    target, _ = cleaned(tmp_path, tmp_path / "film.mkv")
    times = []
    for path in (tmp_path / "film.mkv", target):
        with av.open(str(path)) as container:
            first = next(container.demux(video=0)).pts
            found = [p for p in container.demux(subtitles=0) if p.size]
            times.append([(p.pts - first, p.duration) for p in found])
    assert times[0] == times[1]


def test_what_a_container_cannot_hold_is_said(tmp_path):
    rich(tmp_path / "film.mkv")
    _, said = cleaned(tmp_path, tmp_path / "film.mkv", ".mp4")
    assert said[1:] == [
        "out.mp4 cannot hold the subtitle track 4 (Forced, fra, subrip), the attachment 5 "
        "(letters.ttf)."
    ]


def test_a_tag_that_mp4_has_no_place_for_is_said(tmp_path):
    film(tmp_path / "film.mkv", "matroska", "libx264", "aac")
    with av.open(str(tmp_path / "film.mkv")) as old, av.open(str(tmp_path / "m.mkv"), "w") as new:
        copies = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
        new.metadata.update(title="Film", camera_operator="Somebody")
        for each in old.demux():
            if each.size:
                each.stream = copies[each.stream_index]
                new.mux(each)
    assert cleaned(tmp_path, tmp_path / "m.mkv")[1] == []
    assert cleaned(tmp_path, tmp_path / "m.mkv", ".mp4")[1] == [
        "out.mp4 cannot hold the tag CAMERA_OPERATOR."
    ]


def test_a_damaged_film_gives_one_sentence_or_a_film(tmp_path):
    """Bytes are flipped all over; the target is whole or not there."""
    rich(tmp_path / "film.mkv")
    wave, rate = audio.read(tmp_path / "film.mkv")
    audio.write(tmp_path / "sound.wav", wave, rate)
    data, random = (tmp_path / "film.mkv").read_bytes(), np.random.default_rng(1)
    refused = 0
    for seed in range(12):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 10 if seed % 2 else 200):
            damaged[place] = random.integers(256)
        source, target = tmp_path / "damaged.mkv", tmp_path / f"{seed}.mkv"
        source.write_bytes(damaged)
        try:
            video.replace_sound(source, tmp_path / "sound.wav", target)
        except audio.AudioError:  # anything else fails the test
            refused += 1
    films = list(tmp_path.glob("[0-9]*.mkv"))
    assert len(films) == 12 - refused
    assert all(audio.info(path).sample_rate == rate for path in films)
    assert not list(tmp_path.glob(".*"))
