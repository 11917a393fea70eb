"""What can be decoded is, all of it and in order; what cannot is refused by its name."""

import re
import struct

import av
import numpy as np
import pytest
import soundfile
from sounds import encode, level_of, noise, tone

from denoiser import audio

RATE = 48_000


def voice(seconds: float, rate: int) -> np.ndarray:
    """Something like speech, (samples,): noise below 1 kHz that comes and goes."""
    samples = round(seconds * rate)
    spectrum = np.fft.rfft(noise(samples)[0])
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > 1000] = 0
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(samples) / rate)
    return (2 * swell * np.fft.irfft(spectrum, samples)).astype(np.float32)


def read(path) -> tuple[np.ndarray, int, list[str]]:
    said = []
    return np.concatenate(list(audio.blocks(path, notify=said.append)), axis=1), *(
        audio.info(path).sample_rate,
        said,
    )


# ---- telephone codecs

TELEPHONE = [
    (ending, subtype)
    for ending in ("WAV", "AU", "W64", "AIFF", "CAF")
    for subtype in soundfile.available_subtypes(ending)
    if not subtype.startswith(("MPEG", "DWVW"))  # libsndfile itself cannot read DWVW again
]


@pytest.mark.parametrize(("kind", "subtype"), TELEPHONE)
def test_whatever_libsndfile_writes_is_read_the_same_or_refused_by_name(tmp_path, kind, subtype):
    path = tmp_path / f"x.{kind.lower()}"
    soundfile.write(path, voice(5, 8000), 8000, subtype=subtype, format=kind)
    expected, _ = soundfile.read(path, dtype="float32")
    try:
        wave = audio.read(path)[0][0]
    except audio.AudioError as error:
        assert re.search(r"uses the codec (NMS|G\.72\d) ADPCM, which", str(error))  # noqa: PT017
        assert subtype.startswith(("NMS", "G72"))
        return
    assert abs(len(wave) - 40_000) <= 512
    count = min(len(wave), len(expected))
    assert np.corrcoef(wave[:count], expected[:count])[0, 1] > 0.99


