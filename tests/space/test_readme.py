"""What README, docs, cards and scripts say about files, commands, options and scores is so."""

import contextlib
import importlib
import io
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import denoiser
from denoiser.hub import card
from evaluation import tables
from training.recipes import RECIPES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LISTED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
).stdout.split()
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in LISTED if name[-3:] == ".md"}
# Whose commands are to be typed today; log, lineage and changes keep those of their day
CURRENT = [name for name in TEXTS if name != "CHANGELOG.md" and not name.startswith("research/")]
SCRIPTS = [name for name in LISTED if name.startswith("runs/")]
COMMAND = re.compile(
    r"(?:python -m (?P<module>(?:denoiser|training|evaluation|research)[\w.]*)"
    r"|python (?P<app>app)\.py"
    r"|(?<![\w/-])denoiser(?= (?:denoise|plot|publish) ))(?P<rest>[^\n]*)"
)
MODULES = {"denoiser": "denoiser.cli", "training.evaluate": "evaluation.cli"}
MODULES["research.overfitting"] = "research.overfitting.__main__"


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Module and words of every command in code blocks and inline code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
    lines = re.sub(r"\\\n\s*", " ", "\n".join(blocks + inline))
    return [
        (found["app"] or found["module"] or "denoiser", found["rest"].split("#")[0].split())
        for found in COMMAND.finditer(lines)
    ]


@cache
def options(module: str, command: str = "") -> frozenset[str]:
    """The long options in the --help of a module's main."""
    main = importlib.import_module(MODULES.get(module, module)).main
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    return frozenset(re.findall(r"--[a-z][a-z-]*", out.getvalue()))


def known(module: str, words: list[str]) -> frozenset[str]:
    return options(module, words[0] if module == "denoiser" and words else "")


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_map_names_every_room():
    block = re.search(r"```\n(app\.py.*?)```", README, re.DOTALL).group(1)
    named = {line.split()[0].rstrip("/") for line in block.splitlines()}
    rooms = {str(Path(file).parent) for file in LISTED if file.endswith(".py")} - {"."}
    rooms = {room for room in rooms if not room.startswith(("tests/", "research/"))}
    assert len(rooms) > 10
    assert rooms <= named
    assert all((ROOT / name).exists() for name in named)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\((?!http)([^)\s]+)\)", TEXTS[name])
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), link


def test_cards_have_no_links_that_the_hub_does_not_know():
    for folder in (ROOT / "checkpoints").iterdir():
        assert re.findall(r"\]\((?!http)", (folder / "README.md").read_text("utf-8")) == []


@pytest.mark.parametrize("name", [name for name in CURRENT if commands(TEXTS[name])])
def test_commands_have_the_options_they_are_shown_with(name):
    for module, words in commands(TEXTS[name]):
        for word in words:
            if word.startswith("--"):
                assert word in known(module, words), (module, word)
        if "--recipe" in words:
            assert words[words.index("--recipe") + 1] in RECIPES


@pytest.mark.parametrize("name", CURRENT)
def test_options_named_alone_exist(name):
    every = frozenset(
        option
        for module in ("app", "training.train", "training.evaluate", "evaluation.unusual")
        for option in options(module)
    ).union(*(options("denoiser", command) for command in ("denoise", "publish")))
    for option in re.findall(r"`(--[a-z-]+)[ `]", TEXTS[name]):
        assert option in every, option


def test_targets_of_make_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = {name for text in TEXTS.values() for name in re.findall(r"`make ([a-z-]+)", text)}
    blocks = re.findall(r"^make ([a-z-]+)", README + TEXTS["CONTRIBUTING.md"], re.MULTILINE)
    assert {"app", "test", "test-fast", "samples"} <= named | set(blocks) <= set(targets)


def test_scripts_have_options_and_recipes_that_exist():
    modules = ("training.train", "training.evaluate", "training.weights.average")
    every = frozenset().union(*map(options, modules))
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in SCRIPTS)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", code)) <= every
    recipes = re.findall(r"^run \S+ (\S+) ", code, re.MULTILINE)
    assert len(recipes) == 8
    assert set(recipes) <= set(RECIPES)
    for name in SCRIPTS:
        subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_scores_are_those_of_the_metrics_files():
    results = {
        name: json.loads((ROOT / f"checkpoints/{name}/metrics.json").read_text())
        for name in ("band", "band-live")
    }
    assert card.scores_table(results["band"]) in README
    evaluation = TEXTS["docs/evaluation.md"]
    assert all(tables.table(result) in evaluation for result in results.values())
    assert tables.breakdown(results["band"], "by_snr") in evaluation


def test_limits_in_the_docs_are_those_of_the_code():
    from denoiser.audio import sandbox
    from page import fetch, layout, loading, run, session

    for name in ("docs/page.md", "SECURITY.md"):
        text = " ".join(TEXTS[name].split())
        size = f"at most {fetch.MOST_BYTES / 1e6:.0f} MB"
        assert re.search(rf"{size}( that arrives within| and) {fetch.MOST_SECONDS:.0f} s", text)
        assert f"{sandbox.MEMORY_BYTES >> 30} GiB" in text
        assert f"{sandbox.STALLED_SECONDS} s" in text
        assert f"{session.KEPT_MINUTES} minutes at the latest" in text
    assert run.LONG_SECONDS == 600  # "longer than ten minutes"
    assert loading.LOADED == 4  # "at most four models"
    assert f"up to {layout.PLACES} requests" in " ".join(TEXTS["docs/page.md"].split())


def test_the_size_named_first_is_that_of_the_weights():
    weights = ROOT / "checkpoints/band/model.safetensors"
    count = sum(p.numel() for p in denoiser.load(weights.parent, "cpu").parameters())
    assert f"UNet (48 kHz, {count:,} parameters, {weights.stat().st_size / 1e6:.1f} MB)" in README


def test_the_readme_is_short():
    assert len(README.split()) <= 1200


def test_the_first_program_does_what_it_says(tmp_path, monkeypatch):
    program = re.search(r"^```python\n(.*?)```", README, re.MULTILINE | re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    denoiser.write("talk.mp3", noise, 16000)
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    wave, rate = denoiser.read("talk_denoised.wav")
    assert (rate, len(wave)) == (16000, 2)
    assert np.square(wave).mean() < np.square(noise).mean() / 100  # noise is 20 dB quieter


def test_the_space_installs_the_gradio_that_its_front_matter_names():
    about = (ROOT / "page/space.yaml").read_text(encoding="utf-8")
    version = re.search(r"^sdk_version: (\S+)$", about, re.MULTILINE).group(1)
    assert f"gradio=={version}" in (ROOT / "requirements.txt").read_text()


def test_the_citation_names_the_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {denoiser.__version__}\n" in citation


def test_the_table_of_cost_has_the_rows_that_are_measured():
    source = (ROOT / "evaluation/cost.py").read_text()
    rows = re.findall(r'^        "([^"]+)": ', source, re.MULTILINE)
    assert len(rows) == 7
    assert all(f"| {row} | " in TEXTS["docs/evaluation.md"] for row in rows)
