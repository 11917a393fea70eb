"""A channel means what its label says, in every file that is read, mixed and written."""

import struct

import numpy as np
import pytest
import soundfile
from sounds import encode, noise, tone

from denoiser import audio, levels
from denoiser.audio.layouts import Downmix, conversion, positions
from denoiser.mixing import remix, to_mono

RATE = 48_000
HZ = (300, 500, 800, 1300, 2100, 2700, 3500, 4300)
MASKS = [
    (1, 0x800), (2, 0x3), (2, 0x600), (3, 0x7), (3, 0xB), (4, 0x33), (4, 0x107), (4, 0x5011),
    (5, 0x37), (5, 0x607), (6, 0x3F), (6, 0x60F), (7, 0x70F), (7, 0x13F), (8, 0x63F), (8, 0xFF),
    (4, 0), (6, 0),
]  # fmt: skip


def tones(channels: int, samples: int = 30_000) -> np.ndarray:
    """Another tone in every channel, (channels, samples)."""
    return np.concatenate([0.4 * tone(samples, RATE, hz=hz) for hz in HZ[:channels]])


def heard(wave: np.ndarray) -> list[int]:
    """The tone of every channel."""
    spectrum = np.abs(np.fft.rfft(wave[:, 4800 : 4800 + 24_000] * np.hanning(24_000)))
    return [int(hz) for hz in np.array(HZ)[spectrum[:, np.array(HZ) // 2].argmax(axis=1)]]


def write_with_mask(path, channels: int, mask: int) -> None:
    """24 bits: where there are 16, FFmpeg first tries whether they are DTS, which takes longer."""
    soundfile.write(path, tones(channels).T, RATE, format="WAVEX", subtype="PCM_24")
    data = bytearray(path.read_bytes())
    start = data.find(b"fmt ") + 8
    data[start + 20 : start + 24] = struct.pack("<I", mask)
    path.write_bytes(data)


def mask_of(path) -> int:
    data = path.read_bytes()
    start = data.find(b"fmt ") + 8
    if data[start : start + 2] != b"\xfe\xff":  # the short header has no mask
        return {1: 0x4, 2: 0x3}.get(int.from_bytes(data[start + 2 : start + 4], "little"), 0)
    return struct.unpack("<I", data[start + 20 : start + 24])[0]


@pytest.mark.parametrize(("channels", "mask"), MASKS)
def test_the_speakers_of_a_wav_come_back_bit_for_bit(tmp_path, channels, mask):
    source, result = tmp_path / "x.wav", tmp_path / "result.wav"
    write_with_mask(source, channels, mask)
    remix(source, source, result)
    assert mask_of(result) == mask
    assert heard(audio.read(result)[0]) == list(HZ[:channels])


@pytest.mark.parametrize(("channels", "mask"), [each for each in MASKS if each[1]])
def test_the_speakers_of_a_flac_come_back(tmp_path, channels, mask):
    write_with_mask(tmp_path / "x.wav", channels, mask)
    remix(tmp_path / "x.wav", tmp_path / "x.wav", tmp_path / "x.flac")
    remix(tmp_path / "x.flac", tmp_path / "x.flac", tmp_path / "back.wav")
    assert mask_of(tmp_path / "back.wav") == mask
    samples, _ = soundfile.read(tmp_path / "x.flac", dtype="float32")
    assert heard(samples.reshape(-1, channels).T) == list(HZ[:channels])


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
def test_the_channels_of_lossless_files_are_read_in_order(tmp_path, channels, name):
    soundfile.write(tmp_path / name, tones(channels).T, RATE, subtype="PCM_16")
    assert heard(audio.read(tmp_path / name)[0]) == list(HZ[:channels])


VORBIS_ORDER = {  # of channels in Ogg Opus, RFC 7845
    3: "FL FC FR",
    4: "FL FR BL BR",
    5: "FL FC FR BL BR",
    6: "FL FC FR BL BR LFE",
    7: "FL FC FR SL SR BC LFE",
    8: "FL FC FR SL SR BL BR LFE",
}


@pytest.mark.parametrize("channels", VORBIS_ORDER)
def test_the_channels_of_opus_are_read_at_their_speakers(tmp_path, channels):
    order, path = VORBIS_ORDER[channels].split(), tmp_path / "x.opus"
    soundfile.write(path, tones(channels).T, RATE, format="OGG", subtype="OPUS")
    speakers = positions(audio.info(path).layout)
    pairs = dict(zip(speakers, heard(audio.read(path)[0]), strict=True))
    pairs.pop("LFE", None)  # what is written there is cut off at 120 Hz
    assert pairs == {name: hz for name, hz in zip(order, HZ, strict=False) if name != "LFE"}


# ---- fewer channels


def covariance(wave: np.ndarray) -> np.ndarray:
    return levels.survey([wave], RATE).covariance


def level_db(wave: np.ndarray) -> float:
    return 10 * np.log10(np.square(wave, dtype=np.float64).mean())


@pytest.mark.parametrize(
    ("layout", "gains", "expected_db", "remark"),
    [("stereo", (1, 1), 0, False),
     ("stereo", (1, 0), 0, False),  # a silent side does not count
     ("stereo", (0, 1), 0, False),
     ("stereo", (1, -1), 0, True),  # one side upside down
     ("stereo", (0.5, -1), 0, True),
     ("5.1", (0, 0, 1, 0, 0, 0), 0, False),
     ("5.1", (0, 0, 0, 1, 0, 0), 0, False),  # nothing but low-frequency effects
     ("5.1", (1, 1, 0, 1, 0, 0), 0, False),  # which do not count beside others
     ("5.1(side)", (1, 1, 1, 0, 1, 1), 0, False),
     ("5.1", (1, -1, 0, 0, 0, 0), 0, True),
     ("6 channels", (0, 0, 1, 0, 0, 0), 0, False)],
)  # fmt: skip
def test_one_voice_in_any_channels_keeps_its_level(layout, gains, expected_db, remark):
    voice = noise(RATE)
    wave = np.array(gains, np.float32)[:, None] * voice
    downmix = Downmix(layout, covariance(wave))
    assert level_db(downmix(wave)) - level_db(voice) == pytest.approx(expected_db, abs=0.5)
    assert (downmix.remark is not None) == remark


def test_unrelated_channels_are_no_inverted_ones():
    for layout in ("stereo", "5.1", "7.1"):
        channels = len(conversion(layout, layout))
        wave = np.concatenate([noise(RATE, seed=n) for n in range(channels)])
        assert Downmix(layout, covariance(wave)).remark is None


@pytest.mark.parametrize("snr_db", [6, 12, 30])
def test_a_voice_that_is_upside_down_on_one_side_stays(snr_db):
    voice, room = noise(RATE), noise(RATE, seed=1) * np.float32(10 ** (-snr_db / 20))
    wave = np.concatenate((voice + room, room - voice))
    mono = Downmix("stereo", covariance(wave))(wave)
    kept = mono[0] @ voice[0] / (voice[0] @ voice[0])
    assert 20 * np.log10(abs(kept)) == pytest.approx(0, abs=3)


def test_the_centre_and_the_surrounds_are_3_db_lower_in_a_downmix():
    wave = tones(6, RATE)
    mono = Downmix("5.1", covariance(wave))(wave)[0]
    spectrum = np.abs(np.fft.rfft(mono[:RATE] * np.hanning(RATE)))[list(HZ[:6])]
    levels_db = 20 * np.log10(spectrum / spectrum[0])
    assert levels_db[[0, 1, 2, 4, 5]] == pytest.approx([0, 0, -3, -3, -3], abs=0.1)
    assert levels_db[3] < -60  # the low-frequency effects


def test_mono_of_an_inverted_side_is_said(tmp_path):
    voice, said = noise(RATE), []
    audio.write(tmp_path / "x.wav", np.concatenate((voice, -voice)), RATE, "FLOAT")
    to_mono(tmp_path / "x.wav", tmp_path / "mono.wav", notify=said.append)
    assert level_db(audio.read(tmp_path / "mono.wav")[0]) == pytest.approx(level_db(voice), abs=0.1)
    assert said == [
        "x.wav: its channels cancel each other out when they are mixed (one side is inverted): "
        "the louder one is used alone."
    ]


# ---- a layout that changes in the middle


def joined(tmp_path, *parts: np.ndarray) -> np.ndarray:
    """AC-3 whose layout changes, as in broadcasts."""
    data = b""
    for wave in parts:
        with_layout = audio.LAYOUTS[len(wave) - 1].replace("5.1", "5.1(side)")
        encode_ac3(tmp_path / "part.ac3", wave, with_layout)
        data += (tmp_path / "part.ac3").read_bytes()
    (tmp_path / "x.ac3").write_bytes(data)
    return audio.read(tmp_path / "x.ac3")[0]


def encode_ac3(path, wave: np.ndarray, layout: str) -> None:
    import av

    with av.open(str(path), "w", "ac3") as container:
        stream = container.add_stream("ac3", rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "fltp", layout)
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])


def test_surround_sound_behind_stereo_is_mixed_by_position(tmp_path):
    voice, silence = 0.3 * noise(2 * RATE), np.zeros((1, 2 * RATE), np.float32)
    centre = np.concatenate([silence, silence, voice, silence, silence, silence])
    wave = joined(tmp_path, np.repeat(voice, 2, axis=0), centre)
    first, second = wave[:, 4800 : RATE + 4800], wave[:, -RATE - 4800 : -4800]
    assert level_db(second) - level_db(first) == pytest.approx(-3, abs=1)


def test_stereo_behind_surround_sound_comes_from_the_front(tmp_path):
    wave = joined(tmp_path, tones(6, 2 * RATE), tones(2, 2 * RATE))[:, -RATE - 4800 : -4800]
    assert heard(wave[:2]) == list(HZ[:2])
    assert np.abs(wave[2:]).max() < 1e-3


def test_conversions_keep_every_speaker_that_both_have():
    assert conversion("5.1(side)", "5.1").argmax(axis=0).tolist() == [0, 1, 2, 3, 4, 5]
    assert conversion("mono", "stereo").tolist() == [[1], [1]]
    assert conversion("mono", "5.1")[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
    assert conversion("stereo", "mono").tolist() == [[0.5, 0.5]]


def test_mp3_of_any_two_channels_is_stereo(tmp_path):
    write_with_mask(tmp_path / "x.wav", 2, 0x600)
    remix(tmp_path / "x.wav", tmp_path / "x.wav", tmp_path / "x.mp3")
    assert audio.info(tmp_path / "x.mp3").layout == "stereo"
    encode(tmp_path / "one.mp3", "libmp3lame", tones(1), RATE)
    assert audio.info(tmp_path / "one.mp3").layout == "mono"
