"""Films that tests make: a flash and a click at the same time, in any container."""

from fractions import Fraction

import av
import numpy as np

RATE, PICTURES = 48000, 25  # a second
FLASH = 1.0  # seconds
SECONDS = 3.0


def click(seconds: float = SECONDS) -> np.ndarray:
    """(1, T): silence, but for a tone of 0.1 s that begins with the flash."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    there = (time_s >= FLASH) & (time_s < FLASH + 0.1)
    return (0.5 * np.sin(2 * np.pi * 1000 * time_s) * there)[None].astype(np.float32)


def picture(number: int) -> av.VideoFrame:
    """A grey square that moves, which makes B-frames worth while; it is bright for 0.2 s."""
    image = np.full((48, 64, 3), 60, np.uint8)
    if FLASH * PICTURES <= number < FLASH * PICTURES + 5:
        image[:] = 180
    image[8:24, 2 * number % 48 :][:, :16] = 200
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    frame.pts, frame.time_base = number, Fraction(1, PICTURES)
    return frame


def sound_frame(wave: np.ndarray, layout: str, rate: int = RATE) -> av.AudioFrame:
    """The wave (C, T) as one frame."""
    packed = np.ascontiguousarray(wave.T.reshape(1, -1), np.float32)
    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def film(path, muxer, video, sound, wave=None, layout="mono", rate=RATE, **picture_options) -> None:
    """As another program would write it; `picture_options` are those of the encoder."""
    wave = click() if wave is None else wave
    with av.open(str(path), "w", muxer) as container:
        shown = container.add_stream(video, rate=PICTURES, options=picture_options)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream(sound, rate=rate, layout=layout)
        packets = []
        for number in range(round(PICTURES * wave.shape[1] / rate)):
            packets += shown.encode(picture(number))
        packets += shown.encode(None)
        packets += [*heard.encode(sound_frame(wave, layout, rate)), *heard.encode(None)]
        for packet in sorted(packets, key=lambda each: float(each.dts * each.time_base)):
            container.mux(packet)


def shown_times(path) -> list[float]:
    """Seconds at which a decoder shows the pictures, in its order."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def flash_and_click(path) -> tuple[float, float]:
    """Seconds at which both begin."""
    with av.open(str(path)) as container:
        bright = (
            frame.time
            for frame in container.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 120
        )
        flash = next(bright)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(np.frombuffer(frame.planes[0], np.float32)[: frame.samples])
            if wave.max(initial=0) > 0.1:
                return flash, frame.time + np.argmax(wave > 0.1) / frame.sample_rate
    raise AssertionError("no click")
