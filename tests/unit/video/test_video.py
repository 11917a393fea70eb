"""The same video with another sound: pictures untouched, lips in step."""

import av
import numpy as np
import pytest
from films import film
from sounds import encode

from denoiser import audio, video
from denoiser.audio import sandbox
from denoiser.video import remux

PICTURES = 25  # a second
SECONDS, BURST = 4.0, 3.0  # of sound, and where a burst of 0.1 s lies in it
CODECS = {".mp4": ("mpeg4", "aac"), ".mov": ("mpeg4", "aac"), ".mkv": ("mpeg4", "aac")}
CODECS |= {".webm": ("libvpx", "libopus"), ".avi": ("mpeg4", "mp3")}


def burst(rate: int, channels: int, level: float) -> np.ndarray:
    """Silence with a burst of a tone."""
    t = np.arange(round(SECONDS * rate)) / rate
    wave = level * np.sin(2 * np.pi * 1000 * t) * ((t >= BURST) & (t < BURST + 0.1))
    return np.repeat(wave[None], channels, axis=0).astype(np.float32)


def write(path, rate=48000, channels=2, delay=0.0, rotated=False) -> None:
    picture_codec, sound_codec = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "An interview"
        shown = container.add_stream(picture_codec, rate=PICTURES)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream(sound_codec, rate=rate, layout=audio.LAYOUTS[channels - 1])
        for n in range(round((SECONDS + delay) * PICTURES)):
            image = np.full((48, 64, 3), 2 * n % 256, np.uint8)
            container.mux(shown.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(shown.encode(None))
        sound = np.ascontiguousarray(burst(rate, channels, 0.5))
        frame = av.AudioFrame.from_ndarray(sound, "fltp", audio.LAYOUTS[channels - 1])
        frame.sample_rate, frame.pts = rate, round(delay * rate)
        container.mux(heard.encode(frame))
        container.mux(heard.encode(None))


def packets(path) -> list[tuple[bytes, float]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = [(bytes(p), p.pts, p.time_base) for p in container.demux(stream) if p.size]
    return [(data, float(pts * base)) for data, pts, base in found]


def times(path) -> tuple[float, float]:
    """When the first picture is shown, and when the burst is heard."""
    with av.open(str(path)) as container:
        frames = [
            (frame.time, np.abs(frame.to_ndarray().astype(np.float32)))
            for frame in container.decode(audio=0)
        ]
        rate = container.streams.audio[0].rate
    loudest = max(wave.max() for _, wave in frames)
    for time, wave in frames:
        wave = wave.reshape(1, -1) if wave.shape[0] == 1 else wave[:1]
        loud = np.flatnonzero(wave[0] > 0.3 * loudest)
        if loud.size:
            return packets(path)[0][1], time + loud[0] / rate
    raise AssertionError("no burst")


CASES = {
    "stereo.mp4": {},
    "mono.mp4": {"rate": 44100, "channels": 1},
    "late.mp4": {"delay": 0.5},
    "phone.mov": {},
    "film.mkv": {"delay": 0.5},
    "browser.webm": {},
    "old.avi": {},
}


@pytest.mark.parametrize("name", CASES)
def test_pictures_are_the_same_and_the_new_sound_is_in_step(tmp_path, name):
    source, sound = tmp_path / name, tmp_path / "sound.wav"
    write(source, **CASES[name])
    before, rate = audio.read(source)
    new = 0.2 * before
    audio.write(sound, new, rate)
    target = tmp_path / f"out{video.suffix(source)}"
    video.replace_sound(source, sound, target)

    old, kept = packets(source), packets(target)
    assert [data for data, _ in kept] == [data for data, _ in old]
    shift = kept[0][1] - old[0][1]
    assert np.allclose([t for _, t in kept], [t + shift for _, t in old], atol=0.002)
    shown_before, heard_before = times(source)
    shown, heard = times(target)
    assert heard - shown == pytest.approx(heard_before - shown_before, abs=0.02)
    after, after_rate = audio.read(target)
    assert after.shape[1] / after_rate == pytest.approx(before.shape[1] / rate, abs=0.025)
    assert len(after) == len(before)
    assert np.sqrt(np.square(after).sum() / after_rate) == pytest.approx(
        np.sqrt(np.square(new).sum() / rate), rel=0.035
    )  # 0.3 dB
    with av.open(str(target)) as container:
        assert {k.lower(): v for k, v in container.metadata.items()}["title"] == "An interview"


@pytest.fixture
def every_share(monkeypatch):
    """The share of every packet, from this process, where a test can ask for it."""
    monkeypatch.setattr(sandbox, "_inside", True)
    monkeypatch.setattr(remux, "SHARE_SECONDS", -1.0)


@pytest.mark.parametrize("name", ["pictures.mp4", "order.avi"])
def test_the_share_done_grows_from_0_to_1(tmp_path, every_share, name):
    """Also where all pictures must be decoded first, to find their order."""
    if name == "order.avi":
        film(tmp_path / name, "avi", "libx264", "libmp3lame", bf="2", g="12")
    else:
        write(tmp_path / name)
    audio.write(tmp_path / "sound.wav", *audio.read(tmp_path / name))
    files = tmp_path / name, tmp_path / "sound.wav", tmp_path / f"out{video.suffix(name)}"
    shares = np.array(list(video.replacing_sound(*files)))
    assert len(shares) > 100
    assert (shares[0], shares[-1]) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    assert 0 <= np.diff(shares).min() <= np.diff(shares).max() < 0.1 + (name == "order.avi")


def test_a_video_that_is_no_longer_wanted_leaves_no_file(tmp_path, every_share):
    write(tmp_path / "film.mp4")
    audio.write(tmp_path / "sound.wav", *audio.read(tmp_path / "film.mp4"))
    work = video.replacing_sound(*(tmp_path / n for n in ("film.mp4", "sound.wav", "out.mp4")))
    assert next(work) < 1
    assert len(list(tmp_path.iterdir())) == 3
    work.close()
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "sound.wav"}


def test_the_ending_says_which_container(tmp_path):
    assert [video.suffix(f"a{ending}") for ending in (".MP4", ".mov", ".webm", ".avi", ".ts")] == [
        *(".mp4", ".mov", ".webm", ".mkv", ".mkv")
    ]


def test_a_cover_is_no_picture(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        heard = container.add_stream("aac", rate=48000, layout="mono")
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux([*cover.encode(image), *cover.encode(None)])
        frame = av.AudioFrame.from_ndarray(burst(48000, 1, 0.5), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux([*heard.encode(frame), *heard.encode(None)])
    write(tmp_path / "film.mp4")
    assert not video.has_picture(path)
    assert video.has_picture(tmp_path / "film.mp4")


def test_a_recording_without_pictures_is_refused_and_nothing_is_left(tmp_path):
    audio.write(tmp_path / "talk.wav", burst(48000, 1, 0.5), 48000)
    with pytest.raises(audio.AudioError, match=r"talk.wav has no video track"):
        video.replace_sound(tmp_path / "talk.wav", tmp_path / "talk.wav", tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def test_a_sound_that_no_video_holds_is_refused(tmp_path):
    """AAC would take for ever to encode it."""
    write(tmp_path / "film.mp4")
    loud = 1e7 * burst(48000, 1, 0.5)
    audio.write(tmp_path / "loud.wav", loud, 48000, "FLOAT")
    with pytest.raises(audio.AudioError, match=r"loud\.wav exceeds 10,000 times full scale"):
        video.replace_sound(tmp_path / "film.mp4", tmp_path / "loud.wav", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_pictures_that_no_container_here_holds_are_refused_by_their_codec(tmp_path):
    """Those of old Flash videos; nothing is left of the attempt."""
    encode(tmp_path / "x.flv", "libmp3lame", burst(44100, 1, 0.5), 44100, video="flv")
    audio.write(tmp_path / "sound.wav", burst(44100, 1, 0.5), 44100)
    with pytest.raises(audio.AudioError, match="Video in flv cannot be stored in matroska: conv"):
        video.replace_sound(tmp_path / "x.flv", tmp_path / "sound.wav", tmp_path / "out.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound.wav", "x.flv"]
