"""Hugging Face Hub -> folder: weights fetched by name into the client's own cache.

The time limits are ours: the client has none for its first request, retries one that failed for
25 s when nothing is cached, and counts a name look-up and each address of a host apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import TypeVar

import torch

from denoiser import checkpoint
from denoiser.checkpoint import CheckpointError
from denoiser.files import StrPath
from denoiser.models import Network

NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
SOURCE = re.compile(rf"({NAME})(?:@([\w./-]+))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
NEEDED = ("config.json", "model.safetensors")
WANTED = (*NEEDED, "README.md")  # nothing else of a repository is fetched
DECISION_SECONDS = 8  # until it is known: is the Hub there, which commit is meant, is it for us
MOST_BYTES = 200_000_000  # of a file: a model of this kind has one or two million
DOWNLOAD_SECONDS = 300  # for all the rest: half a megabyte takes a second, a dead line ends
LOGIN = "log in with `hf auth login` or set HF_TOKEN"
Result = TypeVar("Result")
log = logging.getLogger(__name__)  # unless it is set up, Python prints warnings on stderr


class HubError(CheckpointError):
    """The Hub says no; the text says to what and what to do."""


class Unreachable(HubError):
    """The Hub does not answer, or has no time for us: what is here already is good enough."""


class TokenRefused(Unreachable):
    """The Hub does not take our token, not even for what is public."""


def load(source: StrPath | None = None, device: str = "auto") -> Network:
    """A folder, "owner/name" or "owner/name@revision" on the Hub -> the model, ready to denoise.

    None is the embedded default; what else a source may be, `fetch` says. device "auto" is CUDA,
    then MPS, then the CPU. Raises CheckpointError in one sentence.
    """
    folder, notice = fetch(source)
    if notice:
        log.warning(notice)
    return checkpoint.load(folder, device)


def fetch(source: StrPath | None = None) -> tuple[Path, str | None]:
    """A source -> the folder that holds it here, and a notice if that may not be its newest state.

    None is the embedded checkpoint. A folder that exists wins over a Hub name of the same
    spelling; a Path is always a folder. `owner/name@revision` is a branch, a tag or a commit, and
    without a revision it is `main`. A cached commit (40 digits) asks nothing of the network;
    otherwise the Hub is asked what the revision is now, and if it cannot be reached within
    DECISION_SECONDS or refuses the token, what was cached under that revision is used. Raises
    CheckpointError in one sentence, its kind Unreachable when network or token is the cause.
    """
    if not source:
        return checkpoint.DEFAULT, None
    parts = SOURCE.fullmatch(source) if isinstance(source, str) else None
    if parts is None or Path(source).is_dir():
        return Path(source), None
    name, revision = parts[1], parts[2] or "main"
    folder, notice = _cached(name, revision), None
    if folder is None or not COMMIT.fullmatch(revision):
        try:
            folder = _download(name, revision)
        except Unreachable as error:
            if folder is None:
                raise
            notice = f"{error} The copy of {name} in the cache is used, commit {folder.name[:8]}."
    _verify(folder / "model.safetensors")
    if not notice and not COMMIT.fullmatch(revision):
        _remember(folder, revision)
    return folder, notice


def _cached(name: str, revision: str) -> Path | None:
    """The folder of a revision that was once fetched whole, without asking the network."""
    from huggingface_hub import try_to_load_from_cache

    there = (try_to_load_from_cache(name, file, revision=revision) for file in NEEDED)
    paths = [Path(path) for path in there if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(NEEDED) else None


def _download(name: str, revision: str) -> Path:
    """Fetches what is missing of a revision; the weights come last, when all else is checked."""
    from huggingface_hub import HfApi, hf_hub_download

    def get(file: str, commit: str) -> Path:
        path = hf_hub_download(name, file, revision=commit, etag_timeout=DECISION_SECONDS)
        return Path(path)

    def decide() -> tuple[Path, list[str]]:
        about = HfApi().model_info(
            name, revision=revision, files_metadata=True, timeout=DECISION_SECONDS
        )
        sizes = {file.rfilename: file.size or 0 for file in about.siblings or []}
        for file in NEEDED:
            if file not in sizes:
                raise HubError(f"{name}@{revision} on the Hub holds no {file}: choose another.")
        files = [file for file in WANTED if file in sizes]
        _refuse_giants(name, max(sizes[file] for file in files))
        return get("config.json", about.sha or revision), files

    with _explained(name, revision):
        config, files = within(DECISION_SECONDS, decide)
    try:
        with torch.device("meta"):  # whatever sizes a stranger's config names, they take no memory
            model = checkpoint.read_config(config)
    except CheckpointError as error:
        raise CheckpointError(f"{name}@{revision} does not fit this program: {error}") from error
    _refuse_giants(name, 4 * sum(parameter.numel() for parameter in model.parameters()))
    folder = config.parent  # named by the commit
    with _explained(name, revision):
        within(DOWNLOAD_SECONDS, lambda: [get(file, folder.name) for file in files])
    return folder


def _refuse_giants(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise HubError(f"{name} is too large: {size / 1e6:,.0f} MB, of {MOST_BYTES / 1e6:.0f}.")


def _remember(folder: Path, revision: str) -> None:
    """Notes in the cache which commit a branch or tag was when last seen, as the client does.

    The client writes the note before it has the files. Written after them, a download that broke
    off leaves the older copy in use.
    """
    note = folder.parent.parent / "refs" / revision
    with contextlib.suppress(OSError):  # a cache that may only be read
        note.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text(note, folder.name)


def _verify(path: Path) -> None:
    """Refuse weights that are not what the Hub announced.

    The client checks the size only. It names a large file in its cache by its SHA-256 (not on
    Windows without symbolic links: there nothing is checked).
    """
    blob = path.resolve()
    digest = blob.name
    if len(digest) == 64 and hashlib.sha256(blob.read_bytes()).hexdigest() != digest:
        with contextlib.suppress(OSError):
            blob.unlink()
        raise CheckpointError(f"{path} was damaged on its way or in the cache: fetch it again.")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """call(), or TimeoutError after that many seconds; says so when there is a wait at all."""
    outcome: futures.Future[Result] = futures.Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="hub", daemon=True).start()
    if not futures.wait([outcome], min(2, seconds)).done:
        log.warning("Waiting for the Hugging Face Hub, %.0f s at most.", seconds)
        if not futures.wait([outcome], max(0, seconds - 2)).done:
            raise TimeoutError(f"no answer in {seconds:g} s")
    return outcome.result()


def client_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when the network or the Hub fails.

    Its 1.x and 2.x stand on different HTTP libraries, whose error is the first base of its own.
    """
    from huggingface_hub.utils import HfHubHTTPError

    # RuntimeError is from its hf_xet, UnicodeError from a token that no header can hold
    return (HfHubHTTPError.__bases__[0], OSError, RuntimeError, UnicodeError)


