"""What the README says about files and commands is so."""

import re
import subprocess
from pathlib import Path

import pytest

import denoiser
from evaluation import cli, tables
from training import train

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_map_names_every_room():
    block = re.search(r"```\n(app\.py.*?)```", README, re.DOTALL).group(1)
    named = {line.split()[0].rstrip("/") for line in block.splitlines()}
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True)
    rooms = {str(Path(file).parent) for file in listed.stdout.split()} - {"."}
    rooms = {room for room in rooms if not room.startswith(("tests/", "research/"))}
    assert len(rooms) > 10
    assert rooms <= named
    assert all((ROOT / name).exists() for name in named)


@pytest.mark.parametrize("name", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("command", [train.main, cli.main])
def test_options_named_in_the_readme_exist(command, capsys):
    with pytest.raises(SystemExit):
        command(["--help"])
    text = capsys.readouterr().out
    for option in re.findall(rf"{command.__module__}[^`]*", README):
        for flag in re.findall(r"--[a-z-]+", option.split("app.py")[0]):
            assert flag in text, flag


def test_scores_in_the_readme_are_those_of_the_metrics_file():
    import json

    results = json.loads((ROOT / "checkpoints/band/metrics.json").read_text())
    assert tables.table(results) in README


def test_the_size_named_first_is_that_of_the_weights():
    weights = ROOT / "checkpoints/band/model.safetensors"
    count = sum(p.numel() for p in denoiser.load(weights.parent, "cpu").parameters())
    assert f"UNet (48 kHz, {count:,} parameters, {weights.stat().st_size / 1e6:.1f} MB)" in README


def test_the_space_installs_the_gradio_that_its_front_matter_names():
    about = (ROOT / "page/space.yaml").read_text(encoding="utf-8")
    version = re.search(r"^sdk_version: (\S+)$", about, re.MULTILINE).group(1)
    assert f"gradio=={version}" in (ROOT / "requirements.txt").read_text()


def test_the_speed_table_in_the_readme_has_the_rows_that_are_measured():
    source = (ROOT / "evaluation/cost.py").read_text()
    rows = re.findall(r'^        "([^"]+)": ', source, re.MULTILINE)
    assert len(rows) == 7
    assert all(f"| {row} | " in README for row in rows)
