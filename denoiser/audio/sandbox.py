"""Running work on untrusted files in a child process.

A damaged or hostile file can crash a decoder, make it loop, or make it request all available
memory. `run` calls a function of this package in a child process with limits; whatever happens
there becomes one AudioError for one file.

Starting Python takes a quarter of a second, too long for every file. So a template process is
started once: it has imported everything and forks a child per call, which takes milliseconds. A
child sends back JSON and samples, never code.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from denoiser.errors import AudioError
from denoiser.files import StrPath

MEMORY_BYTES = 2 * 2**30  # for a child, on top of the template's
STALLED_SECONDS = 20  # of CPU time without progress
_START = "import sys; from denoiser.audio import sandbox; sandbox.template(int(sys.argv[1]))"
log = logging.getLogger(__name__)
_inside = False
Result = TypeVar("Result")


def run(
    function: Callable[..., Iterator[Result]],
    path: StrPath,
    *arguments: str | float | None,
    notify: Callable[[str], None] | None = None,
) -> Iterator[Result]:
    """Yields what `function(path, *arguments, notify)` yields, run in a child process.

    `function` is a generator function of this package; `arguments` are strings, numbers and None.
    It yields float32 waves (channels, n) or JSON values. Raises its AudioError, or one that says
    that the file could not be processed.
    """
    if _inside or not hasattr(os, "fork"):  # already in a child, or on Windows
        yield from function(Path(path), *arguments, notify)
        return
    request = {
        "function": [function.__module__, function.__name__],
        "arguments": [os.path.abspath(path), *arguments],
        "limits": [MEMORY_BYTES, STALLED_SECONDS],
    }
    since = time.monotonic()
    with _called(request) as answers:
        for kind, value in _messages(answers):
            since = time.monotonic()
            if kind == "done":
                return
            if kind == "error":
                raise AudioError(value)
            if kind == "fault":
                log.error("%s", value)
                break
            if kind == "say" and notify:
                notify(value)
            elif kind in ("value", "wave"):
                yield value
                since = time.monotonic()
    stalled = time.monotonic() - since > 0.9 * STALLED_SECONDS
    why = "takes too long to decode" if stalled else "crashes its decoder"
    raise AudioError(f"{Path(path).name} {why}: choose another file, or export it as WAV or MP3.")


def one(
    function: Callable[..., Iterator[Result]], path: StrPath, *arguments: str | float | None
) -> Result:
    """The single value that `run` yields."""
    (value,) = run(function, path, *arguments)
    return value


# ---- the parent

_lock = threading.Lock()
_template: tuple[int, socket.socket] | None = None  # the process that started it, and its socket


@contextmanager
def _called(request: dict[str, object]) -> Iterator[BinaryIO]:
    """The output of a child that works on a request; closing it ends the child."""
    asking, asked = os.pipe()
    answers, answered = os.pipe()
    try:
        _send(asking, answered)
    finally:
        os.close(asking)
        os.close(answered)
    with open(asked, "wb") as question:
        question.write(json.dumps(request).encode())
    with open(answers, "rb", buffering=1 << 16) as file:
        yield file


def start() -> None:
    """Starts the template process, so that the first file does not have to wait for it."""
    if hasattr(os, "fork"):
        with _lock:
            _line()


def _line() -> socket.socket:
    """The socket of the template process, which is started if necessary."""
    global _template
    if _template is None or _template[0] != os.getpid():  # a fork needs its own
        _template = os.getpid(), _started()
    return _template[1]


def _send(*files: int) -> None:
    """Passes a child's pipe ends to the template."""
    global _template
    with _lock:
        for _ in range(2):
            try:
                socket.send_fds(_line(), [b"."], files)
                return
            except OSError:  # the template has ended
                if _template:
                    _template[1].close()
                _template = None
    raise AudioError(
        "The process that decodes files cannot be started: free some memory and try again."
    )


def _started() -> socket.socket:
    """The socket of a new template process, which exits when the socket is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C is meant for the parent
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        )
    return ours


def _messages(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """The messages of a child, as long as they are complete."""
    while line := file.readline():
        with suppress(ValueError):
            message = json.loads(line)
            if message["kind"] != "wave":
                yield message["kind"], message["value"]
                continue
            channels, samples = message["value"]
            data = file.read(4 * channels * samples)
            if len(data) == 4 * channels * samples:
                yield "wave", np.frombuffer(data, np.float32).reshape(channels, samples)


# ---- the template and its children


def template(line: int) -> None:
    """Forks a child for every pair of pipes received, until the socket is closed."""
    _prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that children leave no zombies
    with socket.socket(fileno=line) as control:
        while True:
            word, files, _, _ = socket.recv_fds(control, 1, 2)
            if not word:
                return
            if os.fork() == 0:
                control.close()
                try:
                    _child(*files)
                finally:
                    os._exit(0)
            for file in files:
                os.close(file)


def _prepare() -> None:
    """Does once what every child would do first, in a third of its time."""
    import gc
    import resource  # noqa: F401

    import av.subtitles.stream  # noqa: F401  # PyAV imports it with its first file

    gc.freeze()  # keeps memory pages shared: a collection would write to them


def _child(asked: int, answers: int) -> None:
    """Handles one request."""
    global _inside
    _inside = True
    with open(asked, "rb") as question:
        request = json.loads(question.read())
    memory, seconds = request["limits"]
    _limit(memory, seconds)
    module, name = request["function"]
    path, *arguments = request["arguments"]
    with open(answers, "wb") as file:

        def send(kind: str, value: object, samples: bytes = b"") -> None:
            signal.setitimer(signal.ITIMER_PROF, 0)  # waiting for the reader does not count
            file.write(json.dumps({"kind": kind, "value": value}).encode() + b"\n" + samples)
            file.flush()
            signal.setitimer(signal.ITIMER_PROF, seconds)

        try:
            function = getattr(importlib.import_module(module), name)
            for value in function(Path(path), *arguments, lambda text: send("say", text)):
                if isinstance(value, np.ndarray):
                    wave = np.ascontiguousarray(value, np.float32)
                    send("wave", wave.shape, wave.tobytes())
                else:
                    send("value", value)
            send("done", None)
        except AudioError as error:
            send("error", str(error))
        except MemoryError:
            sentence = (
                f"{Path(path).name} needs too much memory to decode: choose another file, or "
                "export it as WAV or MP3."
            )
            send("error", sentence)
        except Exception:
            send("fault", traceback.format_exc())


def _limit(memory: int, seconds: float) -> None:
    """Limits memory and CPU time, ends with the reader, and disables core dumps."""
    import resource

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # macOS has no address-space limit
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
