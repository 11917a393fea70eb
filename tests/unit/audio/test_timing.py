"""A result lies under the film that it came from: sample n is heard n / rate seconds after zero."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from sounds import noise

from denoiser import audio
from denoiser.audio import containers, timing

RATE, PIECE = 48_000, 960


def write(path, codec, sound, *, clicks=(), picture_seconds=0.0, muxer=None, options=None) -> None:
    """A recording whose sound is there in the stretches `sound` of (start, end), in seconds."""
    with av.open(str(path), "w", muxer, options=options) as container:
        packets = []
        if picture_seconds:
            shown = container.add_stream("mpeg4", rate=25)
            shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream(codec, rate=RATE, layout="mono")
        for start, end in sound:
            for at in range(round(start * RATE), round(end * RATE), PIECE):
                packets += heard.encode(_frame(at, clicks))
        packets += heard.encode(None)
        if picture_seconds:
            for n in range(round(25 * picture_seconds)):
                image = np.full((48, 64, 3), n % 256, np.uint8)
                packets += shown.encode(av.VideoFrame.from_ndarray(image, "rgb24"))
            packets += shown.encode(None)
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            container.mux(packet)


def _frame(at: int, clicks) -> av.AudioFrame:
    """A piece of faint noise that begins with sample `at`, with clicks of 1 ms at given seconds."""
    wave = 1e-3 * noise(PIECE, seed=at)
    for click in clicks:
        first = round(click * RATE) - at
        if 0 <= first < PIECE:
            wave[0, first : first + 48] = 0.8
    frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    return frame


def read(path) -> tuple[np.ndarray, list[str]]:
    said = []
    return np.concatenate(list(audio.blocks(path, notify=said.append)), axis=1), said


def click_times(wave: np.ndarray) -> list[float]:
    loud = np.flatnonzero(np.abs(wave[0]) > 0.25)
    return [
        t / RATE for t, gap in zip(loud, np.diff(loud, prepend=-RATE), strict=True) if gap > 960
    ]


FORMATS = [("x.mkv", "pcm_s16le"), ("x.mkv", "aac"), ("x.webm", "libopus"), ("x.mp4", "aac"),
           ("x.mov", "aac"), ("x.flv", "aac")]  # fmt: skip


PICTURED = ("mkv", "mp4", "mov")  # that hold the codec of the pictures made here


@pytest.mark.parametrize(("name", "codec"), FORMATS)
def test_clicks_lie_where_the_film_has_them(tmp_path, name, codec):
    """The sound begins 2 s into the film, and nothing was recorded from 5.0 to 6.5 s."""
    clicks = (3.0, 7.5)
    picture = 9.6 if name[2:] in PICTURED else 0.0
    write(tmp_path / name, codec, [(2, 5), (6.5, 9.5)], clicks=clicks, picture_seconds=picture)
    wave, said = read(tmp_path / name)
    # Encoders with a delay of their own: Matroska does not say how long AAC's is
    assert click_times(wave) == pytest.approx(clicks, abs=0.025)
    assert wave.shape[1] / RATE == pytest.approx(9.5, abs=0.05)
    assert said == []


@pytest.mark.parametrize("live", ["0", "1"])
@pytest.mark.parametrize("hole", [0.06, 0.3, 20.0])
def test_a_hole_of_any_length_is_silence(tmp_path, hole, live):
    """Also where the file names no length, as a browser's: FFmpeg takes it from the bit rate."""
    sound = [(0, 1), (1 + hole, 2 + hole)]
    write(tmp_path / "x.mkv", "pcm_s16le", sound, muxer="matroska", options={"live": live})
    wave, said = read(tmp_path / "x.mkv")
    assert wave.shape[1] / RATE == pytest.approx(2 + hole, abs=0.002)
    middle = wave[0, RATE + 48 : round((1 + hole) * RATE) - 96]
    assert middle.size
    assert not middle.any()
    assert said == []


def test_a_broadcast_begins_at_any_time(tmp_path):
    """Transport streams begin at 1.4 s or at many hours: that is no silence."""
    write(tmp_path / "x.ts", "mp2", [(0, 2)], muxer="mpegts")
    wave, said = read(tmp_path / "x.ts")
    assert wave.shape[1] / RATE == pytest.approx(2, abs=0.03)
    assert said == []


def test_an_absurd_clock_is_not_believed(tmp_path):
    """A jump of 30 hours, and one backwards, as joined recordings have them."""
    write(tmp_path / "x.mkv", "pcm_s16le", [(0, 1), (108_000, 108_001)])
    assert read(tmp_path / "x.mkv")[0].shape[1] == 2 * RATE


def test_a_hole_beyond_the_length_of_the_file_is_a_wrong_clock(tmp_path):
    """A file of 2 s has no sound at 20 s; one of 30 s, or of unknown length, may have."""
    write(tmp_path / "x.mkv", "flac", [(0, 1), (20, 21)])
    data = (tmp_path / "x.mkv").read_bytes()
    duration = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a double, in ms
    for name, claimed_ms, seconds in (("short", 2000, 2), ("unknown", 0, 21), ("long", 30_000, 21)):
        patched = data[:duration] + struct.pack(">d", claimed_ms) + data[duration + 8 :]
        (tmp_path / f"{name}.mkv").write_bytes(patched)
        wave, _ = read(tmp_path / f"{name}.mkv")
        assert wave.shape[1] / RATE == pytest.approx(seconds, abs=0.001), name


def test_far_more_sound_than_a_file_of_counted_samples_holds_is_too_long(tmp_path):
    """A wrong decoder makes many samples of few bytes: 2.3 s out of a WAV of 1 s are not its."""
    audio.write(tmp_path / "x.wav", noise(RATE), RATE)
    with containers.opened(tmp_path / "x.wav") as (container, stream):
        assert timing.too_long(container, stream, 2.3)
        assert not timing.too_long(container, stream, 2.1)


def test_jitter_of_a_clock_is_no_hole(tmp_path):
    """WebM rounds to 1 ms; a browser's recorder is late by more, and catches up."""
    with av.open(str(tmp_path / "x.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for n, late in enumerate((0, 12, 3, 15, 0, 8, 1, 14, 2, 0) * 10):
            frame = _frame(n * PIECE, ())
            frame.pts += 48 * late
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    wave, said = read(tmp_path / "x.mkv")
    assert wave.shape[1] == 100 * PIECE
    assert said == []


@pytest.mark.parametrize(("name", "codec"), [each for each in FORMATS if each[0][2:] in PICTURED])
def test_a_film_whose_sound_ends_early_is_not_damaged(tmp_path, name, codec):
    write(tmp_path / name, codec, [(0, 2)], picture_seconds=4)
    wave, said = read(tmp_path / name)
    assert wave.shape[1] / RATE == pytest.approx(2, abs=0.05)
    assert said == []


def test_how_much_of_a_film_is_missing_is_said(tmp_path):
    write(tmp_path / "whole.mkv", "pcm_s16le", [(0, 10)], picture_seconds=10)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    wave, said = read(tmp_path / "half.mkv")
    assert wave.shape[1] / RATE == pytest.approx(5, abs=0.3)
    assert len(said) == 1
    assert "of 10.0 s are missing" in said[0]
    missing = float(said[0].split("cut off: ")[1].split()[0])
    assert missing == pytest.approx(10 - wave.shape[1] / RATE, abs=0.2)
