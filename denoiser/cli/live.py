"""`denoiser stream`, which denoises live sound, and `denoiser export`, which exports its model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from denoiser import console
from denoiser.errors import DenoiserError, needing

if TYPE_CHECKING:
    from denoiser.stream import Stream

Commands: TypeAlias = Any  # argparse has no public name for subparsers
FORMATS: dict[str, np.dtype] = {"s16": np.dtype("<i2"), "f32": np.dtype("<f4")}
PIECE_BYTES = 1 << 16  # read from a pipe at once, at most
FULL_SCALE = 32768.0


class DeviceError(DenoiserError):
    """A sound device, or a library that it requires, is missing or cannot be used."""


def add_stream(commands: Commands, strength: Callable[[str], float]) -> None:
    """Adds the parser of `denoiser stream`; `strength` converts its option."""
    stream = commands.add_parser(
        "stream",
        help="denoise live sound from a pipe or microphone, to a pipe or loudspeaker",
        description="Reads raw interleaved samples from stdin and writes them to stdout with a "
        "delay of 32 ms at 48 kHz. --input and --output select sound devices instead.",
        epilog="Example: arecord -f S16_LE -r 48000 | denoiser stream | aplay -f S16_LE -r 48000",
    )
    stream.set_defaults(run=run_stream, parser=stream)
    stream.add_argument("--rate", type=int, default=48000, metavar="HZ", help="default: 48000")
    stream.add_argument("--channels", type=int, default=1, metavar="N", help="default: 1")
    stream.add_argument(
        "--format",
        choices=FORMATS,
        default="s16",
        help="samples in pipes: 16-bit integers or 32-bit floats, little-endian (default: s16)",
    )
    stream.add_argument(
        "--strength",
        type=strength,
        default=1.0,
        metavar="0..1",
        help="1 removes all noise, 0 none (default: 1)",
    )
    stream.add_argument(
        "--model",
        default="band-live",
        metavar="NAME|FOLDER|OWNER/NAME[@REVISION]|FILE.onnx",
        help="a causal model (default: band-live)",
    )
    for name, what in (("input", "microphone"), ("output", "loudspeaker")):
        stream.add_argument(
            f"--{name}",
            metavar="DEVICE",
            help=f"{what}, by number or part of its name, or `default` (see --list)",
        )
    stream.add_argument("--list", action="store_true", help="list the sound devices and exit")


def add_export(commands: Commands) -> None:
    """Adds the parser of `denoiser export`."""
    export = commands.add_parser(
        "export",
        help="export a causal model as an ONNX file, or as a site that runs it in the browser",
        description="Compares the export with the model before writing it. `denoiser stream "
        "--model FILE.onnx` and denoiser.Stream run the file without PyTorch.",
    )
    export.set_defaults(run=run_export)
    export.add_argument("folder", type=Path, metavar="FOLDER", help="checkpoint folder")
    what = export.add_mutually_exclusive_group(required=True)
    what.add_argument("-o", "--out", type=Path, metavar="FILE.onnx")
    what.add_argument(
        "--web",
        type=Path,
        metavar="DIR",
        help="folder for a static site: index.html, scripts, model and runtime",
    )


def run_export(arguments: argparse.Namespace) -> int:
    """Runs `denoiser export` and returns its exit code."""
    if arguments.web:
        from denoiser import site

        return console.show(site.build(arguments.folder, arguments.web))
    from denoiser import export

    return console.show(export.export(arguments.folder, arguments.out))


def run_stream(arguments: argparse.Namespace) -> int:
    """Runs `denoiser stream` and returns its exit code."""
    if arguments.list:
        return _list()
    if arguments.input is None and sys.stdin.isatty():
        arguments.parser.error("pipe sound into stdin, or choose a microphone with --input")
    if arguments.output is None and sys.stdout.isatty():
        arguments.parser.error("pipe or redirect stdout, or choose a loudspeaker with --output")
    from denoiser.stream import Stream

    try:
        stream = Stream(arguments.model, arguments.rate, arguments.channels, arguments.strength)
        _pump(arguments, stream)
    except ValueError as error:
        console.say(error)
        return 1
    return 0


def _list() -> int:
    devices = _sounddevice().query_devices()
    if not devices:
        raise DeviceError("No sound device was found: connect one.")
    return console.show(devices)


def _pump(arguments: argparse.Namespace, stream: Stream) -> None:
    """Denoises the input until its end or Ctrl+C."""
    with ExitStack() as stack:
        pieces = _pieces(arguments, stack)
        put = _sink(arguments, stack)
        with suppress(BrokenPipeError):  # the reader has ended
            for piece in pieces:
                put(stream.push(piece))
            put(stream.flush())


def _pieces(arguments: argparse.Namespace, stack: ExitStack) -> Iterator[np.ndarray]:
    """Waves (C, n) from the microphone or from stdin."""
    if arguments.input is None:
        return _from_pipe(FORMATS[arguments.format], arguments.channels)
    return _from_device(_opened("InputStream", arguments.input, arguments, stack))


def _sink(arguments: argparse.Namespace, stack: ExitStack) -> Callable[[np.ndarray], None]:
    """A function that sends a wave (C, n) to the loudspeaker or to stdout."""
    if arguments.output is None:
        return lambda wave: _to_pipe(wave, FORMATS[arguments.format])
    speaker = _opened("OutputStream", arguments.output, arguments, stack)

    def play(wave: np.ndarray) -> None:
        speaker.write(np.ascontiguousarray(wave.T))

    return play


def _from_pipe(kind: np.dtype, channels: int) -> Iterator[np.ndarray]:
    """Waves (C, n) from stdin, of any n; an incomplete sample at the end is dropped."""
    size, held = kind.itemsize * channels, b""
    stdin = cast(BufferedReader, sys.stdin.buffer)
    while data := stdin.read1(PIECE_BYTES):
        held += data
        whole = len(held) // size * size
        samples = np.frombuffer(held[:whole], kind).reshape(-1, channels).T.astype(np.float32)
        held = held[whole:]
        yield samples / np.float32(FULL_SCALE) if kind.kind == "i" else samples


def _to_pipe(wave: np.ndarray, kind: np.dtype) -> None:
    if kind.kind == "i":
        wave = np.rint(wave * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
    sys.stdout.buffer.write(wave.T.astype(kind).tobytes())
    sys.stdout.buffer.flush()


def _from_device(microphone: Any) -> Iterator[np.ndarray]:
    """Hops (C, n) from a microphone, without end; reports once if the machine is too slow."""
    late = False
    while True:
        samples, lost = microphone.read(microphone.blocksize)
        if lost and not late:
            console.say("The machine is too slow for live sound: close other programs.")
        late = late or lost
        yield samples.T.copy()


def _opened(kind: str, name: str, arguments: argparse.Namespace, stack: ExitStack) -> Any:
    """A running stream of sounddevice. Raises DeviceError."""
    sounddevice = _sounddevice()
    device = None if name == "default" else int(name) if name.isdigit() else name
    try:
        stream = getattr(sounddevice, kind)(
            samplerate=arguments.rate,
            blocksize=round(0.016 * arguments.rate),
            device=device,
            channels=arguments.channels,
            dtype="float32",
            latency="low",
        )
        return stack.enter_context(stream)
    except (sounddevice.PortAudioError, ValueError) as error:
        what = "microphone" if kind == "InputStream" else "loudspeaker"
        raise DeviceError(
            f"The {what} {name} cannot be opened ({' '.join(str(error).split())}): "
            "choose one from `denoiser stream --list`."
        ) from error


def _sounddevice() -> Any:
    try:
        with needing("live"):
            import sounddevice
    except OSError as error:  # the package is installed, but not the library it binds
        raise DeviceError(
            "Sound devices need the PortAudio library: install libportaudio2 "
            "(apt-get install libportaudio2)."
        ) from error
    return sounddevice
