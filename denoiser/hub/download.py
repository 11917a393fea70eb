"""Downloading weights from the Hugging Face Hub, by name, into the cache of huggingface_hub.

The time limits are this module's: the client has none for its first request, retries a failed one
for 25 s if nothing is cached, and times the look-up of a name and each address separately.
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
WANTED = (*NEEDED, "README.md")  # only these are downloaded
DECISION_SECONDS = 8  # to reach the Hub and learn commit and access
MOST_BYTES = 200_000_000  # per file; a model of this kind has one or two million bytes
DOWNLOAD_SECONDS = 300  # for the rest: half a megabyte takes a second
LOGIN = "log in with `hf auth login` or set HF_TOKEN"
Result = TypeVar("Result")
log = logging.getLogger(__name__)  # without configuration, Python prints warnings on stderr


class HubError(CheckpointError):
    """The Hub refused a request; the message says which one, and what to do."""


class Unreachable(HubError):
    """The Hub does not answer or is overloaded; a cached copy can be used instead."""


class TokenRefused(Unreachable):
    """The Hub rejects the access token, even for public repositories."""


def load(source: StrPath | None = None, device: str = "auto") -> Network:
    """Loads a model from a folder, or from "owner/name" or "owner/name@revision" on the Hub.

    None loads the embedded default; `fetch` describes the other sources. `device` "auto" selects
    CUDA, then MPS, then the CPU. Raises CheckpointError.
    """
    folder, notice = fetch(source)
    if notice:
        log.warning(notice)
    return checkpoint.load(folder, device)


def fetch(source: StrPath | None = None) -> tuple[Path, str | None]:
    """The local folder of a checkpoint, and a notice if a newer version may exist.

    None is the embedded checkpoint. An existing folder has priority over a Hub name of the same
    spelling; a Path is always a folder. In `owner/name@revision` the revision is a branch, a tag or
    a commit, by default `main`. A cached commit (40 digits) needs no network. Otherwise the Hub is
    asked for the current commit of the revision; if it cannot be reached within DECISION_SECONDS or
    rejects the token, the cached copy of that revision is used. Raises CheckpointError, or its
    subclass Unreachable if the network or the token is the cause.
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
            notice = f"{error} Using the cached copy of {name}, commit {folder.name[:8]}."
    _verify(folder / "model.safetensors")
    if not notice and not COMMIT.fullmatch(revision):
        _remember(folder, revision)
    return folder, notice


def _cached(name: str, revision: str) -> Path | None:
    """The folder of a revision that is complete in the cache, without network access."""
    from huggingface_hub import try_to_load_from_cache

    there = (try_to_load_from_cache(name, file, revision=revision) for file in NEEDED)
    paths = [Path(path) for path in there if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(NEEDED) else None


def _download(name: str, revision: str) -> Path:
    """Downloads the missing files of a revision; the weights last, after all checks."""
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
                raise HubError(f"{name}@{revision} on the Hub has no {file}: choose another.")
        files = [file for file in WANTED if file in sizes]
        _refuse_giants(name, max(sizes[file] for file in files))
        return get("config.json", about.sha or revision), files

    with _explained(name, revision):
        config, files = within(DECISION_SECONDS, decide)
    try:
        with torch.device("meta"):  # an untrusted config must not allocate memory
            model = checkpoint.read_config(config)
    except CheckpointError as error:
        raise CheckpointError(
            f"{name}@{revision} is not compatible with this version: {error}"
        ) from error
    _refuse_giants(name, 4 * sum(parameter.numel() for parameter in model.parameters()))
    folder = config.parent  # its name is the commit
    with _explained(name, revision):
        within(DOWNLOAD_SECONDS, lambda: [get(file, folder.name) for file in files])
    return folder


def _refuse_giants(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise HubError(
            f"{name} is too large: {size / 1e6:,.0f} MB, limit {MOST_BYTES / 1e6:.0f} MB."
        )


def _remember(folder: Path, revision: str) -> None:
    """Records in the cache the current commit of a branch or tag, as huggingface_hub does.

    The client records it before the files are complete. Here it is recorded afterwards, so that an
    interrupted download leaves the older copy in use.
    """
    note = folder.parent.parent / "refs" / revision
    with contextlib.suppress(OSError):  # a read-only cache
        note.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text(note, folder.name)


def _verify(path: Path) -> None:
    """Raises CheckpointError for weights that differ from those announced by the Hub.

    The client checks only the size. It names a large file in its cache by its SHA-256 (except on
    Windows without symbolic links, where nothing is checked).
    """
    blob = path.resolve()
    digest = blob.name
    if len(digest) == 64 and hashlib.sha256(blob.read_bytes()).hexdigest() != digest:
        with contextlib.suppress(OSError):
            blob.unlink()
        raise CheckpointError(f"{path} was damaged in transit or in the cache: download it again.")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """call(), or TimeoutError after `seconds`; logs a warning if it takes longer than 2 s."""
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
    """The exceptions that huggingface_hub raises if the network or the Hub fails.

    Its versions 1.x and 2.x use different HTTP libraries; their errors are the first base class of
    its own error.
    """
    from huggingface_hub.utils import HfHubHTTPError

    # RuntimeError comes from hf_xet, UnicodeError from a token that is not ASCII
    return (HfHubHTTPError.__bases__[0], OSError, RuntimeError, UnicodeError)


@contextlib.contextmanager
def _explained(name: str, revision: str) -> Iterator[None]:
    """Turns errors of the client into HubError."""
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
            said = f"{name} requires that you accept its terms: do so on its page, then {LOGIN}."
        elif isinstance(error, RepositoryNotFoundError) or _status(error) == 401:
            said = (
                f"{name} is neither a local folder nor a model on the Hub that you can access: "
                f"check the spelling, or {LOGIN}."
            )
        else:
            raise refusal(error, name) from error
        raise HubError(said) from error


def refusal(error: Exception, name: str) -> HubError:
    """A sentence for the remaining errors: a status code of the Hub, or no answer."""
    status = _status(error)
    if status in (401, 403):
        return HubError(f"{name} is not public ({status}): {LOGIN}.")
    if status == 429:
        return Unreachable("The Hub limits requests (429): try again in a few minutes.")
    if isinstance(error, ValueError) or (status is not None and status < 500):
        return HubError(f"The Hub rejected the request for {name}: {_line(error)}.")
    return Unreachable(f"The Hugging Face Hub cannot be reached ({_line(error)}).")


def token_is_refused(error: Exception) -> bool:
    """Whether a request with a token was answered by 401, or by 403 for a reason other than terms.

    The client reports a 401 as a missing repository. For a valid token, the Hub answers 404 for a
    missing one; for an invalid token it answers 401, even for public repositories.
    """
    from huggingface_hub.utils import GatedRepoError

    if isinstance(error, UnicodeError):
        return True
    if isinstance(error, GatedRepoError) and _status(error) == 403:
        return False
    request = getattr(getattr(error, "response", None), "request", None)
    return _status(error) in (401, 403) and "authorization" in getattr(request, "headers", {})


def refused_token(name: str) -> str:
    """A sentence that names the source of the token."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable):
            return (
                f"The Hub rejected the token in {variable} for {name}: set a valid one, or "
                "unset it."
            )
    return f"The Hub rejected your token for {name}: log in again with `hf auth login`."


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:160] or type(error).__name__
