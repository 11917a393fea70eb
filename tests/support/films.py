"""Films that tests make: a flash and a click at the same time, in any container."""

from fractions import Fraction

import av
import numpy as np

RATE, PICTURES = 48000, 25  # a second
FLASH = 1.0  # seconds
SECONDS = 3.0
FONT = b"\0\1\0\0" + bytes(range(100))
CHAPTERS = ((0, 1000, "Beginning"), (1000, 2000, "End"))  # ms
LINES = ((500, "Hola"), (1200, "Adiós"))  # ms
# ending: muxer, codecs of pictures, sound and subtitles
KINDS = {
    ".mkv": ("matroska", "libx264", "aac", "subrip"),
    ".mp4": ("mp4", "libx264", "aac", "mov_text"),
    ".mov": ("mov", "libx264", "aac", "mov_text"),
    ".webm": ("webm", "libvpx", "libopus", "webvtt"),
}


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


def jpeg() -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuvj420p"
    encoder.time_base = Fraction(1, PICTURES)
    frame = picture(0).reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def rich(path) -> None:
    """Two seconds with two sound tracks, the second of them default, and all that goes with it."""
    muxer, shown, heard, written = KINDS[path.suffix]
    options = {"default_mode": "passthrough"} if muxer in ("matroska", "webm") else {}
    with av.open(str(path), "w", muxer, container_options=options) as container:
        container.metadata.update(title="Film", artist="Somebody", comment="Take 2")
        chapters = [
            {"id": n + 1, "start": a, "end": b, "time_base": Fraction(1, 1000)}
            | {"metadata": {"title": title}}
            for n, (a, b, title) in enumerate(CHAPTERS)
        ]
        container.set_chapters(chapters)
        pictures = container.add_stream(shown, rate=PICTURES, options={"g": "12"})
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds = []
        for language, title in (("spa", "Original"), ("eng", "Dubbed")):
            sounds.append(container.add_stream(heard, rate=RATE, layout="mono"))
            sounds[-1].metadata.update(language=language, title=title)
            default = title == "Dubbed"
            sounds[-1].disposition = av.stream.Disposition.default if default else 0
        text = container.add_mux_stream(written)
        text.metadata.update(language="fra", title="Forced")
        text.disposition = av.stream.Disposition.forced
        cover = None
        if muxer == "matroska":
            container.add_attachment("letters.ttf", "application/x-truetype-font", FONT)
            container.add_attachment("cover.jpg", "image/jpeg", jpeg())
        elif muxer in ("mp4", "mov"):
            cover = container.add_mux_stream("mjpeg", width=64, height=48)
            cover.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        if cover:
            container.mux(packet(cover, jpeg(), 0, 0))
        for time, line in LINES:
            data = line.encode()
            if written == "mov_text":
                data = len(data).to_bytes(2, "big") + data
            container.mux(packet(text, data, time, 400))
        for number in range(2 * PICTURES):
            container.mux(pictures.encode(picture(number)))
        container.mux(pictures.encode(None))
        for number, stream in enumerate(sounds):
            wave = 0.3 * np.sin(0.05 * (number + 1) * np.arange(2 * RATE))[None]
            container.mux(stream.encode(sound_frame(wave, "mono")))
            container.mux(stream.encode(None))


def packet(stream, data: bytes, time: int, duration: int) -> av.Packet:
    """At `time` ms."""
    made = av.Packet(data)
    made.stream, made.time_base = stream, Fraction(1, 1000)
    made.pts = made.dts = time
    made.duration = duration
    return made


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
