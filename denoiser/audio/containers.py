"""Opening files with FFmpeg, and choosing the audio track.

All access goes through PyAV, whose wheels include FFmpeg.
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

# Only containers with audio data of their own. FFmpeg also opens playlists (HLS, DASH, concat):
# an uploaded text file could make it read other files and network addresses.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file,subfile",
    "format_whitelist": "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,flac,flv,matroska,"
    "mov,mp3,mpeg,mpegts,mxf,ogg,tta,w64,wav,wv",
}
# One that FFmpeg mistakes for AMR, and those that programs write in either bit order
_UNRELIABLE = {
    **{(form, "\x38\0\0\0"): "NMS ADPCM" for form in ("wav", "w64", "avi", "asf")},
    **{(form, "\x40\0\0\0"): "G.721 ADPCM" for form in ("wav", "w64", "avi", "asf")},
    ("au", "\x17\0\0\0"): "G.721 ADPCM",
    ("au", "\x19\0\0\0"): "G.723 ADPCM",
    ("au", "\x1a\0\0\0"): "G.723 ADPCM",
}
_TRIED_PACKETS = 64  # packets of a track to try before the next track
_FIRST_PAGE = 2  # Ogg's flag for the first page of a stream


@contextmanager
def opened(path: StrPath) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Context manager: the container and its audio track. Raises AudioError.

    Of several tracks it selects the one marked as default, otherwise the one that FFmpeg prefers,
    skipping tracks that cannot be decoded.
    """
    path = Path(path)
    check_file(path)
    # "file:" because FFmpeg would read "a:b.wav" as protocol "a"
    with opened_link(path, f"file:{path}") as both:
        yield both


@contextmanager
def opened_link(path: Path, address: str) -> Iterator[tuple[InputContainer, AudioStream]]:
    """`opened` for one of the `links` of a file."""
    with _container(path, address) as container:
        yield container, _sound(path, address, container)


def check_file(path: Path) -> None:
    """Raises AudioError unless the path is a regular file that is not empty."""
    if os.path.isdir(path):
        raise AudioError(f"{path.name} is a folder: choose an audio or video file.")
    if not os.path.exists(path):
        raise AudioError(f"{path.name} does not exist: check the name and the folder.")
    if not os.path.isfile(path):
        raise AudioError(f"{path.name} is not a regular file: choose an audio or video file.")
    if os.path.getsize(path) == 0:
        raise AudioError(f"{path.name} is empty (0 bytes): record or download it again.")


def links(path: Path) -> list[str]:
    """The addresses that FFmpeg must open to read a whole file; one per link of a chained Ogg.

    Radio recordings and concatenated files are chains. FFmpeg's demuxer stops at the first link
    with another rate or number of channels.
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
    """Byte offsets of an Ogg file's links: first pages that follow other pages."""
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
        # tags may have any encoding
        container = av.open(address, options=_OPEN_OPTIONS, metadata_errors="replace")
    except PermissionError:
        raise AudioError(f"{path.name} cannot be opened: check its permissions.") from None
    except MemoryError:
        raise
    except Exception:  # damaged files can make FFmpeg fail in any way
        raise AudioError(
            f"{path.name} is not a readable audio or video file, or it is damaged: "
            "choose another file, or export it as WAV or MP3."
        ) from None
    with container:
        yield container


def _sound(path: Path, address: str, container: InputContainer) -> AudioStream:
    """The audio track to read."""
    if not container.streams.audio:
        raise AudioError(f"{path.name} has no audio track: choose a file that has one.")
    best = container.streams.best("audio")  # skips a default track with audio description
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
    if unreliable or _headless(container, tracks[0]):
        raise unknown_codec(path, unreliable or "aac")
    return tracks[0]


def _headless(container: InputContainer, stream: AudioStream) -> bool:
    """Whether a WAV contains AAC frames without headers, which cannot be told apart."""
    codec = stream.codec_context
    return container.format.name == "wav" and codec.name == "aac" and bool(codec.extradata)


def _tag(stream: AudioStream) -> str:
    """A container's four-character name of a codec; "" if PyAV cannot decode it.

    PyAV expects ASCII, but the tag of AAC in AVI is 0xFF, and that of FLAC in WAV 0xF1AC.
    """
    try:
        return stream.codec_context.codec_tag
    except UnicodeDecodeError:
        return ""


def _codec_name(container: InputContainer) -> str:
    """FFmpeg's name for a codec that it cannot decode, or its tag, taken from the log."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    described: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
    av.logging.set_level(level)
    found = re.search(r"Audio: (\w+)(?: \(([^ )]+))?", described)
    if not found:
        return "unknown"
    return found[2] if found[1] == "none" and found[2] else found[1]


def unknown_codec(path: Path, codec: str) -> AudioError:
    return AudioError(
        f"The audio in {path.name} uses the codec {codec}, which cannot be decoded here: "
        "export it as WAV or MP3."
    )


def _can_be_decoded(address: str, index: int) -> bool:
    """Whether any packet of a track decodes to audio."""
    with suppress(Exception), av.open(address, options=_OPEN_OPTIONS) as container:
        stream = container.streams[index]
        for number, packet in enumerate(container.demux(stream)):
            with suppress(av.FFmpegError):
                if any(frame.samples for frame in packet.decode()):
                    return True
            if number == _TRIED_PACKETS:
                break
    return False
