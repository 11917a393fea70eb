"""Weights from the Hub and to it: the real client against a Hub on the loopback address."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import TOKEN, Hub, Repo
from huggingface_hub import ModelCard, constants
from huggingface_hub.utils import disable_progress_bars

import app
import denoiser
from denoiser import card, checkpoint, cli, hub, publish
from denoiser.unet import BandUNet, BandUNetConfig

ROOT = Path(__file__).parent.parent
NAME = "me/quiet"
SCORES = {
    "valid": {"pairs": 40, "noisy": {"pesq": 1.25}, "enhanced": {"pesq": 2.5, "new": 0.75}},
    "command": "python -m training.evaluate",
}
disable_progress_bars()
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The client reads HF_ENDPOINT and its cache's place on import: set what it made of them."""
    with Hub().running() as server:
        point_client_to(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def point_client_to(url: str, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def away(server, monkeypatch):
    """A call after which nothing listens where the Hub was."""
    return lambda: point_client_to("http://127.0.0.1:9", monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint as a training run leaves it, with a card that a person has worked on."""
    folder = tmp_path_factory.mktemp("runs") / "band"
    torch.manual_seed(0)
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), folder)
    (folder / "metrics.json").write_text(json.dumps(SCORES))
    (folder / "state.safetensors").write_bytes(b"to resume from")
    (folder / "README.md").write_text(
        "---\nlicense: mit\ndatasets:\n- me/voices\n---\n# Old\n\nOld.\n\n"
        "## Training\n\nSix hours on *two* cores.\n\n## Licence\n\nOld.\n"
    )
    return folder


@pytest.fixture
def repo(server, folder):
    """The checkpoint on the Hub, beside files that nobody needs."""
    repo = server.repos[("models", NAME)] = Repo(NAME)
    names = ("config.json", "model.safetensors", "README.md")
    files = {name: (folder / name).read_bytes() for name in names}
    repo.commit(files | {"state.safetensors": b"huge", "pytorch_model.bin": b"pickle"})
    return repo


def output(source) -> np.ndarray:
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32)
    return denoiser.denoise(denoiser.load(source, "cpu"), wave, 16000)


def refusal(call, *args, **options) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(checkpoint.CheckpointError) as error:
        call(*args, **options)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# ---- fetch


def test_only_what_is_needed_is_fetched_and_gives_the_same_output(server, repo, folder):
    fetched, notice = hub.fetch(NAME)
    assert notice is None
    assert sorted(path.name for path in fetched.iterdir()) == sorted(hub.WANTED)
    assert server.asked("state|pytorch_model") == []
    np.testing.assert_array_equal(output(NAME), output(folder))


def test_what_is_cached_is_not_fetched_again(server, repo):
    first, _ = hub.fetch(NAME)
    server.requests.clear()
    assert hub.fetch(NAME) == (first, None)
    assert [request[0] for request in server.requests] == [f"GET /api/models/{NAME}/revision/main"]


def test_a_new_commit_is_fetched_and_a_pinned_one_stays(server, repo):
    (old,) = repo.commits
    first, _ = hub.fetch(f"{NAME}@{old}")
    _, files = repo.files("main")
    new = repo.commit(files | {"README.md": b"new"})
    assert hub.fetch(f"{NAME}@main")[0].name == new
    assert hub.fetch(f"{NAME}@{old}") == (first, None)
    assert first.name == old


def test_a_pinned_commit_needs_no_network_once_cached(server, repo, away):
    (commit,) = repo.commits
    first = hub.fetch(f"{NAME}@{commit}")
    asked = len(server.requests)
    away()
    assert hub.fetch(f"{NAME}@{commit}") == first
    assert len(server.requests) == asked


def test_without_the_hub_the_cached_copy_is_used_and_said_so(server, repo, away, caplog):
    before, _ = output(NAME), away()
    caplog.clear()
    np.testing.assert_array_equal(output(NAME), before)
    (said,) = caplog.messages
    (commit,) = repo.commits
    assert "cannot be reached" in said
    assert f"The copy of {NAME} in the cache is used, commit {commit[:8]}." in said


def test_with_neither_hub_nor_cache_one_sentence_in_time(server, away):
    away()
    begun = time.monotonic()
    assert "The Hugging Face Hub cannot be reached" in refusal(hub.fetch, NAME)
    assert time.monotonic() - begun < 2


def test_a_hub_that_hangs_is_given_up_in_time(server, repo, monkeypatch, caplog):
    assert hub.DECISION_SECONDS < 10
    monkeypatch.setattr(hub, "DECISION_SECONDS", 2.5)
    server.faults["GET /api"] = ["hang"]
    begun = time.monotonic()
    assert "cannot be reached" in refusal(hub.fetch, NAME)
    assert time.monotonic() - begun < 3.5
    assert caplog.messages == ["Waiting for the Hugging Face Hub, 2 s at most."]


def test_a_folder_wins_over_a_name_on_the_hub(server, repo, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.fetch(Path(NAME)) == (Path(NAME), None)
    Path("me").mkdir()
    Path(NAME).symlink_to(folder)
    assert hub.fetch(NAME) == (Path(NAME), None)
    assert server.requests == []


def test_an_interrupted_download_goes_on_where_it_was(server, repo, folder, monkeypatch):
    piece = 2**16  # the client keeps whole pieces of 10 MiB: what is smaller it begins again
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", piece)
    server.faults["GET .*model.safetensors"] = ["cut"]
    fetched, _ = hub.fetch(NAME)
    whole = (folder / "model.safetensors").read_bytes()
    assert (fetched / "model.safetensors").read_bytes() == whole
    ranges = [asked[1] for asked in server.asked("GET .*model.safetensors")]
    assert ranges == [None, f"bytes={len(whole) // 2 // piece * piece}-"]


def test_a_download_that_breaks_off_leaves_the_older_copy_in_use(server, repo, monkeypatch):
    first, _ = hub.fetch(NAME)
    _, files = repo.files("main")
    repo.commit(files | {"model.safetensors": files["model.safetensors"] + b"more"})
    monkeypatch.setattr(hub, "DOWNLOAD_SECONDS", 0.5)
    server.faults["GET .*model.safetensors"] = ["hang"]
    folder, notice = hub.fetch(NAME)
    assert folder == first
    assert "in the cache is used" in notice


def test_weights_with_a_wrong_byte_are_refused_and_not_kept(server, repo, folder):
    server.faults["GET .*model.safetensors"] = ["flip"]
    assert "was damaged" in refusal(hub.fetch, NAME)
    np.testing.assert_array_equal(output(NAME), output(folder))


def test_weights_cut_short_on_the_hub_are_refused(server, repo):
    _, files = repo.files("main")
    repo.commit(files | {"model.safetensors": files["model.safetensors"][:999]})
    assert "model.safetensors cannot be read" in refusal(denoiser.load, NAME)


def test_a_config_that_does_not_fit_is_refused_before_weights_are_fetched(server, repo):
    _, files = repo.files("main")
    repo.commit(files | {"config.json": b'{"model": "Wave"}'})
    assert "names the model 'Wave': known are BandUNet" in refusal(hub.fetch, NAME)
    assert server.asked("model.safetensors") == []


@pytest.mark.parametrize("file", hub.NEEDED)
def test_a_repository_without_a_needed_file(server, repo, file):
    _, files = repo.files("main")
    del files[file]
    repo.commit(files)
    assert refusal(hub.fetch, NAME) == f"{NAME}@main on the Hub holds no {file}: choose another."


@pytest.mark.parametrize(
    ("source", "status", "sentence"),
    [
        ("me/nothing", None, "me/nothing is no folder here, and no model on the Hub that you may"),
        (f"{NAME}@v9", None, f"{NAME} on the Hub has no revision v9: check it."),
        (NAME, 403, f"{NAME} is open only to those who accepted its terms: do so on its page"),
        (NAME, 401, f"The Hub refuses your token for {NAME} (401): log in with `hf auth login`"),
        (NAME, 429, "The Hub takes no more requests for now (429): try again in minutes."),
        (NAME, 503, "The Hugging Face Hub cannot be reached (Server error '503"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(server, repo, source, status, sentence):
    if status:
        server.faults["GET /api/models"] = [status]
    assert sentence in refusal(hub.fetch, source)


def test_a_busy_hub_is_no_reason_not_to_work(server, repo):
    first, _ = hub.fetch(NAME)
    server.faults["GET /api/models"] = [429]
    folder, notice = hub.fetch(NAME)
    assert folder == first
    assert "(429)" in notice


def test_the_page_falls_back_to_its_own_weights_and_says_so(server, away, folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "DEFAULT", folder)
    away()
    model, notice = app._load(NAME, "cpu")
    assert model.config.channels == 16
    assert f"This page runs with the weights that it came with, not with {NAME}." in notice
    texts = [block.value for block in app.build(model, notice).blocks.values() if
             block.elem_id == "notice"]  # fmt: skip
    assert texts == [f"**Please note.** {notice}"]


def test_the_environment_names_the_model_of_page_and_command_line(monkeypatch):
    monkeypatch.setenv("DENOISER_MODEL", "me/quiet@v1")
    assert app._arguments([]).model == "me/quiet@v1"
    assert cli._parser().parse_args(["denoise", "a.wav"]).model == "me/quiet@v1"
    assert app._arguments(["--model", "runs/mine"]).model == "runs/mine"


# ---- publish


def test_what_is_published_is_what_is_fetched(server, folder):
    done = publish.publish(folder, NAME)
    repo = server.repos[("models", NAME)]
    commit = repo.branches["main"]
    assert done == f"{server.url}/{NAME} is published: commit {commit}"
    assert len(repo.commits) == 2  # the one that made it, and ours
    assert sorted(repo.commits[commit]) == [
        ".gitattributes",
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    assert {asked[2] for asked in server.asked(" /api/")} == {f"Bearer {TOKEN}"}
    assert {asked[2] for asked in server.asked("PUT /large")} == {None}
    np.testing.assert_array_equal(output(NAME), output(folder))


def test_ten_megabytes_there_and_back_take_less_than_five_seconds(server, tmp_path):
    """And once cached, weights from the Hub cost less than a second more than a folder's."""
    config = BandUNetConfig(channels=512)  # 11 MB
    checkpoint.save(BandUNet(config), tmp_path / "large")
    assert (tmp_path / "large" / "model.safetensors").stat().st_size > 10_000_000
    start = time.monotonic()
    publish.publish(tmp_path / "large", "me/large")
    hub.fetch("me/large")
    assert time.monotonic() - start < 5
    taken = []
    for source in (tmp_path / "large", "me/large"):
        start = time.monotonic()
        denoiser.load(source, "cpu")
        taken.append(time.monotonic() - start)
    assert taken[1] < taken[0] + 1


def test_publishing_again_changes_nothing(server, folder):
    publish.publish(folder, NAME)
    repo = server.repos[("models", NAME)]
    before = dict(repo.branches)
    assert "was already published, nothing has changed: commit" in publish.publish(folder, NAME)
    assert repo.branches == before
    assert len(server.asked("POST .*/commit/")) == 1


def test_a_branch_and_a_private_repository(server, folder):
    publish.publish(folder, NAME, private=True, revision="try")
    repo = server.repos[("models", NAME)]
    assert repo.private
    assert list(repo.commits[repo.branches["main"]]) == [".gitattributes"]
    assert hub.fetch(f"{NAME}@try")[0].name == repo.branches["try"]


def test_private_never_ends_in_a_public_repository(server, repo, folder):
    assert "exists and is public" in refusal(publish.publish, folder, NAME, private=True)
    assert len(repo.commits) == 1


def test_a_dry_run_sends_nothing(server, folder, capsys):
    assert cli.main(["publish", str(folder), NAME, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out
    assert "state.safetensors" not in out
    assert f"4 files for the model {NAME}. Nothing was sent." in out
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "token", "sentence"),
    [
        ("you/quiet", TOKEN, "Your token may not write to you/quiet: you must be you or an"),
        (NAME, "hf_wrong", "The Hub does not know this token"),
        (NAME, "", "Publishing needs a token that may write"),
        ("quiet", TOKEN, "quiet is no name on the Hub: give owner/name."),
    ],
)
def test_who_may_not_publish_is_told_so(server, folder, name, token, sentence, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", token)
    assert cli.main(["publish", str(folder), name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert not server.repos


@pytest.mark.parametrize("where", ["PUT /large", "POST .*/commit/"])
def test_a_line_that_drops_half_way_leaves_nothing_half_published(
    server, folder, where, monkeypatch
):
    monkeypatch.setattr(publish, "UPLOAD_SECONDS", 1)
    server.faults[where] = ["hang"]
    assert "Nothing is half-published." in refusal(publish.publish, folder, NAME)
    repo = server.repos[("models", NAME)]
    assert list(repo.commits[repo.branches["main"]]) == [".gitattributes"]


@pytest.mark.parametrize(
    "arguments", [[], ["runs/band"], ["runs/band", NAME, "--space", NAME], ["--revision", "try"]]
)
def test_wrong_arguments_are_told_the_two_forms(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["publish", *arguments])
    assert end.value.code == 2
    assert "give FOLDER and OWNER/NAME, or only --space OWNER/NAME" in capsys.readouterr().err


def test_what_cannot_be_loaded_is_not_published(server, tmp_path):
    assert "No checkpoint at" in refusal(publish.publish, tmp_path / "none", NAME)
    assert server.requests == []


def test_the_space_becomes_the_tracked_files(server):
    space = server.repos[("spaces", NAME)] = Repo(NAME)
    space.commit({".gitattributes": b"theirs", "old.py": b"gone"})
    publish.publish_space(NAME)
    _, files = space.files("main")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(files) == set(tracked.split())
    assert files[".gitattributes"] == b"theirs"
    assert files["app.py"] == (ROOT / "app.py").read_bytes()
    assert "nothing has changed" in publish.publish_space(NAME)


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


# ---- the card


def test_the_card_says_what_config_and_metrics_say(folder):
    text = card.text(folder, "me/quiet")
    about = ModelCard(text).data
    assert (about.license, about.datasets) == ("mit", ["me/voices"])
    assert about.pipeline_tag == "audio-to-audio"
    scores = {(r.dataset_type, r.metric_type): r.metric_value for r in about.eval_results}
    assert scores == {("valid", "pesq"): 2.5, ("valid", "new"): 0.75}
    parameters = sum(weight.numel() for weight in denoiser.load(folder).parameters())
    assert f"{parameters:,} parameters" in text
    assert "| valid (40) | noisy | 1.250 |  |\n|  | enhanced | 2.500 | 0.750 |\n" in text
    for use in ('denoiser.load("me/quiet")', "--model me/quiet", "python app.py --model me/quiet"):
        assert use in text


def test_the_card_keeps_what_a_person_wrote(folder):
    text = card.text(folder)
    assert text.count("## Training\n\nSix hours on *two* cores.\n\n## Licence\n\nMIT") == 1
    assert "Old" not in text


@pytest.mark.parametrize("folder", sorted((ROOT / "checkpoints").iterdir()), ids=lambda f: f.name)
def test_the_committed_card_is_the_one_that_is_generated(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    committed = (folder / "README.md").read_text(encoding="utf-8")
    name = f"checkpoints/{folder.name}"
    assert committed == card.text(name), f"run: python -m denoiser.card {name}"
    assert "## Training" in committed
