"""Damaged files of every kind, through all that reads them: python bench/fuzz.py [--count N]

Takes a small file of every container and codec that can be made here, changes bytes, lengths and
order by chance, and gives the outcome to the reader, the writer of videos, the writer of tags and
the page's endpoint. Every one must be read or refused in one sentence. Prints a table, and every
file that broke this is kept in --keep. Exit code 1 if there was one.

Its number and --seed decide how a file is damaged. A long run can be stopped with Ctrl+C: the
last line names the --first with which the next run goes on.
"""

from __future__ import annotations

import argparse
import collections
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent.parent))

from denoiser import audio

SECONDS = 0.4
RATE = 48_000
SLOW_SECONDS = 20.0
SOUNDS = {  # name -> codec, rate, channels
    "pcm.wav": ("pcm_s16le", RATE, 2),
    "float.wav": ("pcm_f32le", 96_000, 1),
    "six.wav": ("pcm_s24le", RATE, 6),
    "adpcm.wav": ("adpcm_ms", 22_050, 1),
    "ima.wav": ("adpcm_ima_wav", 22_050, 2),
    "alaw.wav": ("pcm_alaw", 8_000, 1),
    "x.aiff": ("pcm_s16be", 44_100, 2),
    "x.au": ("pcm_s16be", 8_000, 1),
    "x.caf": ("pcm_s16be", 44_100, 1),
    "x.w64": ("pcm_s16le", RATE, 2),
    "flac.wav": ("flac", RATE, 2),
    "x.flac": ("flac", RATE, 2),
    "flac.ogg": ("flac", 44_100, 2),
    "eight.opus": ("libopus", RATE, 8),
    "x.opus": ("libopus", RATE, 1),
    "x.mp3": ("libmp3lame", 44_100, 2),
    "x.mp2": ("mp2", 44_100, 1),
    "x.aac": ("aac", 44_100, 2),
    "x.m4a": ("alac", 44_100, 2),
    "x.ac3": ("ac3", RATE, 6),
    "x.eac3": ("eac3", RATE, 2),
    "x.amr": ("libopencore_amrnb", 8_000, 1),
    "x.tta": ("tta", RATE, 2),
    "x.wv": ("wavpack", RATE, 2),
    "x.wma": ("wmav2", 44_100, 2),
}
FILMS = {  # name -> codecs of pictures and sound
    "film.mp4": ("libx264", "aac"),
    "film.mov": ("mpeg4", "pcm_s16le"),
    "film.mkv": ("libx264", "flac"),
    "film.webm": ("libvpx", "libopus"),
    "film.avi": ("mpeg4", "libmp3lame"),
    "aac.avi": ("mpeg4", "aac"),
    "film.ts": ("mpeg2video", "mp2"),
    "film.mpg": ("mpeg2video", "mp2"),
    "film.flv": ("flv", "libmp3lame"),
}


# ---- files


def seeds(folder: Path) -> list[Path]:
    """A small file of every kind that this FFmpeg and libsndfile write, and chains of two."""
    made = [path for name, how in SOUNDS.items() if (path := _made(folder / name, _sound, *how))]
    made += [path for name, how in FILMS.items() if (path := _made(folder / name, _film, *how))]
    soundfile.write(folder / "x.ogg", _wave(RATE, 2).T, RATE, format="OGG", subtype="VORBIS")
    for first, second in (("x.ogg", "x.opus"), ("x.mp3",) * 2, ("x.aac",) * 2, ("x.flac",) * 2):
        joined = folder / f"joined{Path(first).suffix}"
        joined.write_bytes((folder / first).read_bytes() + (folder / second).read_bytes())
        made.append(joined)
    return [*made, folder / "x.ogg"]


def _made(path: Path, make: Callable, *how) -> Path | None:
    try:
        make(path, *how)
    except (av.FFmpegError, ValueError) as error:
        print(f"{path.name} cannot be made here: {error}", file=sys.stderr)
        return None
    return path


def _wave(rate: int, channels: int) -> np.ndarray:
    """A tone (channels, samples), another one in every channel."""
    times = np.arange(round(SECONDS * rate)) / rate
    hz = 300 + 100 * np.arange(channels)
    return 0.3 * np.sin(2 * np.pi * hz[:, None] * times).astype(np.float32)


