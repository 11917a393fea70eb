"""Files -> FFmpeg's containers, and which of their tracks is the sound.

Everything goes through PyAV, which carries FFmpeg in its wheel.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer

from denoiser.errors import AudioError
from denoiser.files import StrPath

# Only containers that hold sound themselves. FFmpeg also opens playlists (HLS, DASH, concat),
# with which an uploaded text file could make it read other files and addresses.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file,subfile",
    "format_whitelist": "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,flac,flv,matroska,"
    "mov,mp3,mpeg,mpegts,mxf,ogg,tta,w64,wav,wv",
}
# One that FFmpeg takes for AMR, and those that programs write in either order of bits
_UNRELIABLE = {
    **{(form, "\x38\0\0\0"): "NMS ADPCM" for form in ("wav", "w64", "avi", "asf")},
    **{(form, "\x40\0\0\0"): "G.721 ADPCM" for form in ("wav", "w64", "avi", "asf")},
    ("au", "\x17\0\0\0"): "G.721 ADPCM",
    ("au", "\x19\0\0\0"): "G.723 ADPCM",
    ("au", "\x1a\0\0\0"): "G.723 ADPCM",
}
_TRIED_PACKETS = 64  # of a track, before another one is taken
_FIRST_PAGE = 2  # the flag in Ogg with which a stream begins


@contextmanager
def opened(path: StrPath) -> Iterator[tuple[InputContainer, AudioStream]]:
    """PyAV's container and its sound track, or the sentence that says why not.

    Of several tracks it is the one marked as default, otherwise the one that players choose, as
    long as it can be decoded.
    """
    path = Path(path)
    check_file(path)
    # "file:" because FFmpeg takes "a:b.wav" for a protocol a
    with opened_link(path, f"file:{path}") as both:
        yield both


@contextmanager
def opened_link(path: Path, address: str) -> Iterator[tuple[InputContainer, AudioStream]]:
    """`opened` for one of the `links` of a file."""
    with _container(path, address) as container:
        yield container, _sound(path, address, container)


def check_file(path: Path) -> None:
    """Raises AudioError unless there is a file with something in it."""
    if os.path.isdir(path):
        raise AudioError(f"{path.name} is a folder: choose an audio or video file.")
    if not os.path.exists(path):
        raise AudioError(f"{path.name} does not exist: check the name and the folder.")
    if not os.path.isfile(path):
        raise AudioError(f"{path.name} is no file: choose an audio or video file.")
    if os.path.getsize(path) == 0:
        raise AudioError(f"{path.name} is empty (0 bytes): record or download it again.")


def links(path: Path) -> list[str]:
    """What FFmpeg opens to read all of a file: itself, or every link of a chained Ogg file.

    Radio recordings and joined files are chains. FFmpeg's demuxer ends with the first link whose
    rate or channels are others.
    """
    starts = _chain(path)
    if len(starts) < 2:
        return [f"file:{path}"]
    ends = [*starts[1:], os.path.getsize(path)]
    return [
        f"subfile,,start,{start},end,{end},,:file:{path}"
        for start, end in zip(starts, ends, strict=True)
    ]


def _chain(path: Path) -> list[int]:
    """Where the links of an Ogg file begin: at a first page after pages that are none."""
    starts: list[int] = []
    beginning, position = False, 0
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while (position := data.find(b"OggS", position)) >= 0 and position + 27 <= len(data):
                segments = data[position + 26]
                if data[position + 5] & _FIRST_PAGE and not beginning:
                    starts.append(position)
                beginning = bool(data[position + 5] & _FIRST_PAGE)
                sizes = data[position + 27 : position + 27 + segments]
                position += 27 + segments + sum(sizes)
    return starts


@contextmanager
def _container(path: Path, address: str) -> Iterator[InputContainer]:
    try:
        # Tags may be in any encoding
        container = av.open(address, options=_OPEN_OPTIONS, metadata_errors="replace")
    except PermissionError:
        raise AudioError(f"{path.name} may not be read: check its permissions.") from None
    except MemoryError:
        raise
    except Exception:  # whatever a library makes of damaged bytes
        raise AudioError(
            f"{path.name} is not audio or video that can be read, or it is damaged: "
            "choose another file, or export it as WAV or MP3."
        ) from None
    with container:
        yield container


def _sound(path: Path, address: str, container: InputContainer) -> AudioStream:
    """The track to be read."""
    if not container.streams.audio:
        raise AudioError(f"{path.name} has no sound in it: choose a file that has.")
    best = container.streams.best("audio")  # it passes over a default that is for the blind
    tracks = sorted(
        (stream for stream in container.streams.audio if stream.codec_context is not None),
        key=lambda stream: (
            not stream.disposition & av.stream.Disposition.default,
            best is None or stream.index != best.index,
            stream.index,
        ),
    )
    if len(tracks) > 1:
        tracks = [each for each in tracks if _can_be_decoded(address, each.index)] or tracks[:1]
    if not tracks:
        raise unknown_codec(path, _codec_name(container))
    unreliable = _UNRELIABLE.get((container.format.name, _tag(tracks[0])))
    if unreliable:
        raise unknown_codec(path, unreliable)
    return tracks[0]


def _tag(stream: AudioStream) -> str:
    """What a container calls a codec, four characters; "" if PyAV cannot say it.

    It takes all tags for ASCII, but AAC is 0xFF in AVI, and FLAC 0xF1AC in WAV.
    """
    try:
        return stream.codec_context.codec_tag
    except UnicodeDecodeError:
        return ""


def _codec_name(container: InputContainer) -> str:
    """What FFmpeg's log calls a sound that it has no decoder for: its name, or its tag."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    described: str = container.dumps_format()  # type: ignore[attr-defined]  # not in PyAV's stubs
    av.logging.set_level(level)
    found = re.search(r"Audio: (\w+)(?: \(([^ )]+))?", described)
    if not found:
        return "unknown"
    return found[2] if found[1] == "none" and found[2] else found[1]


def unknown_codec(path: Path, codec: str) -> AudioError:
    return AudioError(
        f"The sound of {path.name} is in the codec {codec}, which cannot be decoded here: "
        "export it as WAV or MP3."
    )


def _can_be_decoded(address: str, index: int) -> bool:
    """Whether a track gives any sound at all."""
    with suppress(Exception), av.open(address, options=_OPEN_OPTIONS) as container:
        stream = container.streams[index]
        for number, packet in enumerate(container.demux(stream)):
            with suppress(av.FFmpegError):
                if any(frame.samples for frame in packet.decode()):
                    return True
            if number == _TRIED_PACKETS:
                break
    return False
