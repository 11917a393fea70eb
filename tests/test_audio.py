"""Files of every kind <-> waves. Lossy files are made here with FFmpeg's encoders."""

import struct
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
import soxr

from denoiser import audio
from denoiser.audio import AudioError

STEPS = {"PCM_16": 2**15, "PCM_24": 2**23}


def noise(samples: int, channels: int = 1, level: float = 0.1, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal((channels, samples))).astype(np.float32)


def tone(samples: int, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    wave = 0.25 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def encode(path, codec: str, wave: np.ndarray, rate: int, muxer=None, video=None) -> None:
    """A file as another program would make it; `video` is the codec of a black picture."""
    layout = "stereo" if codec and len(wave) == 2 else "mono"
    with av.open(str(path), "w", muxer) as container:
        picture = container.add_stream(video, rate=25) if video else None
        sound = container.add_stream(codec, rate=rate, layout=layout) if codec else None
        if codec == "wmav2":
            sound.bit_rate = 128_000
        if picture:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            for _ in range(5):
                black = np.zeros((64, 64, 3), np.uint8)
                container.mux(picture.encode(av.VideoFrame.from_ndarray(black, "rgb24")))
            container.mux(picture.encode(None))
        if sound:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def lag(wave: np.ndarray, original: np.ndarray) -> int:
    """Samples by which `wave` (T,) comes later than `original`: the peak of the correlation."""
    size = 2 ** int(np.ceil(np.log2(len(wave) + len(original))))
    both = np.fft.rfft(wave, size) * np.conj(np.fft.rfft(original, size))
    peak = int(np.fft.irfft(both).argmax())
    return peak if peak < size // 2 else peak - size


def level_of(wave: np.ndarray, rate: int, hz: float) -> float:
    """Amplitude of the sine of `hz` in the middle half of a wave (T,)."""
    middle = wave[len(wave) // 4 : -len(wave) // 4].astype(np.float64)
    window = np.hanning(len(middle))
    turns = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / rate)
    return 2 * abs(np.sum(middle * window * turns)) / window.sum()


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
def test_integers_are_rounded_and_clipped_never_wrapped(tmp_path, ending, subtype):
    step = 1 / STEPS[subtype]
    wave = np.array([[1.5, 1.0, -1.0, -1.5, 0.6 * step, -0.6 * step, 0.4 * step]], np.float32)
    audio.write(tmp_path / f"x{ending}", wave, 48_000, subtype)
    expected = np.array([[1 - step, 1 - step, -1, -1, step, -step, 0]], np.float32)
    np.testing.assert_array_equal(audio.read(tmp_path / f"x{ending}")[0], expected)


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


# ---- bad input


def make_bad(folder, name):
    path = folder / name
    if name == "text.mp3":
        path.write_text("This is not music.\n" * 500)
    elif name == "empty.wav":
        path.touch()
    elif name == "folder":
        path.mkdir()
    elif name == "picture.mp4":
        encode(path, None, None, 0, video="mpeg4")
    elif name == "playlist.wav":  # FFmpeg would open the file that it names
        audio.write(folder / "secret.wav", tone(8_000, 8_000), 8_000)
        path.write_text("ffconcat version 1.0\nfile secret.wav\n")
    elif name == "nothing.wav":
        audio.write(path, np.zeros((1, 0), np.float32), 48_000)
    elif name in ("nan.wav", "infinity.wav"):
        wave = noise(48_000)
        wave[0, 24_000] = np.nan if name == "nan.wav" else -np.inf
        soundfile.write(path, wave.T, 48_000, "FLOAT")
    elif name == "slow.wav":
        soundfile.write(path, noise(100)[0], 100)
    elif name == "many.wav":
        soundfile.write(path, noise(100, 9).T, 48_000)
    return path


UNREADABLE = (
    "is not audio or video that can be read, or it is damaged: choose another file, or export it "
    "as WAV or MP3."
)
NOT_NUMBERS = (
    "has samples that are not numbers (NaN or infinity) at 0.50 s: export it again from the "
    "program it is from."
)
ONLY = "but only 1 to 8 channels at 4000 to 768000 Hz can be read: export it as stereo at 48000 Hz."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing.wav", "does not exist: check the name and the folder."),
     ("folder", "is a folder: choose an audio or video file."),
     ("empty.wav", "is empty (0 bytes): record or download it again."),
     ("text.mp3", UNREADABLE),
     ("playlist.wav", UNREADABLE),
     ("picture.mp4", "has no sound in it: choose a file that has."),
     ("nothing.wav", "holds no sound (zero samples): choose another file."),
     ("nan.wav", NOT_NUMBERS),
     ("infinity.wav", NOT_NUMBERS),
     ("slow.wav", f"is 1-channel sound at 100 Hz, {ONLY}"),
     ("many.wav", f"is 9-channel sound at 48000 Hz, {ONLY}")],
)  # fmt: skip
def test_bad_files_are_refused_with_a_sentence(tmp_path, name, sentence):
    path = make_bad(tmp_path, name)
    with pytest.raises(AudioError) as error:
        audio.read(path)
    assert str(error.value) == f"{name} {sentence}"
    if sentence != NOT_NUMBERS:  # these only show when all of it is decoded
        with pytest.raises(AudioError):
            audio.info(path)


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
def test_one_sample_is_a_recording(tmp_path, ending):
    audio.write(tmp_path / f"x{ending}", np.full((1, 1), 0.25, np.float32), 48_000)
    wave, rate = audio.read(tmp_path / f"x{ending}")
    assert (rate, wave[0, 0]) == (48_000, pytest.approx(0.25, abs=0.02))