def _encoded(stream, rate: int, channels: int) -> list[av.Packet]:
    packed = np.ascontiguousarray(_wave(rate, channels).T.reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(packed, "flt", audio.LAYOUTS[channels - 1])
    frame.sample_rate, frame.pts = rate, 0
    return [*stream.encode(frame), *stream.encode(None)]


def _sound(path: Path, codec: str, rate: int, channels: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=audio.LAYOUTS[channels - 1])
        if codec == "wmav2":
            stream.bit_rate = 128_000
        container.mux(_encoded(stream, rate, channels))


def _film(path: Path, pictures: str, sound: str) -> None:
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "A film"
        shown = container.add_stream(pictures, rate=25)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        heard = container.add_stream(sound, rate=RATE, layout="stereo")
        packets = _encoded(heard, RATE, 2)
        for n in range(round(25 * SECONDS)):
            image = np.full((48, 64, 3), 20 * n % 256, np.uint8)
            packets += shown.encode(av.VideoFrame.from_ndarray(image, "rgb24"))
        packets += shown.encode(None)
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            container.mux(packet)


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to four changes of a kind that disks, networks and attackers make."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = max(len(data), 16)
        start, count = int(rng.integers(size)), int(rng.integers(1, max(2, size // 8)))
        kind = rng.integers(9)
        if kind == 0:  # bytes anywhere
            for place in rng.integers(0, len(data), rng.integers(1, 20)):
                data[place] = rng.integers(256)
        elif kind == 1:  # bytes of the header
            for place in rng.integers(0, min(len(data), 512), rng.integers(1, 8)):
                data[place] = rng.integers(256)
        elif kind == 2:  # an extreme number in the header
            place = int(rng.integers(0, min(len(data), 512)))
            number = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80")
            data[place : place + 4] = number[rng.integers(4)]
        elif kind == 3:  # cut off
            del data[start:]
        elif kind == 4:  # a hole
            del data[start : start + count]
        elif kind == 5:  # zeros
            data[start : start + count] = bytes(len(data[start : start + count]))
        elif kind == 6:  # twice
            data[start:start] = data[start : start + count]
        elif kind == 7:  # the end of another file
            data[start:] = other[len(other) // 2 :]
        else:  # noise
            data[start:start] = rng.bytes(count % 4096)
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


# ---- what is tried on them


def read(path: Path) -> None:
    for _ in audio.blocks(path, notify=lambda sentence: _check(sentence)):
        pass


def film(path: Path) -> None:
    """A film with other sound; made of the reader's own samples."""
    from denoiser import video

    if not video.has_picture(path):
        raise audio.AudioError(f"{path.name} has no picture.")
    wave, rate = audio.read(path)
    audio.write(path.with_name("sound.wav"), wave, rate, "FLOAT")
    video.replace_sound(
        path, path.with_name("sound.wav"), path.with_name(f"out{video.suffix(path)}")
    )


def denoised(path: Path) -> None:
    """A result as WAV and as MP3 of at most two channels, with what is carried over."""
    from denoiser import mixing

    about = audio.info(path)
    for ending in (".wav", ".flac") + (".mp3",) * (about.channels <= 2):
        mixing.remix(path, path, path.with_name(f"out{ending}"), strength=0.5)


class Endpoint:
    """The page's /denoise, called as its queue does."""

    def __init__(self):
        from page import endpoints, lanes, loading

        models = loading.start(None, "cpu")[0]
        self.handler = endpoints.denoising(models, lanes.Lanes(), None)

    def __call__(self, path: Path) -> None:
        import gradio as gr

        try:
            for _ in self.handler(
                str(path), 100, "", "auto", False, "keep", None, progress=lambda *_, **__: None
            ):
                pass
        except gr.Error as error:
            raise audio.AudioError(error.message) from None


def _check(sentence: str) -> None:
    """One line, and no traceback."""
    if not sentence.strip() or "\n" in sentence or "Traceback" in sentence or len(sentence) > 400:
        raise AssertionError(f"no sentence: {sentence!r}")


def attempts(folder: Path, numbers, seed: int) -> Iterator[tuple[int, Path]]:
    """Mutated files by number, each alone in a folder that is emptied for the next one."""
    sources = seeds(folder / "seeds")
    work = folder / "work"
    for number in numbers:
        rng = np.random.default_rng((seed, number))
        source, other = (sources[n] for n in rng.integers(len(sources), size=2))
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        path = work / source.name
        path.write_bytes(mutated(source.read_bytes(), other.read_bytes(), rng))
        yield number, path


class Faults(logging.Handler):
    """Counts what the sandbox logs: exceptions in a child that nobody expected, and crashes."""

    def __init__(self):
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def outcome(check: Callable[[Path], None], path: Path, faults: Faults) -> str:
    """read, refused, crash (contained), traceback or slow."""
    faults.texts.clear()
    start = time.monotonic()
    try:
        check(path)
        result = "read"
    except audio.AudioError as error:
        _check(str(error))
        result = "crash" if "crashes its decoder" in str(error) else "refused"
    except Exception as error:
        faults.texts.append(repr(error))
    if faults.texts:
        return "traceback"
    return "slow" if time.monotonic() - start > SLOW_SECONDS else result


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="files (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="for files that broke something")
    options = parser.parse_args(argv)
    faults = Faults()
    logging.getLogger("denoiser").addHandler(faults)
    warnings.simplefilter("ignore")
    checks = {"read": read, "written": denoised, "film": film, "/denoise": Endpoint()}
    table = {name: collections.Counter() for name in checks}
    # Ctrl+C ends it with the table of what was tried
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        folder = Path(folder)
        (folder / "seeds").mkdir()
        numbers = range(options.first, options.first + options.count)
        for number, path in attempts(folder, numbers, options.seed):
            name = list(checks)[number % len(checks)]
            result = outcome(checks[name], path, faults)
            table[name][result] += 1
            if result in ("traceback", "slow", "crash"):
                print(number, name, path.name, result, *faults.texts[-1:], file=sys.stderr)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.keep / f"{number}-{path.name}")
    kinds = ("read", "refused", "crash", "traceback", "slow")
    print("| through | " + " | ".join(kinds) + " |")
    print("|:--|" + "--:|" * len(kinds))
    for name, counts in table.items():
        print(f"| {name} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |")
    following = options.first + sum(counts.total() for counts in table.values())
    print(f"The next file is --seed {options.seed} --first {following}")
    return int(any(counts["traceback"] + counts["slow"] for counts in table.values()))


if __name__ == "__main__":
    sys.exit(main())
