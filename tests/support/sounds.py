"""Sounds that tests make, and files that are no sounds."""

import av
import numpy as np
import soundfile as sf


def speech_like(seconds: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """Bursts of harmonics in noise, (T, C), peak about 0.4."""
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = sum(np.sin(2 * np.pi * 150 * k * time_s) / k for k in range(1, 12))
    wave = 0.15 * tone * (np.sin(2 * np.pi * 1.5 * time_s) > 0)
    noise = np.random.default_rng(0).normal(0, 0.03, (len(time_s), channels))
    return (wave[:, None] + noise).astype(np.float32)


def noise(samples: int, channels: int = 1, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise (C, T); level is its RMS."""
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal((channels, samples))).astype(np.float32)


def tone(samples: int, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    """A sine (C, T) with an amplitude of 0.25, the same in every channel."""
    wave = 0.25 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def reference_loudness(wave: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness of a wave (T,) or (T, C) in LUFS, by pyloudnorm."""
    import pyloudnorm

    return pyloudnorm.Meter(sample_rate).integrated_loudness(wave.astype(np.float64))


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


def level_of(wave: np.ndarray, rate: int, hz: float) -> float:
    """Amplitude of the sine of `hz` in the middle half of a wave (T,)."""
    middle = wave[len(wave) // 4 : -len(wave) // 4].astype(np.float64)
    window = np.hanning(len(middle))
    turns = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / rate)
    return 2 * abs(np.sum(middle * window * turns)) / window.sum()


def write_video(path, wave: np.ndarray | None, sample_rate: int = 48000) -> None:
    """Ten pictures a second, with the sound of a wave (T, 1) if one is given."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        count = 1
        if wave is not None:
            sound = container.add_stream("aac", rate=sample_rate, layout="mono")
            count = max(1, round(10 * len(wave) / sample_rate))
        for _ in range(count):
            picture = np.zeros((32, 32, 3), np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(pictures.encode(None))
        if wave is not None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.T), "fltp", "mono")
            frame.sample_rate = sample_rate
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def write_nan(path) -> None:
    wave = speech_like(1.0, 16000)
    wave[5000] = np.nan
    sf.write(path, wave, 16000, subtype="FLOAT")


BAD_INPUT = {
    "text.wav": lambda path: path.write_text("This is a letter, not a sound."),
    "empty.mp3": lambda path: path.touch(),
    "nan.wav": write_nan,
    "zero.wav": lambda path: sf.write(path, np.zeros((0, 1)), 16000),
    "video.mp4": lambda path: write_video(path, None),
}
