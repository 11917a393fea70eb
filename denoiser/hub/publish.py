"""Publishing on the Hugging Face Hub: a checkpoint as a model, the page as a Space.

Each publication is one commit, which the Hub applies completely or not at all; an interrupted one
leaves at most an empty new repository.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from denoiser import checkpoint
from denoiser.files import StrPath
from denoiser.hub import card, download
from denoiser.hub.download import LOGIN, HubError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationCopy, HfApi
ROOT = Path(__file__).parents[2]
FILES = ("config.json", "model.safetensors", "metrics.json")
SPACE = (  # the files that a Space of the page needs
    "app.py",
    "requirements.txt",
    "LICENSE",
    "checkpoints",
    "denoiser",
    "page",
    "samples/README.md",
    "samples/clean",
    "samples/noisy",
)
SITE = "web/site"  # made by `make`; where it is, the page of the Space has its tab Live, too
STATIC = """---
title: Speech denoiser, live
emoji: 🎙️
colorFrom: indigo
colorTo: green
sdk: static
app_file: index.html
short_description: Removes noise from speech in your browser
license: mit
tags:
  - speech-enhancement
  - noise-suppression
---

Removes background noise from speech in the visitor's browser: live from the microphone and from
files. Nothing is sent.
"""
UPLOAD_SECONDS = 600
Kind = Literal["model", "space"]


def publish(
    folder: StrPath,
    name: str,
    *,
    private: bool = False,
    revision: str = "main",
    dry_run: bool = False,
) -> str:
    """Publishes the checkpoint in a folder as a model on the Hub; returns the result as text.

    The upload consists of FILES and a generated card, without the state of a training run. Raises
    CheckpointError, of which HubError is a subclass.
    """
    folder = Path(folder)
    checkpoint.load(folder, "cpu")  # refuse to publish what cannot be loaded
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    files["README.md"] = card.text(folder, name).encode()
    return _publish(name, files, "model", {}, private=private, revision=revision, dry_run=dry_run)


def publish_space(
    name: str, *, model: str | None = None, private: bool = False, dry_run: bool = False
) -> str:
    """Publishes the page of this checkout, with its weights and samples, as a Space.

    The Space becomes identical to `space_files`: other files in it are deleted. With `model`, a
    name on the Hub, the page uses the current commit of those weights, which the Space downloads
    while it is built. Returns the result as text. Raises CheckpointError.
    """
    files = space_files()
    variables: dict[str, str] = {}
    if model:
        folder, _ = download.fetch(model)
        if not download.COMMIT.fullmatch(folder.name):
            raise HubError(f"{model} is not a name on the Hub: give owner/name.")
        checkpoint.load(folder, "cpu")  # refuse to serve what cannot be loaded
        served, commit = model.split("@")[0], folder.name
        files["README.md"] = _naming(files["README.md"].decode(), served, commit).encode()
        variables["DENOISER_MODEL"] = f"{served}@{commit}"
    return _publish(
        name, files, "space", variables, private=private, revision="main", dry_run=dry_run
    )


def publish_site(name: str, *, private: bool = False, dry_run: bool = False) -> str:
    """Publishes the static site with the embedded live model as a static Space.

    Returns the result as text. Raises SiteError and CheckpointError as `site.build` does.
    """
    from denoiser import site

    with tempfile.TemporaryDirectory() as scratch:
        folder = site.build(checkpoint.EMBEDDED / "band-live", scratch)
        files = _tree(folder) | {"README.md": STATIC.encode()}
    return _publish(name, files, "space", {}, private=private, revision="main", dry_run=dry_run)


def space_files() -> dict[str, bytes]:
    """Path -> content: the files that git tracks under SPACE, and the README of a Space."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--", *SPACE],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError) as error:
        raise HubError(f"{ROOT} is not a git checkout, from which a Space is made.") from error
    files = {path: (ROOT / path).read_bytes() for path in listed if (ROOT / path).is_file()}
    front_matter, readme = files.pop("page/space.yaml"), (ROOT / "README.md").read_bytes()
    live = {f"{SITE}/{path}": content for path, content in _tree(ROOT / SITE).items()}
    return files | live | {"README.md": b"---\n" + front_matter + b"---\n\n" + readme}