@contextlib.contextmanager
def _explained(name: str, revision: str) -> Iterator[None]:
    """Turns the client's errors into one sentence each."""
    from huggingface_hub.utils import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except client_errors() as error:
        if token_is_refused(error):
            raise TokenRefused(refused_token(name)) from error
        if isinstance(error, RevisionNotFoundError):
            said = f"{name} on the Hub has no revision {revision}: check it."
        elif isinstance(error, GatedRepoError):
            said = (
                f"{name} is open only to those who accepted its terms: do so on its page, then "
                f"{LOGIN}."
            )
        elif isinstance(error, RepositoryNotFoundError) or _status(error) == 401:
            said = (
                f"{name} is no folder here, and no model on the Hub that you may read: check the "
                f"spelling, or {LOGIN}."
            )
        else:
            raise refusal(error, name) from error
        raise HubError(said) from error


def refusal(error: Exception, name: str) -> HubError:
    """What is left: a status code of the Hub, or no answer at all, as a sentence."""
    status = _status(error)
    if status in (401, 403):
        return HubError(f"The Hub does not give {name} to everybody ({status}): {LOGIN}.")
    if status == 429:
        return Unreachable("The Hub takes no more requests for now (429): try again in minutes.")
    if isinstance(error, ValueError) or (status is not None and status < 500):
        return HubError(f"The Hub refuses {name}: {_line(error)}.")
    return Unreachable(f"The Hugging Face Hub cannot be reached ({_line(error)}).")


def token_is_refused(error: Exception) -> bool:
    """Whether a request with a token was answered 401, or 403 for another reason than terms.

    The client takes a 401 for a name that does not exist. To a token that it knows the Hub answers
    404 there; 401 it answers to others, even where everybody may read.
    """
    from huggingface_hub.utils import GatedRepoError

    if isinstance(error, UnicodeError):
        return True
    if isinstance(error, GatedRepoError) and _status(error) == 403:
        return False
    request = getattr(getattr(error, "response", None), "request", None)
    return _status(error) in (401, 403) and "authorization" in getattr(request, "headers", {})


def refused_token(name: str) -> str:
    """A sentence that says where the token comes from."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable):
            return (
                f"The Hub refuses the token in {variable} for {name}: put a valid one there, or "
                "unset it."
            )
    return f"The Hub refuses your token for {name}: log in again with `hf auth login`."


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:160] or type(error).__name__
