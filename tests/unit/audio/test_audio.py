"""Files of every kind <-> waves. Lossy files are made here with FFmpeg's encoders."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from sounds import encode, level_of, noise, tone

from denoiser import audio

STEPS = {"PCM_16": 2**15, "PCM_24": 2**23}


def lag(wave: np.ndarray, original: np.ndarray) -> int:
    """Samples by which `wave` (T,) comes later than `original`: the peak of the correlation."""
    size = 2 ** int(np.ceil(np.log2(len(wave) + len(original))))
    both = np.fft.rfft(wave, size) * np.conj(np.fft.rfft(original, size))
    peak = int(np.fft.irfft(both).argmax())
    return peak if peak < size // 2 else peak - size


# ---- lossless: exact


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize(
    ("ending", "subtype"),
    [(".wav", "PCM_16"), (".wav", "PCM_24"), (".wav", "FLOAT"), (".flac", "PCM_16"),
     (".flac", "PCM_24")],
)  # fmt: skip
def test_what_is_written_is_read_back_exactly(tmp_path, ending, subtype, rate, channels):
    wave = noise(70_001, channels)  # more than one piece of 65536
    if subtype in STEPS:
        wave = np.rint(wave * STEPS[subtype]) / np.float32(STEPS[subtype])
    path = tmp_path / f"sound{ending}"
    audio.write(path, wave, rate, subtype)
    back, back_rate = audio.read(path)
    assert back.dtype == np.float32
    assert back_rate == rate
    np.testing.assert_array_equal(back, wave)
    about = audio.info(path)
    assert (about.sample_rate, about.channels, about.subtype) == (rate, channels, subtype)
    assert about.seconds == pytest.approx(70_001 / rate, abs=1e-4)


@pytest.mark.parametrize("ending", [".wav", ".flac"])
@pytest.mark.parametrize("subtype", STEPS)
def test_integers_are_rounded_never_wrapped(tmp_path, ending, subtype):
    step = 1 / STEPS[subtype]
    wave = np.array([[1.0, -1.0, 0.6 * step, -0.6 * step, 0.4 * step]], np.float32)
    audio.write(tmp_path / f"x{ending}", wave, 48_000, subtype)
    expected = np.array([[1 - step, -1, step, -step, 0]], np.float32)
    np.testing.assert_array_equal(audio.read(tmp_path / f"x{ending}")[0], expected)


@pytest.mark.parametrize("subtype", STEPS)
@pytest.mark.parametrize("loud", [0, 1, 2])  # which of three pieces goes above full scale
def test_a_wav_that_goes_above_full_scale_becomes_one_of_floats(tmp_path, subtype, loud):
    said, pieces = [], [noise(70_001, 2) for _ in range(3)]
    pieces[loud][0, 5] = -1.5
    with audio.Writer(tmp_path / "x.wav", 48_000, 2, subtype, notify=said.append) as writer:
        for piece in pieces:
            writer.write(piece)
    assert audio.info(tmp_path / "x.wav").subtype == "FLOAT"
    error = np.abs(audio.read(tmp_path / "x.wav")[0] - np.concatenate(pieces, axis=1))
    assert error.max() <= 0.5 / STEPS[subtype]
    assert said == [
        "x.wav peaks 3.5 dB above full scale and is written as 32-bit float to avoid clipping."
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize("ending", [".flac", ".mp3"])
def test_what_cannot_go_above_full_scale_is_turned_down_as_a_whole(tmp_path, ending):
    said, wave = [], 4 * tone(48_000, 48_000, 2)
    audio.write(tmp_path / "loud.wav", 2 * wave, 48_000)
    target = tmp_path / f"x{ending}"
    audio.write_fitting(lambda: [2 * wave], tmp_path / "loud.wav", target, "PCM_24", said.append)
    back = audio.read(target)[0]
    assert np.abs(back).max() == pytest.approx(0.98, abs=0.01)
    assert level_of(back[1], 48_000, 440) == pytest.approx(0.98, abs=0.01)
    assert said == [
        f"x{ending} was lowered by 6.2 dB to avoid clipping: choose WAV to keep the level."
    ]


@pytest.mark.parametrize(
    ("name", "kind", "kept_as"),
    [("x.wav", "PCM_U8", "PCM_16"), ("x.wav", "PCM_16", "PCM_16"), ("x.wav", "PCM_24", "PCM_24"),
     ("x.wav", "PCM_32", "PCM_24"), ("x.wav", "FLOAT", "FLOAT"), ("x.wav", "DOUBLE", "FLOAT"),
     ("x.wav", "ULAW", "PCM_16"), ("x.aiff", "PCM_16", "PCM_16"), ("x.aiff", "PCM_24", "PCM_24"),
     ("x.flac", "PCM_S8", "PCM_16"), ("x.caf", "PCM_24", "PCM_24"), ("x.w64", "PCM_16", "PCM_16")],
)  # fmt: skip
def test_libsndfile_files_give_libsndfile_samples(tmp_path, name, kind, kept_as):
    soundfile.write(tmp_path / name, noise(5_001, 2).T, 22_050, kind)
    expected, _ = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(audio.read(tmp_path / name)[0], expected.T)
    assert audio.info(tmp_path / name).subtype == kept_as


def test_libsndfile_reads_what_is_written(tmp_path):
    wave = noise(5_001, 6)
    audio.write(tmp_path / "x.wav", wave, 48_000, "FLOAT")
    back, rate = soundfile.read(tmp_path / "x.wav", dtype="float32")
    assert rate == 48_000
    np.testing.assert_array_equal(back.T, wave)


# ---- lossy: rate, channels, length, alignment, level

# name, codec, rate, samples too many in the file (its container does not say so), delay likewise
LOSSY = [
    ("x.mp3", "libmp3lame", 44_100, 0, 0),
    ("x.mp3", "libmp3lame", 16_000, 0, 0),
    ("x.m4a", "aac", 44_100, 0, 0),
    ("x.mp4", "aac", 48_000, 0, 0),
    ("x.mov", "aac", 48_000, 0, 0),
    ("x.opus", "libopus", 48_000, 0, 0),
    ("x.webm", "libopus", 48_000, 0, 0),
    ("x.mp4", "libopus", 48_000, 0, 0),
    ("x.mkv", "aac", 48_000, 984, 0),
    ("x.ts", "aac", 48_000, 2008, 1024),
    ("x.aac", "aac", 48_000, 2008, 1024),
]


@pytest.mark.parametrize(("name", "codec", "rate", "too_many", "delay"), LOSSY)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_length_and_alignment(tmp_path, name, codec, rate, too_many, delay, channels):
    original = noise(50_216, channels)
    encode(tmp_path / name, codec, original, rate)
    wave, back_rate = audio.read(tmp_path / name)
    assert (back_rate, len(wave)) == (rate, channels)
    assert wave.shape[1] - 50_216 == too_many
    assert lag(wave[0], original[0]) == delay


@pytest.mark.parametrize("samples", [1, 1_000, 48_000, 100_000])
def test_ogg_vorbis_equals_libsndfile(tmp_path, samples):
    soundfile.write(tmp_path / "x.ogg", noise(samples)[0], 48_000, "VORBIS")
    expected, _ = soundfile.read(tmp_path / "x.ogg", dtype="float32")
    wave, _ = audio.read(tmp_path / "x.ogg")
    assert wave.shape == (1, samples)
    # FFmpeg may miss the last block of a short file; its place is kept
    np.testing.assert_allclose(wave[0, :-200], expected[:-200], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "muxer", "video"),
    [(name, codec, rate, None, None) for name, codec, rate, *_ in LOSSY]
    + [("x.amr", "libopencore_amrnb", 8_000, None, None),
       ("x.3gp", "libopencore_amrnb", 8_000, None, "mpeg4"),
       ("x.mp4", "aac", 48_000, None, "libx264"),
       ("x.mov", "pcm_s16le", 48_000, None, "mpeg4"),
       ("x.mkv", "flac", 96_000, None, "mpeg4"),
       ("x.wma", "wmav2", 44_100, None, None),
       ("x.webm", "libopus", 48_000, None, "libvpx"),
       ("x.avi", "libmp3lame", 44_100, None, "mpeg4"),
       ("x.m4a", "alac", 192_000, None, None),
       ("x.aiff", "pcm_s16be", 11_025, None, None),
       ("no ending", "aac", 24_000, "ipod", None),
       ("wrong.wav", "libmp3lame", 24_000, "mp3", None)],
)  # fmt: skip
def test_a_tone_keeps_frequency_and_level(tmp_path, name, codec, rate, muxer, video):
    encode(tmp_path / name, codec, tone(rate, rate), rate, muxer, video)
    wave, back_rate = audio.read(tmp_path / name)
    assert (back_rate, len(wave)) == (rate, 1)
    assert wave.shape[1] / rate == pytest.approx(1, abs=0.06)
    # AMR models a voice; LAME turns constant rates of up to 128 kb/s down to 0.95
    worst_db = {"libopencore_amrnb": 3.0, "libmp3lame": 0.5}.get(codec, 0.2)
    assert 20 * np.log10(level_of(wave[0], rate, 440) / 0.25) == pytest.approx(0, abs=worst_db)
    assert audio.info(tmp_path / name).seconds == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("rate", "channels", "kept_rate"),
    [(8_000, 1, 8_000), (44_100, 2, 44_100), (46_000, 1, 48_000), (96_000, 2, 48_000)],
)
def test_mp3_is_written_at_a_rate_it_knows(tmp_path, rate, channels, kept_rate):
    audio.write(tmp_path / "x.mp3", tone(rate + 77, rate, channels), rate)
    wave, back_rate = audio.read(tmp_path / "x.mp3")
    assert back_rate == kept_rate
    assert len(wave) == channels
    # MP3 cannot name an end in the decoder's last 529 samples: up to 47 more may come back
    assert 0 <= wave.shape[1] - round((rate + 77) * kept_rate / rate) <= 47
    assert level_of(wave[-1], kept_rate, 440) == pytest.approx(0.25, rel=0.02)


# ---- blocks


def test_blocks_joined_are_the_file(tmp_path):
    wave = noise(100_003, 2)
    audio.write(tmp_path / "x.wav", wave, 8_000, "FLOAT")
    pieces = list(audio.blocks(tmp_path / "x.wav", seconds=3.0))
    assert [piece.shape for piece in pieces] == [(2, 24_000)] * 4 + [(2, 4_003)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), wave)


def test_a_long_file_needs_no_more_memory_than_a_short_one(tmp_path):
    with audio.Writer(tmp_path / "long.wav", 8_000, 1) as writer:
        for _ in range(60):
            writer.write(noise(80_000))  # 60 x 10 s
    tracemalloc.start()
    for _ in audio.blocks(tmp_path / "long.wav", seconds=1.0):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000  # bytes; the whole file is 19 million
