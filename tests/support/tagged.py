"""Recordings with tags, chunks and covers, as other programs write them."""

import struct
from fractions import Fraction

import av
from films import jpeg
from sounds import speech_like, tone

from denoiser import offline

RATE = 44100


TIME_REFERENCE = 12 * 3600 * RATE  # samples: noon


CUES = ((11025, "Question"), (33075, "Answer – done"))  # samples


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def bext() -> bytes:
    fields = [(b"Interview", 256), (b"Recorder 7", 32), (b"R7-0001", 32), (b"2026-01-31", 10)]
    text = b"".join(data.ljust(size, b"\0") for data, size in [*fields, (b"12:00:00", 8)])
    return text + struct.pack("<QH254x", TIME_REFERENCE, 1) + b"A=PCM,F=44100\r\n"


def cue() -> bytes:
    points = [
        struct.pack("<II4sIII", n, at, b"data", 0, 0, at) for n, (at, _) in enumerate(CUES, 1)
    ]
    return struct.pack("<I", len(points)) + b"".join(points)


def labels() -> bytes:
    notes = [struct.pack("<I", n) + text.encode() + b"\0" for n, (_, text) in enumerate(CUES, 1)]
    return b"adtl" + b"".join(chunk(b"labl", note) for note in notes)


BEFORE = [(b"bext", bext()), (b"iXML", b"<BWFXML><SCENE>12</SCENE></BWFXML>")]


AFTER = [
    (b"cue ", cue()),
    (b"LIST", labels()),
    (b"LIST", b"INFO" + chunk(b"INAM", b"Odd name\0") + chunk(b"IART", b"Somebody\0")),
    (b"smpl", struct.pack("<9I", 0, 0, 22676, 60, 0, 0, 0, 0, 0)),
    (b"xodd", b"an odd number of bytes."),
]


def wav(path, before=BEFORE, after=AFTER, kind: bytes = b"RIFF", channels: int = 1) -> None:
    """A second of 16 bit sound with chunks on both sides of it."""
    sound = (20000 * speech_like(1.0, RATE, channels)).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, RATE, 2 * channels * RATE, 2 * channels, 16)
    body = chunk(b"fmt ", form) + b"".join(chunk(*each) for each in before)
    tail = b"".join(chunk(*each) for each in after)
    size = 4 + len(body) + 8 + len(sound) + len(tail)
    if kind == b"RIFF":
        head, data = kind + struct.pack("<I", size), b"data" + struct.pack("<I", len(sound))
    else:
        ds64 = struct.pack("<QQQI", size + 36, len(sound), RATE, 0)
        head, data = kind + b"\xff" * 4, b"data" + b"\xff" * 4
        body = chunk(b"ds64", ds64) + body
    path.write_bytes(head + b"WAVE" + body + data + sound + tail)


def copied(source, target, **settings):
    """The recording as `denoise` gives it with strength 0, which needs no model."""
    said = []
    list(offline.denoise_file(None, source, target, strength=0, notify=said.append, **settings))
    return said


def write(path, codec, muxer=None, cover=True) -> None:
    """A tagged recording of two seconds with two chapters, as another program would write it."""
    with av.open(str(path), "w", muxer) as container:
        mine = {"title": "Café", "artist": "Somebody", "album": "All", "comment": "Take 2"}
        mine |= {"composer": "Else", "genre": "Speech", "track": "3"}
        stream = container.add_stream(codec, rate=48000, layout="mono")
        (stream if muxer == "ogg" else container).metadata.update(mine)
        container.set_chapters(
            [
                {"id": n + 1, "start": n * 1200, "end": 1200 + n * 800}
                | {"metadata": {"title": title}, "time_base": Fraction(1, 1000)}
                for n, title in enumerate(("Eins", "Zwei"))
            ]
        )
        if cover:
            picture = container.add_mux_stream("mjpeg", width=64, height=48)
            picture.disposition = av.stream.Disposition.attached_pic
            container.start_encoding()
            packet = av.Packet(jpeg())
            packet.stream, packet.time_base = picture, Fraction(1, 1000)
            packet.pts = packet.dts = 0
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone(96000, 48000), "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