@pytest.mark.parametrize("claimed", [0, 10**6, 2**32 - 1])
def test_a_wav_that_lies_about_its_length_gives_what_is_there(tmp_path, claimed):
    wave = np.rint(noise(10_000) * 2**15) / np.float32(2**15)
    audio.write(tmp_path / "x.wav", wave, 48_000)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, claimed)
    (tmp_path / "x.wav").write_bytes(data)
    np.testing.assert_array_equal(audio.read(tmp_path / "x.wav")[0], wave)


def test_a_truncated_mp3_gives_what_is_there(tmp_path):
    audio.write(tmp_path / "x.mp3", tone(96_000, 48_000), 48_000)
    data = (tmp_path / "x.mp3").read_bytes()
    (tmp_path / "half.mp3").write_bytes(data[: len(data) // 2])
    whole, half = audio.read(tmp_path / "x.mp3")[0], audio.read(tmp_path / "half.mp3")[0]
    assert 0.4 < half.shape[1] / whole.shape[1] < 0.6
    np.testing.assert_array_equal(half[:, :40_000], whole[:, :40_000])


def test_damage_in_the_middle_costs_only_the_damaged_part(tmp_path):
    audio.write(tmp_path / "x.flac", tone(480_000, 48_000), 48_000)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    (tmp_path / "x.flac").write_bytes(data)
    wave, _ = audio.read(tmp_path / "x.flac")
    assert wave.shape[1] > 460_000


def test_damage_is_said_in_one_sentence_at_the_end(tmp_path):
    audio.write(tmp_path / "whole.flac", tone(480_000, 48_000), 48_000)
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    (tmp_path / "hole.flac").write_bytes(data)
    said = []
    for name in ("whole", "half", "hole"):
        for _ in audio.blocks(tmp_path / f"{name}.flac", notify=said.append):
            pass
    rest = "is damaged or cut off: what could be read of it is kept."
    assert said == [f"half.flac {rest}", f"hole.flac {rest}"]


def test_a_file_that_changes_rate_and_channels_keeps_its_pitch_and_length(tmp_path):
    data = b""
    for rate, channels in ((44_100, 2), (24_000, 1), (48_000, 2)):
        audio.write(tmp_path / "part.mp3", tone(2 * rate, rate, channels), rate)
        data += (tmp_path / "part.mp3").read_bytes()
    (tmp_path / "x.mp3").write_bytes(data)
    wave, rate = audio.read(tmp_path / "x.mp3")
    assert wave.shape == (2, pytest.approx(6 * rate, rel=0.03))
    for second in (0.5, 2.5, 4.5):
        part = wave[:, int(second * rate) : int((second + 1) * rate)]
        for channel in part:
            assert level_of(channel, rate, 440) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    "name", ["a:b.wav", "%d [x] ü.wav", "-v.wav", "UPPER.WAV", "x" * 250 + ".wav"]
)
def test_any_file_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    audio.write(name, noise(100), 48_000)
    assert audio.read(name)[0].shape == (1, 100)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_tags_in_an_old_encoding(tmp_path):
    audio.write(tmp_path / "x.wav", noise(100), 48_000)
    tag = b"LIST" + struct.pack("<I", 16) + b"INFOIART" + struct.pack("<I", 4) + b"J\xf6r\x00"
    with (tmp_path / "x.wav").open("ab") as file:
        file.write(tag)
    assert audio.read(tmp_path / "x.wav")[0].shape == (1, 100)


# ---- resampling

RATES = [(44_100, 48_000), (48_000, 44_100), (8_000, 48_000), (48_000, 8_000), (192_000, 48_000),
         (48_000, 11_025)]  # fmt: skip


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_resampling_keeps_tones_and_constants(from_rate, to_rate):
    same = audio.resample(np.ones((1, 2 * from_rate)), from_rate, to_rate)
    middle = same[0, to_rate // 4 : -to_rate // 4]
    np.testing.assert_allclose(middle, 1, atol=1e-6)
    hz = 0.4 * min(from_rate, to_rate)
    wave = audio.resample(tone(2 * from_rate, from_rate, 1, hz), from_rate, to_rate)
    assert wave.shape == (1, 2 * to_rate)
    assert level_of(wave[0], to_rate, hz) == pytest.approx(0.25, rel=1e-3)
    assert level_of(wave[0], to_rate, hz + 5) < 0.25e-3


@pytest.mark.parametrize(("from_rate", "to_rate"), [pair for pair in RATES if pair[0] > pair[1]])
def test_a_tone_above_the_new_nyquist_dies(from_rate, to_rate):
    hz = (from_rate / 2 + to_rate / 2) / 2
    wave = audio.resample(tone(2 * from_rate, from_rate, 1, hz), from_rate, to_rate)
    rms = np.sqrt(np.mean(np.square(wave[0, to_rate // 4 : -to_rate // 4], dtype=np.float64)))
    assert 20 * np.log10(rms * np.sqrt(2) / 0.25 + 1e-12) < -60


@pytest.mark.parametrize(("from_rate", "to_rate"), [*RATES, (48_000, 48_000)])
@pytest.mark.parametrize("samples", [0, 1, 777, 30_001])
def test_a_stream_resamples_like_the_whole(from_rate, to_rate, samples):
    generator = np.random.default_rng(samples)
    wave = noise(samples, 2)
    whole = audio.resample(wave, from_rate, to_rate)
    assert whole.shape == (2, round(samples * to_rate / from_rate))
    direct = soxr.resample(wave.T, from_rate, to_rate, "VHQ").T[:, : whole.shape[1]]
    np.testing.assert_allclose(whole[:, : direct.shape[1]], direct, atol=1e-6)
    resampler, pieces, start = audio.Resampler(from_rate, to_rate, 2), [], 0
    while start < samples:
        end = start + int(generator.integers(1, 4_000))
        pieces.append(resampler.push(wave[:, start:end]))
        start = end
    pieces.append(resampler.push(wave[:, :0], last=True))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-6)
    if from_rate == to_rate:
        assert whole is wave


# ---- writing


@pytest.mark.parametrize(
    ("name", "channels", "sentence"),
    [("x.ogg", 1, "the name must end in .wav, .flac or .mp3."),
     ("x.mp3", 6, ".mp3 takes 1 to 2 channels, not 6."),
     ("x.flac", 9, ".flac takes 1 to 8 channels, not 9."),
     ("missing/x.wav", 1, "no such file or directory."),
     ("folder.wav", 1, "is a directory.")],
)  # fmt: skip
def test_what_cannot_be_written_is_said(tmp_path, name, channels, sentence):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError) as error:
        audio.write(tmp_path / name, noise(100, channels), 48_000)
    assert str(error.value) == f"{name.rpartition('/')[2]} cannot be written: {sentence}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_file_leaves_nothing_and_keeps_the_old_one(tmp_path, ending, reason):
    path = tmp_path / f"x{ending}"
    path.write_text("the old one")
    writer = audio.Writer(path, 48_000, 1)
    writer.write(noise(10_000))
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(reason), writer:
        raise reason
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "the old one"


def test_pieces_written_are_the_whole(tmp_path):
    wave = noise(20_000, 2)
    audio.write(tmp_path / "whole.flac", wave, 48_000)
    with audio.Writer(tmp_path / "pieces.flac", 48_000, 2) as writer:
        for start in range(0, 20_000, 333):
            writer.write(wave[:, start : start + 333])
    assert (tmp_path / "whole.flac").read_bytes() == (tmp_path / "pieces.flac").read_bytes()


@pytest.mark.parametrize("wave", [np.zeros(10), np.zeros((2, 10)), np.full((1, 10), np.nan)])
def test_a_wave_of_the_wrong_shape_or_without_numbers_is_refused(tmp_path, wave):
    error = r"expected a wave of shape|not numbers"
    with pytest.raises(ValueError, match=error), audio.Writer(tmp_path / "x.wav", 8_000, 1) as file:
        file.write(wave)
    assert list(tmp_path.iterdir()) == []
