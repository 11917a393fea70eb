"""Replacing one audio track of a video; all other streams are copied without re-encoding."""

import heapq
import os
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from denoiser import audio
from denoiser.audio import sandbox, timing
from denoiser.audio.encode import LOUDEST
from denoiser.files import StrPath, replacing
from denoiser.video import carried, pictures
from denoiser.video.speakers import Placement

BIT_RATE = 96_000  # of audio, per channel and second
AAC_RATES = (44_100, 48_000, 88_200, 96_000)  # lower ones exist, but with frames of up to 128 ms
OPUS_RATE = 48_000
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # other videos become .mkv
SHARE_SECONDS = 0.25  # between two shares from the child process, at least
ORDER_SHARE = 0.7  # of the work, if all frames must be decoded to find their order


def has_picture(path: StrPath) -> bool:
    """Whether a file has a video track besides covers. Raises AudioError."""
    return sandbox.one(_has_picture, path)


def _has_picture(path: Path, notify: audio.Notify) -> Iterator[bool]:
    with audio.opened(path) as (container, _):
        yield _picture(container) is not None


def suffix(source: StrPath) -> str:
    """The file name ending of the video that `replace_sound` makes of `source`."""
    ending = Path(source).suffix.lower()
    return ending if ending in KEPT else ".mkv"


def replace_sound(
    source: StrPath, sound: StrPath, target: StrPath, notify: audio.Notify | None = None
) -> None:
    """The same as `replacing_sound`, in one call."""
    for _ in replacing_sound(source, sound, target, notify):
        pass


def replacing_sound(
    source: StrPath, sound: StrPath, target: StrPath, notify: audio.Notify | None = None
) -> Iterator[float]:
    """Writes the video `source` with `sound` in place of the denoised audio track.

    Yields the shares done, 0 to 1, ascending; closing the generator stops the work.
    `sound` is an audio file as long as the decoded track, and starts at the same time. It is
    encoded as AAC, in .webm as Opus, and every channel keeps its speaker. Other tracks, chapters
    and tags are copied; `notify` receives a sentence about what `target` cannot hold, and one about
    which of several audio tracks was denoised. Memory use does not depend on the length. The target
    is complete or absent. Raises AudioError.
    """
    target = Path(target)
    try:
        with replacing(target) as temporary:
            files = (os.path.abspath(path) for path in (sound, target, temporary))
            yield from sandbox.run(_replaced, source, *files, notify=notify)
    except OSError as error:
        raise _not_written(target, error) from None


def _replaced(
    source: Path, sound: str, target: str, temporary: str, notify: audio.Notify | None
) -> Iterator[float]:
    """`replacing_sound` into a temporary file."""
    said: list[str] = []
    told = time.monotonic()
    try:
        for share in _film(source, sound, Path(target), temporary, said):
            if time.monotonic() > told + SHARE_SECONDS:
                told = time.monotonic()
                yield share
    except OSError as error:  # FFmpeg's errors are among them
        raise _not_written(Path(target), error) from None
    if notify:
        for sentence in said:
            notify(sentence)


def _film(
    source: Path, sound: str, target: Path, temporary: str, said: list[str]
) -> Iterator[float]:
    """Writes the video; yields the share done for every packet, and adds remarks to `said`."""
    with audio.opened(source) as (container, stream):
        picture = _picture(container)
        if picture is None:
            raise audio.AudioError(f"{source.name} has no video track: choose a video.")
        times, done = yield from _times(source, picture.index)
        with _create(temporary, suffix(target), picture) as written:
            tracks = carried.Tracks(written)
            for each in container.streams:
                if each.index == stream.index:
                    new = _NewTrack(written, source, sound, suffix(target) == ".webm")
                    carried.describe(new.stream, stream)
                elif each.index == picture.index:
                    _copy_picture(tracks, picture, written.format.name)
                else:
                    tracks.copy(each)
            written.start_encoding()
            copies = carried.packets(container, tracks.copies, times, timing.zero(container))
            for second, packet in heapq.merge(copies, new.packets(), key=lambda each: each[0]):
                written.mux(packet)
                yield done + (1 - done) * min(max(second / new.seconds, 0.0), 1.0)
        said += _remarks(
            container, stream, target, [*tracks.lost, *_lost_tags(container, temporary)]
        )


def _times(
    source: Path, index: int
) -> Generator[float, None, tuple[dict[int, np.ndarray | None], float]]:
    """`pictures.times` of the stream `index`, by index, and the share of all work that it took."""
    done, search = 0.0, pictures.times(source, index)
    while True:
        try:
            done = ORDER_SHARE * next(search)
        except StopIteration as end:
            return {index: end.value}, done
        yield done