def _tree(folder: Path) -> dict[str, bytes]:
    """Path -> content of all files below a folder, which may be missing."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _naming(readme: str, model: str, commit: str) -> str:
    """A Space's README with the weights it runs in the front matter."""
    from huggingface_hub import SpaceCard

    space = SpaceCard(readme)
    space.data["models"] = [model]
    space.data["preload_from_hub"] = [f"{model} {','.join(download.WANTED)} {commit}"]
    return str(space)


def _publish(
    name: str,
    files: dict[str, bytes],
    kind: Kind,
    variables: dict[str, str],
    *,
    private: bool,
    revision: str,
    dry_run: bool,
) -> str:
    if not re.fullmatch(download.NAME, name, re.ASCII):
        raise HubError(f"{name} is not a name on the Hub: give owner/name.")
    if dry_run:
        listed = "\n".join(f"{len(files[path]):>10,}  {path}" for path in sorted(files))
        return f"{listed}\n{len(files)} files for the {kind} {name}. Nothing was sent."
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(name):
        # check connection and token first
        download.within(download.DECISION_SECONDS, api.whoami)
        commit, new = download.within(
            UPLOAD_SECONDS,
            lambda: _push(api, name, files, kind, variables, private=private, revision=revision),
        )
    done = "is published" if new else "is already published, nothing has changed"
    place = f"spaces/{name}" if kind == "space" else name
    return f"{api.endpoint}/{place} {done}: commit {commit}"


def _push(
    api: HfApi,
    name: str,
    files: dict[str, bytes],
    kind: Kind,
    variables: dict[str, str],
    *,
    private: bool,
    revision: str,
) -> tuple[str, bool]:
    """Creates the repository if necessary and pushes one commit: its hash, and whether it is new.

    The client compares the files with the Hub's, and commits nothing if they are equal.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, SpaceInfo

    sdk = _sdk(files["README.md"]) if kind == "space" else None
    api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
    about = api.repo_info(name, repo_type=kind)
    if private and not about.private:
        raise HubError(f"{name} exists and is public: make it private on its page first.")
    if revision != "main":
        api.create_branch(name, branch=revision, repo_type=kind, exist_ok=True)
        about = api.repo_info(name, repo_type=kind, revision=revision)
    operations: list[CommitOperationAdd | CommitOperationDelete | CommitOperationCopy] = [
        CommitOperationAdd(path, content) for path, content in sorted(files.items())
    ]
    if isinstance(about, SpaceInfo):
        there = {sibling.rfilename for sibling in about.siblings or []} - {".gitattributes"}
        operations += [CommitOperationDelete(path) for path in sorted(there - set(files))]
    for variable, value in variables.items():
        api.add_space_variable(name, variable, value)
    commit = api.create_commit(
        name,
        operations,
        repo_type=kind,
        revision=revision,
        commit_message="Publish " + (_title(files) if kind == "model" else "the page"),
    )
    return commit.oid, commit.oid != about.sha


def _sdk(readme: bytes) -> str:
    """What a Space runs on, by the front matter of its README."""
    named = re.search(rb"^sdk: (\w+)$", readme, re.MULTILINE)
    assert named  # both READMEs are this module's
    return named[1].decode()


def _title(files: dict[str, bytes]) -> str:
    return str(json.loads(files["config.json"])["model"])


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns errors of the client into HubError."""
    from huggingface_hub.utils import LocalTokenNotFoundError

    refusals: tuple[type[Exception], ...] = (*download.client_errors(), ValueError)
    try:
        yield
    except HubError:
        raise
    except LocalTokenNotFoundError as error:
        raise HubError(f"Publishing needs a token with write access: {LOGIN}.") from error
    except refusals as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401 or isinstance(error, UnicodeError):
            raise HubError(download.refused_token(name)) from error
        if status == 403:
            raise HubError(
                f"Your token has no write access to {name}: {name.split('/')[0]} must be you or an "
                "organisation of yours, and the token needs write access."
            ) from error
        raise HubError(f"{download.refusal(error, name)} Nothing is half-published.") from error
