"""Pictures are shown in order and in step with the sound, whatever their container says."""

import av
import numpy as np
import pytest
from films import film, flash_and_click, shown_times

from denoiser import audio, video

B_FRAMES = {"bf": "2", "g": "12"}


def replaced(tmp_path, source):
    """The film with its own sound put back."""
    wave, rate = audio.read(source)
    audio.write(tmp_path / "sound.wav", wave, rate)
    target = tmp_path / f"out{video.suffix(source)}"
    video.replace_sound(source, tmp_path / "sound.wav", target)
    return target


# name: muxer, codec of the pictures, of the sound
WRAPPERS = {
    "h264.avi": ("avi", "libx264", "libmp3lame"),
    "xvid.avi": ("avi", "mpeg4", "libmp3lame"),
    "mpeg2.avi": ("avi", "mpeg2video", "mp2"),
    "aac.avi": ("avi", "libx264", "aac"),
    "h264.mpg": ("mpeg", "libx264", "mp2"),
    "mpeg2.mpg": ("mpeg", "mpeg2video", "mp2"),
    "dvd.vob": ("vob", "mpeg2video", "ac3"),
    "h264.ts": ("mpegts", "libx264", "mp2"),
    "mpeg2.ts": ("mpegts", "mpeg2video", "aac"),
    "h264.flv": ("flv", "libx264", "libmp3lame"),
    "h264.mp4": ("mp4", "libx264", "aac"),
    "h265.mkv": ("matroska", "libx265", "aac"),
    "xvid.mkv": ("matroska", "mpeg4", "aac"),
    "h264.mov": ("mov", "libx264", "aac"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_all_pictures_come_in_order_and_in_step(tmp_path, name):
    source = tmp_path / name
    film(source, *WRAPPERS[name], **B_FRAMES)
    times = shown_times(replaced(tmp_path, source))
    assert len(times) == 75
    assert np.allclose(np.diff(times), 0.04, atol=0.0011)
    flash, click = flash_and_click(tmp_path / f"out{video.suffix(source)}")
    assert flash == pytest.approx(click, abs=0.05)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv"])
def test_a_copy_without_times_of_showing_is_put_right(tmp_path, name):
    """Programs that copy from AVI write the order of decoding as that of showing."""
    film(tmp_path / "real.mp4", *WRAPPERS["h264.mp4"], **B_FRAMES)
    source = tmp_path / name
    with av.open(str(tmp_path / "real.mp4")) as real, av.open(str(source), "w") as copy:
        streams = [copy.add_stream_from_template(each, opaque=True) for each in real.streams]
        first = None
        for packet in real.demux():
            if packet.size:
                if packet.stream.type == "video":
                    first = packet.dts if first is None else first
                    packet.dts -= first
                    packet.pts = packet.dts
                packet.stream = streams[packet.stream_index]
                copy.mux(packet)
    assert np.any(np.diff(shown_times(source)) <= 0)
    times = shown_times(replaced(tmp_path, source))
    assert len(times) == 75
    assert np.allclose(np.diff(times), 0.04, atol=0.0011)


def test_pictures_without_b_frames_keep_their_times(tmp_path):
    source = tmp_path / "plain.mp4"
    film(source, "mp4", "libx264", "aac", bf="0")
    assert np.allclose(shown_times(replaced(tmp_path, source)), shown_times(source), atol=1e-6)


def packed(source, target) -> int:
    """DivX's way to put B-frames into AVI: two pictures in one packet, none in the next."""
    with av.open(str(source)) as plain, av.open(str(target), "w") as divx:
        stream = divx.add_stream_from_template(plain.streams.video[0], opaque=True)
        heard = divx.add_stream_from_template(plain.streams.audio[0], opaque=True)
        sounds, pictures = [], []
        for packet in plain.demux():
            if packet.size and packet.stream.type == "video":
                pictures.append((bytes(packet), packet.is_keyframe))
            elif packet.size:
                sounds.append(packet)
        is_b = [data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 2 for data, _ in pictures]
        number, pairs = 0, 0
        while number < len(pictures):
            data, key = pictures[number]
            if number == 0:
                start = data.index(b"\0\0\1\xb6")
                data = data[:start] + b"\0\0\1\xb2DivX503b1393p" + data[start:]
            contents = [(data, key)]
            if number + 1 < len(pictures) and is_b[number + 1] and not is_b[number]:
                contents = [(data + pictures[number + 1][0], key), (b"\0\0\1\xb6\x50\0\x7f", False)]
                pairs += 1
            for each, is_key in contents:
                packet = av.Packet(each)
                packet.stream, packet.time_base = stream, plain.streams.video[0].time_base
                packet.pts = packet.dts = number
                packet.is_keyframe = is_key
                divx.mux(packet)
                number += 1
        for packet in sounds:
            packet.stream = heard
            divx.mux(packet)
    return pairs


def test_packed_b_frames_are_unpacked(tmp_path):
    film(tmp_path / "plain.avi", "avi", "mpeg4", "libmp3lame", bf="1", g="12")
    source = tmp_path / "divx.avi"
    assert packed(tmp_path / "plain.avi", source) > 20
    target = replaced(tmp_path, source)
    times = shown_times(target)
    assert len(times) == 75
    assert np.allclose(np.diff(times), 0.04, atol=0.0011)
    with av.open(str(target)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert max(packet.count(b"\0\0\1\xb6") for packet in packets) == 1
    flash, click = flash_and_click(target)
    assert flash == pytest.approx(click, abs=0.05)


def test_a_joined_film_goes_on_where_its_clock_begins_again(tmp_path):
    film(tmp_path / "one.mpg", "mpeg", "mpeg2video", "mp2", **B_FRAMES)
    data = (tmp_path / "one.mpg").read_bytes()
    (tmp_path / "two.mpg").write_bytes(data + data)
    target = replaced(tmp_path, tmp_path / "two.mpg")
    times = shown_times(target)
    assert len(times) in (149, 150)
    assert np.all(np.diff(times) > 0)
    assert times[-1] - times[0] == pytest.approx(6, abs=0.3)
