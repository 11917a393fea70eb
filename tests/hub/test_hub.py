"""Weights from the Hub and to it: the real client against a Hub on the loopback address."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_fixtures import NAME, output, refusal
from hub_server import TOKEN
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars

import app
import denoiser
from denoiser import cli
from denoiser.hub import download

ROOT = Path(__file__).parents[2]
disable_progress_bars()
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's


def test_only_what_is_needed_is_fetched_and_gives_the_same_output(server, repo, folder):
    fetched, notice = download.fetch(NAME)
    assert notice is None
    assert sorted(path.name for path in fetched.iterdir()) == sorted(download.WANTED)
    assert server.asked("state|pytorch_model") == []
    np.testing.assert_array_equal(output(NAME), output(folder))


def test_what_is_cached_is_not_fetched_again(server, repo):
    first, _ = download.fetch(NAME)
    server.requests.clear()
    assert download.fetch(NAME) == (first, None)
    assert [request[0] for request in server.requests] == [f"GET /api/models/{NAME}/revision/main"]


def test_a_new_commit_is_fetched_and_a_pinned_one_stays(server, repo):
    (old,) = repo.commits
    first, _ = download.fetch(f"{NAME}@{old}")
    _, files = repo.files("main")
    new = repo.commit(files | {"README.md": b"new"})
    assert download.fetch(f"{NAME}@main")[0].name == new
    assert download.fetch(f"{NAME}@{old}") == (first, None)
    assert first.name == old


def test_a_pinned_commit_needs_no_network_once_cached(server, repo, away):
    (commit,) = repo.commits
    first = download.fetch(f"{NAME}@{commit}")
    asked = len(server.requests)
    away()
    assert download.fetch(f"{NAME}@{commit}") == first
    assert len(server.requests) == asked


def test_without_the_hub_the_cached_copy_is_used_and_said_so(server, repo, away, caplog):
    before, _ = output(NAME), away()
    caplog.clear()
    np.testing.assert_array_equal(output(NAME), before)
    (said,) = caplog.messages
    (commit,) = repo.commits
    assert "cannot be reached" in said
    assert f"Using the cached copy of {NAME}, commit {commit[:8]}." in said


def test_with_neither_hub_nor_cache_one_sentence(server, away):
    away()
    assert "The Hugging Face Hub cannot be reached" in refusal(download.fetch, NAME)


def test_a_hub_that_hangs_is_given_up_in_time(server, repo, monkeypatch, caplog):
    assert download.DECISION_SECONDS < 10
    monkeypatch.setattr(download, "DECISION_SECONDS", 2.5)
    server.faults["GET /api"] = ["hang"]  # until the test is over
    assert "cannot be reached" in refusal(download.fetch, NAME)
    assert caplog.messages == ["Waiting for the Hugging Face Hub, 2 s at most."]


def test_a_folder_wins_over_a_name_on_the_hub(server, repo, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert download.fetch(Path(NAME)) == (Path(NAME), None)
    Path("me").mkdir()
    Path(NAME).symlink_to(folder)
    assert download.fetch(NAME) == (Path(NAME), None)
    assert server.requests == []


def test_an_interrupted_download_goes_on_where_it_was(server, repo, folder, monkeypatch):
    piece = 2**16  # the client keeps whole pieces of 10 MiB: what is smaller it begins again
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", piece)
    server.faults["GET .*model.safetensors"] = ["cut"]
    fetched, _ = download.fetch(NAME)
    whole = (folder / "model.safetensors").read_bytes()
    assert (fetched / "model.safetensors").read_bytes() == whole
    ranges = [asked[1] for asked in server.asked("GET .*model.safetensors")]
    assert ranges == [None, f"bytes={len(whole) // 2 // piece * piece}-"]


def test_a_download_that_breaks_off_leaves_the_older_copy_in_use(server, repo, monkeypatch):
    first, _ = download.fetch(NAME)
    _, files = repo.files("main")
    repo.commit(files | {"model.safetensors": files["model.safetensors"] + b"more"})
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS", 0.5)
    server.faults["GET .*model.safetensors"] = ["hang"]
    folder, notice = download.fetch(NAME)
    assert folder == first
    assert "Using the cached copy" in notice


def test_weights_with_a_wrong_byte_are_refused_and_not_kept(server, repo, folder):
    server.faults["GET .*model.safetensors"] = ["flip"]
    assert "was damaged" in refusal(download.fetch, NAME)
    np.testing.assert_array_equal(output(NAME), output(folder))


def test_weights_cut_short_on_the_hub_are_refused(server, repo):
    _, files = repo.files("main")
    repo.commit(files | {"model.safetensors": files["model.safetensors"][:999]})
    assert "model.safetensors cannot be read" in refusal(denoiser.load, NAME)


def test_a_config_that_does_not_fit_is_refused_before_weights_are_fetched(server, repo):
    _, files = repo.files("main")
    repo.commit(files | {"config.json": b'{"model": "Wave"}'})
    assert "has the unknown model 'Wave': known models are BandUNet" in refusal(
        download.fetch, NAME
    )
    assert server.asked("model.safetensors") == []


@pytest.mark.parametrize("size", [{"channels": 2_000_000}, {"bottleneck_blocks": 1_000_000}])
def test_giants_are_refused_before_weights_are_fetched_or_a_model_is_built(server, repo, size):
    _, files = repo.files("main")
    config = json.loads(files["config.json"]) | size
    repo.commit(files | {"config.json": json.dumps(config).encode()})
    said = refusal(download.fetch, NAME)
    assert "is too large" in said or "more than 100 blocks" in said
    assert server.asked("model.safetensors") == []


def test_a_giant_file_is_refused_by_its_size_alone(server, repo, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 10_000)
    assert "is too large" in refusal(download.fetch, NAME)
    assert server.asked("resolve|json$") == []


@pytest.mark.parametrize("file", download.NEEDED)
def test_a_repository_without_a_needed_file(server, repo, file):
    _, files = repo.files("main")
    del files[file]
    repo.commit(files)
    expected = f"{NAME}@main on the Hub has no {file}: choose another."
    assert refusal(download.fetch, NAME) == expected


@pytest.mark.parametrize(
    ("source", "status", "sentence"),
    [
        (
            "me/nothing",
            None,
            "me/nothing is neither a local folder nor a model on the Hub that you",
        ),
        (f"{NAME}@v9", None, f"{NAME} on the Hub has no revision v9: check it."),
        (NAME, 403, f"{NAME} requires that you accept its terms: do so on its page"),
        (NAME, 401, f"The Hub rejected the token in HF_TOKEN for {NAME}: set a valid one, or"),
        (NAME, 429, "The Hub limits requests (429): try again in a few minutes."),
        (NAME, 503, "The Hugging Face Hub cannot be reached (Server error '503"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(server, repo, source, status, sentence):
    if status:
        server.faults["GET /api/models"] = [status]
    assert sentence in refusal(download.fetch, source)


WORDS = ["Invalid username or password.", "Invalid credentials in Authorization header", ""]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("token", ["hf_expired", "hf_ä", "no token at all"])
def test_a_token_that_the_hub_refuses_is_called_that(server, repo, monkeypatch, words, token):
    server.words = words
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(download.TokenRefused) as error:
        download.fetch(NAME)
    assert str(error.value) == (
        f"The Hub rejected the token in HF_TOKEN for {NAME}: set a valid one, or unset it."
    )


def test_a_stored_token_that_the_hub_refuses_is_not_looked_for_in_the_environment(
    server, repo, monkeypatch, tmp_path
):
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "no token").write_text("hf_expired")
    said = refusal(download.fetch, NAME)
    assert said == f"The Hub rejected your token for {NAME}: log in again with `hf auth login`."


@pytest.mark.parametrize("words", WORDS[::2])
def test_without_a_token_a_name_that_nobody_may_read_is_no_fault_of_one(server, monkeypatch, words):
    server.words = words
    monkeypatch.delenv("HF_TOKEN")
    said = refusal(download.fetch, "me/nothing")
    assert said.startswith("me/nothing is neither a local folder nor a model on the Hub that you")


def test_a_token_that_may_not_read_is_called_that(server, repo):
    server.faults["GET /api/models"] = ["forbid"]
    assert "The Hub rejected the token in HF_TOKEN" in refusal(download.fetch, NAME)


def test_an_expired_token_does_not_take_away_what_is_in_the_cache(server, repo, monkeypatch):
    first, _ = download.fetch(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    folder, notice = download.fetch(NAME)
    assert folder == first
    assert notice.startswith("The Hub rejected the token in HF_TOKEN")
    assert "Using the cached copy" in notice


def test_a_busy_hub_is_no_reason_not_to_work(server, repo):
    first, _ = download.fetch(NAME)
    server.faults["GET /api/models"] = [429]
    folder, notice = download.fetch(NAME)
    assert folder == first
    assert "(429)" in notice


def test_the_environment_names_the_model_of_page_and_command_line(monkeypatch):
    monkeypatch.setenv("DENOISER_MODEL", "me/quiet@v1")
    assert app._arguments([]).model == "me/quiet@v1"
    assert cli._parser().parse_args(["denoise", "a.wav"]).model == "me/quiet@v1"
    assert app._arguments(["--model", "runs/mine"]).model == "runs/mine"


def test_a_real_process_finds_all_in_its_environment(server, repo, tmp_path):
    """In a process of its own the client reads HF_ENDPOINT and its cache's place itself."""
    from denoiser import audio

    audio.write(tmp_path / "a.wav", np.full((1, 1600), 0.1, np.float32), 16000)
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "DENOISER_MODEL": NAME,
    }
    command = [sys.executable, "-m", "denoiser", "denoise", str(tmp_path / "a.wav")]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    assert (tmp_path / "a_denoised.wav").exists()
    assert {asked[2] for asked in server.asked(NAME)} == {f"Bearer {TOKEN}"}