def test_a_codec_under_the_tag_of_another_is_refused_by_name(tmp_path):
    """G.722 under 0x0064, the tag of G.726."""
    encode(tmp_path / "x.wav", "g722", voice(5, 16_000)[None], 16_000)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    struct.pack_into("<H", data, data.find(b"fmt ") + 8, 0x64)
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(audio.AudioError, match=r"x\.wav uses the codec (\w*726|g722)"):
        audio.read(tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("x.avi", "aac", "fltp"), ("x.wav", "flac", "s16"), ("x.w64", "flac", "s16")],
)
def test_codecs_whose_tag_is_no_ascii_are_read(tmp_path, name, codec, form):
    """AAC is 0xFF in AVI, and FLAC 0xF1AC in WAV: PyAV takes all tags for ASCII."""
    wave = tone(2 * RATE, RATE)
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        samples = wave if form == "fltp" else (wave * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, form, "mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    back, rate, said = read(tmp_path / name)
    assert back.shape[1] / rate == pytest.approx(2, abs=0.05)
    assert level_of(back[0], rate, 440) == pytest.approx(0.25, rel=0.05)
    assert said == []


def test_aac_without_headers_of_its_frames_is_refused_by_name(tmp_path):
    """As FFmpeg itself puts it into a WAV, and cannot take it out again."""
    encode(tmp_path / "x.wav", "aac", voice(5, 44_100)[None], 44_100)
    with pytest.raises(audio.AudioError, match=r"x\.wav uses the codec aac, which cannot be"):
        audio.read(tmp_path / "x.wav")


@pytest.mark.parametrize(("tag", "codec"), [(0x22, "truespeech"), (0x41, "g728"), (0x42, "g723_1")])
def test_a_decoder_that_makes_far_too_much_of_a_recording_is_the_wrong_one(tmp_path, tag, codec):
    """A-law under tags whose decoders take any bytes: 5 s would become 37, 20 and 91 s."""
    encode(tmp_path / "x.wav", "pcm_alaw", voice(5, 8000)[None], 8000)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    struct.pack_into("<H", data, data.find(b"fmt ") + 8, tag)
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(audio.AudioError, match=rf"x\.wav uses the codec {codec}, which"):
        audio.read(tmp_path / "x.wav")


# ---- tracks that cannot be decoded


def two_tracks(path, unknown: tuple[int, ...]) -> None:
    """MOV with two tones, tracks of which are in a codec that nobody knows (as Apple's APAC is)."""
    with av.open(str(path), "w", "mov") as container:
        streams = [container.add_stream("aac", rate=RATE, layout="mono") for _ in range(2)]
        for stream, hz in zip(streams, (440, 880), strict=True):
            frame = av.AudioFrame.from_ndarray(tone(4 * RATE, RATE, hz=hz), "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
    data, place = bytearray(path.read_bytes()), 0
    for track in range(2):
        place = data.find(b"mp4a\0\0\0\0\0\0\0\1", place + 1)
        if track in unknown:
            data[place : place + 4] = b"apac"
            esds = data.find(b"esds", place)
            data[esds : esds + 4] = b"dapa"
    path.write_bytes(data)


@pytest.mark.parametrize(("unknown", "hz"), [((), 440), ((0,), 880), ((1,), 440)])
def test_the_track_that_can_be_decoded_is_taken(tmp_path, unknown, hz):
    two_tracks(tmp_path / "x.mov", unknown)
    wave, rate, said = read(tmp_path / "x.mov")
    assert wave.shape == (1, 4 * RATE)
    assert level_of(wave[0], rate, hz) == pytest.approx(0.25, rel=0.05)
    assert said == []


def test_where_no_track_can_be_decoded_the_codec_is_named(tmp_path):
    two_tracks(tmp_path / "x.mov", (0, 1))
    with pytest.raises(audio.AudioError, match="uses the codec apac, which cannot be decoded"):
        audio.read(tmp_path / "x.mov")


@pytest.mark.parametrize(
    "flags", ["default", "default|visual_impaired", "default|hearing_impaired"]
)
def test_the_default_track_is_taken(tmp_path, flags):
    """FFmpeg's own choice would be another one where the default is for the blind or the deaf."""
    path, disposition = tmp_path / "x.mkv", av.stream.Disposition(0)
    for flag in flags.split("|"):
        disposition |= av.stream.Disposition[flag]
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("flac", rate=RATE, layout="mono") for _ in range(2)]
        streams[0].disposition, streams[1].disposition = 0, disposition
        for stream, hz in zip(streams, (440, 880), strict=True):
            wave = (tone(RATE, RATE, hz=hz) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
    assert level_of(audio.read(path)[0][0], RATE, 880) == pytest.approx(0.25, rel=0.05)


# ---- joined files


def part(path, kind: str, rate: int, channels: int, hz: float, seconds: int) -> bytes:
    wave = tone(seconds * rate, rate, channels, hz)
    if kind in ("VORBIS", "OPUS"):
        soundfile.write(path, wave.T, rate, format="OGG", subtype=kind)
    elif kind == "FLAC":
        soundfile.write(path, wave.T, rate, format="FLAC", subtype="PCM_16")
    else:
        encode(path, kind, wave, rate)
    return path.read_bytes()


CHAINS = [
    ("x.ogg", "VORBIS", [(44_100, 1), (48_000, 2)]),
    ("x.ogg", "VORBIS", [(44_100, 2), (44_100, 2)]),
    ("x.ogg", "VORBIS", [(48_000, 2), (22_050, 1), (44_100, 2), (48_000, 1)]),
    ("x.opus", "OPUS", [(48_000, 1), (48_000, 2)]),
    ("x.flac", "FLAC", [(48_000, 2), (48_000, 2)]),
    ("x.mp3", "libmp3lame", [(44_100, 1), (44_100, 1)]),
    ("x.mp3", "libmp3lame", [(44_100, 2), (48_000, 1), (44_100, 2)]),
    ("x.aac", "aac", [(44_100, 2), (44_100, 2)]),
]


@pytest.mark.parametrize(("name", "kind", "parts"), CHAINS)
def test_every_part_of_a_joined_file_is_read_in_order(tmp_path, name, kind, parts):
    seconds, tones = 3, (440, 880, 1320, 1760)
    data = [
        part(tmp_path / f"part{n}{name[1:]}", kind, rate, channels, hz, seconds)
        for n, ((rate, channels), hz) in enumerate(zip(parts, tones, strict=False))
    ]
    (tmp_path / name).write_bytes(b"".join(data))
    wave, rate, said = read(tmp_path / name)
    assert (rate, len(wave)) == parts[0]
    assert wave.shape[1] / rate == pytest.approx(seconds * len(parts), abs=0.06 * len(parts))
    for n, hz in zip(range(len(parts)), tones, strict=False):
        start = round((n * wave.shape[1] / len(parts) / rate + 0.5) * rate)
        assert level_of(wave[0, start : start + 2 * rate], rate, hz) == pytest.approx(
            0.25, rel=0.07
        )
    assert said == []


def test_joined_mp3s_with_tags_between_them_are_whole(tmp_path):
    """Two recordings with the header that LAME writes, an ID3v1 tag behind each.

    The delay of the second, and the padding of both, are all that is added.
    """
    audio.write(tmp_path / "part.mp3", tone(4 * 44_100, 44_100, 2), 44_100)
    whole = (tmp_path / "part.mp3").read_bytes() + b"TAG" + bytes(125)
    (tmp_path / "x.mp3").write_bytes(2 * whole)
    wave, _, said = read(tmp_path / "x.mp3")
    assert 352_800 <= wave.shape[1] <= 352_800 + 3_300
    assert said == []


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (24_000, 2), (24_000, 1)])
def test_the_contents_in_the_middle_of_a_joined_mp3_are_no_sound(tmp_path, rate, channels):
    """LAME writes no ID3 in front of its header, which would decode to a frame of silence."""
    audio.write(tmp_path / "part.mp3", tone(4 * rate, rate, channels), rate)
    data = (tmp_path / "part.mp3").read_bytes()
    data = data[10 + data[9] :]
    assert b"Xing" in data[:40]
    (tmp_path / "x.mp3").write_bytes(2 * data)
    wave, _, said = read(tmp_path / "x.mp3")
    frame = 1152 if rate > 24_000 else 576
    frames = -(-(4 * rate + 1105) // frame)  # of each part; the delay of the first is cut off
    assert wave.shape[1] == 2 * frames * frame - 1105
    assert said == []


def test_a_chain_of_which_one_link_is_broken_keeps_the_others(tmp_path):
    links = [part(tmp_path / f"{n}.ogg", "VORBIS", 48_000, 1, 440, 2) for n in range(3)]
    links[1] = links[1][:200] + bytes(len(links[1]) - 200)
    (tmp_path / "x.ogg").write_bytes(b"".join(links))
    wave, _, said = read(tmp_path / "x.ogg")
    assert wave.shape[1] >= 4 * 48_000 - 512
    assert len(said) == 1


def test_half_of_a_recording_in_zeros_is_damage_and_no_other_codec(tmp_path):
    encode(tmp_path / "x.mp4", "aac", tone(20 * RATE, RATE), RATE)
    data = bytearray((tmp_path / "x.mp4").read_bytes())
    start, size = data.find(b"mdat") + 4, len(data)
    data[start + size // 3 : start + size // 3 + size // 4] = bytes(size // 4)
    (tmp_path / "x.mp4").write_bytes(data)
    wave, _, _ = read(tmp_path / "x.mp4")
    assert wave.shape[1] / RATE == pytest.approx(20, abs=0.1)
    assert level_of(wave[0, : 5 * RATE], RATE, 440) == pytest.approx(0.25, rel=0.05)