def _picture(container: InputContainer) -> VideoStream | None:
    """The main video stream."""
    videos = (each for each in container.streams.video if not each.disposition & carried.COVER)
    return next((stream for stream in videos if stream.codec_context), None)


def _copy_picture(tracks: carried.Tracks, picture: VideoStream, into: str) -> None:
    try:
        tracks.copy(picture, needed=True)
    except ValueError:
        name = picture.codec_context.name
        raise audio.AudioError(
            f"Video in {name} cannot be stored in {into}: convert it to MP4 first."
        ) from None


def _create(path: str, ending: str, picture: VideoStream) -> OutputContainer:
    """A container for the new video, with the metadata of the old one."""
    name = {".mkv": "matroska", ".m4v": "mp4"}.get(ending, ending[1:])
    options: dict[str, str] = {}
    if name == "webm" and picture.codec_context.codec.canonical_name not in ("vp8", "vp9", "av1"):
        name = "matroska"  # browsers record H.264 in .webm
    if name == "mov":
        options["movflags"] = "use_metadata_tags"  # place and device of a phone's recording
    if name in ("matroska", "webm"):
        options["default_mode"] = "passthrough"  # keeps the flags of the tracks
    container = av.open(f"file:{path}", "w", name, container_options=options)
    container.metadata.update(picture.container.metadata)
    container.set_chapters(picture.container.chapters())
    return container


def _remarks(
    container: InputContainer, stream: AudioStream, target: Path, lost: list[str]
) -> list[str]:
    """Sentences on which of several audio tracks was denoised, and on what the target lacks."""
    remarks: list[str] = []
    tracks = container.streams.audio
    if len(tracks) > 1:
        number = [track.index for track in tracks].index(stream.index) + 1
        name = carried.named(stream)
        remarks.append(
            f"Of {len(tracks)} audio tracks, number {number}{f' ({name})' if name else ''} was "
            "denoised; the others are unchanged."
        )
    if lost:
        remarks.append(f"{target.name} cannot hold {', '.join(lost)}.")
    return remarks


def _lost_tags(container: InputContainer, path: str) -> list[str]:
    with av.open(f"file:{path}", metadata_errors="replace") as film:
        missing = carried.missing_tags(container.metadata, film.metadata)
    what = "the tags" if len(missing) > 1 else "the tag"
    return [f"{what} {', '.join(missing)}"] if missing else []


def _not_written(target: Path, error: OSError) -> audio.AudioError:
    why = (error.strerror or "FFmpeg failed").lower()
    return audio.AudioError(f"{target.name} cannot be written: {why}.")


class _NewTrack:
    """The new audio track: the file `sound`, encoded."""

    def __init__(self, container: OutputContainer, source: Path, sound: str, opus: bool):
        about, film = audio.info(sound), audio.info(source)
        layout = film.layout if film.channels == about.channels else about.layout
        codec: Literal["aac", "libopus"] = "libopus" if opus else "aac"
        rate = about.sample_rate
        if opus:
            rate = OPUS_RATE
        elif rate not in AAC_RATES:
            rate = next((known for known in AAC_RATES if known % rate == 0), AAC_RATES[1])
        self.seconds = max(about.seconds, 1 / about.sample_rate)
        self._path, self._place = sound, Placement(layout, codec)
        self._resampler = audio.Resampler(about.sample_rate, rate, about.channels)
        self.stream = container.add_stream(codec, rate=rate, layout=self._place.layout)
        self.stream.bit_rate = BIT_RATE * len(self._place.matrix)

    def packets(self) -> Iterator[tuple[float, av.Packet]]:
        """Packets with their times in seconds."""
        nothing, position = np.zeros((self._resampler.channels, 0), np.float32), 0  # samples
        for block in chain(audio.blocks(self._path, seconds=1.0), [nothing]):
            wave = self._resampler.push(block, last=not block.size)
            if np.abs(wave).max(initial=0) > LOUDEST:
                name = Path(self._path).name
                raise audio.AudioError(
                    f"{name} exceeds {LOUDEST:,.0f} times full scale: choose WAV."
                )
            if wave.size:
                yield from self._coded(self._frame(wave, position))
                position += wave.shape[1]
        yield from self._coded(None)

    def _frame(self, wave: np.ndarray, position: int) -> av.AudioFrame:
        packed = self._place(wave).T.reshape(1, -1)  # (C, n) -> (1, n C)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(packed, np.float32), "flt", self._place.layout
        )
        frame.sample_rate, frame.pts = self.stream.rate, position
        frame.time_base = Fraction(1, self.stream.rate)
        return frame

    def _coded(self, frame: av.AudioFrame | None) -> Iterator[tuple[float, av.Packet]]:
        for packet in self.stream.encode(frame):
            assert packet.pts is not None  # encoders set it
            yield packet.pts / self.stream.rate, packet
