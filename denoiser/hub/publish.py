"""Folder -> Hugging Face Hub: a checkpoint as a model, the page as a Space; one commit each.

The Hub takes a commit whole or not at all, so a publication that breaks off leaves nothing but,
where the name was new, an empty repository.
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
SPACE = (  # what the page needs; nothing else of the checkout goes into a Space
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
    """The checkpoint in a folder -> a model on the Hub, with a card written for it; what was done.

    Only FILES and the card are sent: never what a training run needs to go on.
    """
    folder = Path(folder)
    checkpoint.load(folder, "cpu")  # what cannot be loaded is not published
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    files["README.md"] = card.text(folder, name).encode()
    return _publish(name, files, "model", {}, private=private, revision=revision, dry_run=dry_run)


def publish_space(
    name: str, *, model: str | None = None, private: bool = False, dry_run: bool = False
) -> str:
    """The page of this checkout, with the weights and samples it uses -> a Space; what was done.

    The Space becomes equal to `space_files`: a file that is only there is removed. With `model`, a
    name on the Hub, the page runs its weights: their commit of today, which is fetched when the
    Space is built.
    """
    files = space_files()
    variables: dict[str, str] = {}
    if model:
        folder, _ = download.fetch(model)
        if not download.COMMIT.fullmatch(folder.name):
            raise HubError(f"{model} is no name on the Hub: give owner/name.")
        checkpoint.load(folder, "cpu")  # what cannot be loaded is not served
        served, commit = model.split("@")[0], folder.name
        files["README.md"] = _naming(files["README.md"].decode(), served, commit).encode()
        variables["DENOISER_MODEL"] = f"{served}@{commit}"
    return _publish(
        name, files, "space", variables, private=private, revision="main", dry_run=dry_run
    )


def publish_site(name: str, *, private: bool = False, dry_run: bool = False) -> str:
    """The static site with the embedded live model -> a static Space; what was done.

    Raises SiteError and CheckpointError as `site.build` does.
    """
    from denoiser import site

    with tempfile.TemporaryDirectory() as scratch:
        folder = site.build(checkpoint.EMBEDDED / "band-live", scratch)
        files = _tree(folder) | {"README.md": STATIC.encode()}
    return _publish(name, files, "space", {}, private=private, revision="main", dry_run=dry_run)


def space_files() -> dict[str, bytes]:
    """Path -> content: what git tracks under SPACE, as it is now, a README and the live site."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--", *SPACE],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError) as error:
        raise HubError(f"{ROOT} is no git checkout: a Space is made from one.") from error
    files = {path: (ROOT / path).read_bytes() for path in listed if (ROOT / path).is_file()}
    front_matter, readme = files.pop("page/space.yaml"), (ROOT / "README.md").read_bytes()
    live = {f"{SITE}/{path}": content for path, content in _tree(ROOT / SITE).items()}
    return files | live | {"README.md": b"---\n" + front_matter + b"---\n\n" + readme}


def _tree(folder: Path) -> dict[str, bytes]:
    """Path -> content of all files below a folder, which may be missing."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _naming(readme: str, model: str, commit: str) -> str:
    """A Space's README whose front matter names the weights that it runs."""
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
        raise HubError(f"{name} is no name on the Hub: give owner/name.")
    if dry_run:
        listed = "\n".join(f"{len(files[path]):>10,}  {path}" for path in sorted(files))
        return f"{listed}\n{len(files)} files for the {kind} {name}. Nothing was sent."
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(name):
        # Is the Hub there, and the token good?
        download.within(download.DECISION_SECONDS, api.whoami)
        commit, new = download.within(
            UPLOAD_SECONDS,
            lambda: _push(api, name, files, kind, variables, private=private, revision=revision),
        )
    done = "is published" if new else "was already published, nothing has changed"
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
    """Creates what is missing and sends one commit; its hash, and whether it is a new one.

    The client compares with what is there, and sends nothing when all is equal.
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
    """Turns the client's errors into one sentence each."""
    from huggingface_hub.utils import LocalTokenNotFoundError

    refusals: tuple[type[Exception], ...] = (*download.client_errors(), ValueError)
    try:
        yield
    except HubError:
        raise
    except LocalTokenNotFoundError as error:
        raise HubError(f"Publishing needs a token that may write: {LOGIN}.") from error
    except refusals as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401 or isinstance(error, UnicodeError):
            raise HubError(download.refused_token(name)) from error
        if status == 403:
            raise HubError(
                f"Your token may not write to {name}: {name.split('/')[0]} must be you or an "
                "organisation of yours, and the token of the kind that may write."
            ) from error
        raise HubError(f"{download.refusal(error, name)} Nothing is half-published.") from error
