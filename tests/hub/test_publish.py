"""Weights and pages to the Hub: the real client against a Hub on the loopback address."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hub_fixtures import NAME, output, refusal
from hub_server import TOKEN, Repo
from huggingface_hub import ModelCard, SpaceCard
from huggingface_hub.utils import disable_progress_bars

import denoiser
from denoiser import cli
from denoiser.hub import card, download, publish

ROOT = Path(__file__).parents[2]
disable_progress_bars()
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's


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


def test_publishing_again_changes_nothing(server, folder):
    publish.publish(folder, NAME)
    repo = server.repos[("models", NAME)]
    before = dict(repo.branches)
    assert "is already published, nothing has changed: commit" in publish.publish(folder, NAME)
    assert repo.branches == before
    assert len(server.asked("POST .*/commit/")) == 1


def test_a_branch_and_a_private_repository(server, folder):
    publish.publish(folder, NAME, private=True, revision="try")
    repo = server.repos[("models", NAME)]
    assert repo.private
    assert list(repo.commits[repo.branches["main"]]) == [".gitattributes"]
    assert download.fetch(f"{NAME}@try")[0].name == repo.branches["try"]


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
        ("you/quiet", TOKEN, "Your token has no write access to you/quiet: you must be you or an"),
        (NAME, "hf_wrong", f"The Hub rejected the token in HF_TOKEN for {NAME}: set a valid one"),
        (NAME, "hf_ä", f"The Hub rejected the token in HF_TOKEN for {NAME}: set a valid one"),
        (NAME, "", "Publishing needs a token with write access"),
        ("quiet", TOKEN, "quiet is not a name on the Hub: give owner/name."),
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
    "arguments",
    [
        [],
        ["a"],
        ["a", NAME, "--space", NAME],
        ["--revision", "b"],
        ["a", NAME, "--model", NAME],
        ["a", NAME, "--static"],
        ["--space", NAME, "--static", "--model", NAME],
    ],
)
def test_wrong_arguments_are_told_the_two_forms(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["publish", *arguments])
    assert end.value.code == 2
    assert "give FOLDER and OWNER/NAME, or only --space OWNER/NAME, and" in capsys.readouterr().err


def test_what_cannot_be_loaded_is_not_published(server, tmp_path):
    assert "No checkpoint at" in refusal(publish.publish, tmp_path / "none", NAME)
    assert server.requests == []


def test_the_space_becomes_the_page_and_nothing_else(server):
    space = server.repos[("spaces", NAME)] = Repo(NAME)
    space.commit({".gitattributes": b"theirs", "old.py": b"gone"})
    publish.publish_space(NAME)
    _, files = space.files("main")
    assert files.pop(".gitattributes") == b"theirs"
    assert files == publish.space_files()
    assert files["app.py"] == (ROOT / "app.py").read_bytes()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    live = {path for path in files if path.startswith("web/site/")}
    assert {"web/site/index.html", "web/site/model/model.json"} <= live
    assert set(files) - live <= set(tracked.split())
    assert {path.split("/")[0] for path in set(files) - live} == {
        *("app.py", "checkpoints", "denoiser", "page", "samples"),
        *("README.md", "LICENSE", "requirements.txt"),
    }
    assert {f"samples/{kind}/rain.flac" for kind in ("noisy", "clean")} <= set(files)
    assert sum(map(len, files.values())) < 14_000_000
    assert "nothing has changed" in publish.publish_space(NAME)


def test_the_site_becomes_a_static_space(server):
    assert cli.main(["publish", "--space", NAME, "--static"]) == 0
    _, files = server.repos[("spaces", NAME)].files("main")
    about = SpaceCard(files["README.md"].decode()).data
    assert (about.sdk, about.app_file) == ("static", "index.html")
    assert {"index.html", "runtime/ort.mjs", "model/model.onnx.gz"} <= set(files)
    assert sum(map(len, files.values())) < 5_200_000


def test_a_space_runs_the_weights_on_the_hub_that_it_was_given(server, repo):
    """It names their commit of today, for the Hub's page, for its build and for app.py."""
    assert cli.main(["publish", "--space", "me/page", "--model", NAME]) == 0
    commit, _ = repo.files("main")
    space = server.repos[("spaces", "me/page")]
    _, files = space.files("main")
    about = SpaceCard(files["README.md"].decode())
    assert about.data.models == [NAME]
    wanted = f"{NAME} config.json,model.safetensors,README.md {commit}"
    assert about.data.preload_from_hub == [wanted]
    plain = SpaceCard(publish.space_files()["README.md"].decode())
    assert about.data.sdk_version == plain.data.sdk_version
    assert files["README.md"].endswith((ROOT / "README.md").read_bytes()[-2000:])
    assert space.variables == {"DENOISER_MODEL": f"{NAME}@{commit}"}
    for model, sentence in (("me/none", "a model on the Hub that"), ("tests", "give owner/name")):
        assert sentence in refusal(publish.publish_space, "me/other", model=model)
    assert ("spaces", "me/other") not in server.repos


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
    assert "| set |  | PESQ-WB |\n|---|---|---|\n| valid (40) | noisy | 1.250 |\n" in text
    assert "\n|  | enhanced | 2.500 |\n" in text
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
    assert committed == card.text(name), f"run: python -m denoiser.hub.card {name}"
    assert "## Training" in committed
