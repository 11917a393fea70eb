"""The loop learns, stops, goes on and spreads over ranks as if nothing had happened."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import until
from toy import CPU, TINY, TOY, weights, write_corpus

import denoiser
from denoiser import checkpoint
from denoiser.models.band import BandUNet
from training import train, validation
from training.data import batching
from training.data.sources import find_sources
from training.errors import TrainingError
from training.losses import distillation
from training.recipes import RECIPES
from training.run import Run, read_log
from training.trainer import Trainer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root)
    return root


@pytest.fixture
def sources(corpus, monkeypatch):
    monkeypatch.setattr(validation, "ITEMS", 1)
    return find_sources([corpus / "clean"], [corpus / "noise"], [])


@pytest.mark.parametrize("adversarial", [0, 0.1])
def test_a_resumed_run_equals_an_uninterrupted_one(sources, tmp_path, adversarial):
    settings, recipe = {"minutes": 60, "decay": 0}, replace(TOY, adversarial=adversarial)
    whole = train.train(recipe, sources, tmp_path / "whole", steps=6, **settings)
    train.train(recipe, sources, tmp_path / "parts", steps=3, **settings)
    parts = train.train(recipe, sources, tmp_path / "parts", steps=6, resume=True, **settings)
    assert parts.step == whole.step == 6
    assert (weights(parts) - weights(whole)).abs().max() < 1e-5
    saved = [denoiser.load(tmp_path / name, "cpu").state_dict() for name in ("whole", "parts")]
    for name, tensor in saved[0].items():
        assert (tensor - saved[1][name]).abs().max() < 1e-5, name
    steps = [line.split(",")[0] for line in (tmp_path / "parts/log.csv").read_text().split()]
    assert steps == ["step", "3", "6"]
    assert (tmp_path / "parts/curves.png").stat().st_size > 1000


def test_a_run_of_an_earlier_version_goes_on_where_it_was(sources, tmp_path, monkeypatch):
    """tests/data/run was committed after its third step: the fourth hears mixtures 12 to 15."""
    heard, sample = [], batching.sample

    def sampled(sources, config, seed, index):
        heard.append(index)
        return sample(sources, config, seed, index)

    monkeypatch.setattr(batching, "sample", sampled)
    monkeypatch.setattr(train, "validate_model", lambda *_: {})
    run = shutil.copytree(ROOT / "tests/data/run", tmp_path / "run")
    first = denoiser.load(run, "cpu")
    settings = {"minutes": 60, "decay": 0, "resume": True}
    trainer = train.train(TINY, sources, run, steps=4, **settings)
    assert trainer.step == 4
    assert heard == [12, 13, 14, 15]
    counts = {int(each["step"]) for each in trainer.optimisers["adamw"].state.values()}
    assert counts == {4}
    assert [row["step"] for row in read_log(run)] == [3, 4]
    last = denoiser.load(run, "cpu")
    moved = (last.decode.weight - first.decode.weight).norm() / first.decode.weight.norm()
    assert 0 < moved < 0.1


def test_recordings_that_cannot_be_read_are_counted_in_the_log_and_named(sources, tmp_path, capsys):
    (tmp_path / "letter.wav").write_text("This is no sound.")
    kept = replace(sources[0], clean=[*sources[0].clean, tmp_path / "letter.wav"])
    train.train(TOY, (kept, sources[1]), tmp_path / "run", minutes=60, steps=6)
    header, row = (tmp_path / "run/log.csv").read_text().split()
    assert dict(zip(header.split(","), row.split(","), strict=True))["unreadable"] == "1"
    out, err = capsys.readouterr()
    assert "  unreadable recordings: 1" in out.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Not read and taken for silence")
    assert err.splitlines()[-1].endswith(f"1 of the recordings, {tmp_path / 'letter.wav'}.")


def test_a_run_goes_on_with_another_post_filter(sources, tmp_path):
    settings = {"minutes": 60, "decay": 0}
    train.train(TOY, sources, tmp_path, steps=2, **settings)
    other = replace(TOY, model=replace(TOY.model, post_filter=0.9))
    assert train.train(other, sources, tmp_path, steps=3, resume=True, **settings).step == 3


def test_the_weights_of_every_validation_are_kept(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "validate_model", lambda *_: {})
    train.train(TOY, sources, tmp_path / "short", minutes=60, steps=1, keep=True)
    assert (tmp_path / "short/step-1/model.safetensors").exists()  # the one at the end, too
    recipe, out = replace(TOY, validate_minutes=0), tmp_path / "run"
    train.train(recipe, sources, out, minutes=60, steps=2, keep=True)
    first, second, last = (
        denoiser.load(folder, "cpu").decode.weight
        for folder in (out / "step-1", out / "step-2", out)
    )
    assert not torch.equal(first, second)
    assert torch.equal(second, last)


@pytest.mark.long
def test_a_student_learns_what_its_teacher_makes_of_the_speech(sources, tmp_path):
    """The teacher is silent, so its student lets less through than one that hears clean speech."""
    silent = BandUNet(TOY.model)
    torch.nn.init.zeros_(silent.decode.weight)
    torch.nn.init.zeros_(silent.decode.bias)
    torch.nn.init.constant_(silent.decode_high.bias, -20.0)
    checkpoint.save(silent, tmp_path / "silent")
    assert distillation.load(tmp_path / "silent", CPU).config.post_filter == 0
    recipe, left = replace(TOY, learning_rate=0.02), []
    voice = 0.1 * torch.sin(2 * torch.pi * 300 * torch.arange(48000) / 48000)[None]
    for name, taught_by in (("taught", tmp_path / "silent"), ("alone", None)):
        settings = {"minutes": 60, "steps": 40, "decay": 0, "teacher": taught_by}
        train.train(recipe, sources, tmp_path / name, **settings)
        student = checkpoint.load(tmp_path / name, "cpu")
        left.append(float(student(voice).square().mean() / voice.square().mean()))
    assert left[0] < 0.1 * left[1], left


def test_a_teacher_that_is_no_band_unet_is_refused(sources, tmp_path):
    with pytest.raises(TrainingError, match="classic is no BandUNet"):
        train.train(TOY, sources, tmp_path / "run", minutes=1, teacher=ROOT / "checkpoints/classic")


@pytest.mark.parametrize("limit", [{"minutes": 10}, {"minutes": 60, "steps": 10}])
def test_the_rate_falls_to_nothing_over_the_decay(sources, tmp_path, monkeypatch, limit):
    """By a clock on which everything takes a minute, and by steps."""
    minutes = itertools.count() if limit["minutes"] == 10 else itertools.repeat(0)
    monkeypatch.setattr(Run, "minutes", property(lambda _: next(minutes)))
    monkeypatch.setattr(train, "validate_model", lambda *_: {})
    recipe, rates, learn = replace(TOY, warmup_steps=1), [], Trainer.learn
    monkeypatch.setattr(Trainer, "learn", lambda *batch: rates.append(batch[-1]) or learn(*batch))
    train.train(recipe, sources, tmp_path / "run", decay=0.5, **limit)
    expected = [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert rates == pytest.approx([*expected[1:], 0] if limit["minutes"] == 10 else expected)


@pytest.mark.long
def test_a_terminated_run_is_saved_and_goes_on(corpus, tmp_path, monkeypatch, capsys):
    """Signals as schedulers and terminals send them: exit code 0, and --resume counts on."""
    options = ["--clean", str(corpus / "clean"), "--noise", str(corpus / "noise"), "--decay", "0"]
    options += ["--out", str(tmp_path / "run"), "--steps"]
    program = (
        "import sys; from toy import TOY; from training import train;"
        "train.RECIPES['band'] = TOY; sys.exit(train.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *options, "1000000"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    # The loop has begun when it reads its first recording
    until(lambda: any((tmp_path / "cache").glob("*.s16")) or run.poll() is not None)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGINT)  # torchrun hands on what the terminal has sent already
    first, last = run.communicate()[0].splitlines()
    assert run.returncode == 0
    assert first == "3 recordings of speech, 3 of noise, 0 rooms"
    step = int(last.split()[1])
    monkeypatch.setitem(train.RECIPES, "band", TOY)
    monkeypatch.setattr(train, "validate_model", lambda *_: {})
    assert train.main([*options, str(step + 1), "--resume"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"step {step + 1} ")


def test_fixed_pairs_are_heard_again_and_others_never(sources, tmp_path, monkeypatch):
    heard, sample = [], batching.sample

    def drawn(sources, config, seed, index):
        heard.append((seed, index))
        return sample(sources, config, seed, index)

    monkeypatch.setattr(batching, "sample", drawn)
    train.train(TOY, sources, tmp_path / "run", minutes=60, steps=4, pairs=6, device=CPU)
    trained = [index for seed, index in heard if seed == TOY.seed]
    assert trained == [n % 6 for n in range(16)]


def test_another_seed_hears_other_mixtures_and_keeps_to_them(corpus, tmp_path, monkeypatch):
    heard, sample = {}, batching.sample

    def drawn(sources, config, seed, index):
        mixture = sample(sources, config, seed, index)
        heard.setdefault(seed, set()).add(mixture.level_dbfs)
        return mixture

    monkeypatch.setattr(batching, "sample", drawn)
    monkeypatch.setitem(train.RECIPES, "band", TOY)
    monkeypatch.setattr(train, "validate_model", lambda *_: {})
    folders = ["--clean", str(corpus / "clean"), "--noise", str(corpus / "noise")]
    first, second = ([*folders, "--out", str(tmp_path / name)] for name in ("first", "second"))
    assert train.main([*first, "--steps", "1"]) == 0
    assert train.main([*second, "--steps", "1", "--seed", "2"]) == 0
    assert len(heard[1]) == len(heard[2]) == TOY.batch
    assert heard[1].isdisjoint(heard[2])
    assert train.main([*second, "--steps", "2", "--resume", "--batch", "8"]) == 0
    assert (len(heard[1]), len(heard[2])) == (TOY.batch, 2 * TOY.batch)


def test_a_run_is_not_overwritten_nor_resumed_as_another_model(sources, tmp_path):
    settings = {"minutes": 60, "decay": 0, "steps": 1}
    train.train(TOY, sources, tmp_path / "run", **settings)
    before = (tmp_path / "run/state.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="holds a run: give --resume"):
        train.train(TOY, sources, tmp_path / "run", **settings)
    other = replace(TOY, model=replace(TOY.model, causal=True))
    with pytest.raises(TrainingError, match="is of another model"):
        train.train(other, sources, tmp_path / "run", resume=True, **settings)
    (tmp_path / "run/state.safetensors").write_bytes(before[:1000])
    with pytest.raises(TrainingError, match="state.safetensors cannot be read"):
        train.train(TOY, sources, tmp_path / "run", resume=True, **settings)


def test_a_run_that_had_its_steps_or_belongs_to_another_recipe_is_not_touched(sources, tmp_path):
    settings = {"minutes": 60, "decay": 0, "resume": True}
    train.train(TOY, sources, tmp_path, steps=2, minutes=60)
    before = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="had 0 minutes, 2 steps: ask for more"):
        train.train(TOY, sources, tmp_path, steps=2, **settings)
    with pytest.raises(TrainingError, match="a recipe without a discriminator"):
        train.train(replace(TOY, adversarial=0.1), sources, tmp_path, steps=3, **settings)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "learn", lambda *_: {"loss": torch.tensor(float("nan"))})
    with pytest.raises(TrainingError, match="The loss is no number"):
        train.train(TOY, sources, tmp_path / "run", minutes=0.001)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--minutes", "0"), ("--decay", "1.5"), ("--batch", "0")]
)
def test_settings_out_of_range_are_refused(option, value, capsys):
    with pytest.raises(SystemExit):
        train.main(["--out", "x", option, value])
    assert f"argument {option}: {value} is no" in capsys.readouterr().err


def test_a_run_that_cannot_begin_says_why_before_it_learns(sources, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="file cannot hold a run: file exists"):
        train.train(TOY, sources, tmp_path / "file", minutes=60, steps=1)
    with pytest.raises(TrainingError, match="omit --init"):
        train.train(TOY, sources, tmp_path / "run", minutes=60, resume=True, init=tmp_path)


def test_nothing_to_resume_is_a_sentence(corpus, tmp_path, capsys):
    folders = ["--clean", str(corpus / "clean"), "--noise", str(corpus / "noise")]
    arguments = [*folders, "--out", str(tmp_path / "none"), "--minutes", "1", "--resume"]
    assert train.main(arguments) == 1
    assert capsys.readouterr().err.startswith("Nothing to resume in ")


@pytest.mark.parametrize(
    ("name", "recipe"), [("band", "band-distilled"), ("band-live", "band-live-adversarial")]
)
def test_the_published_models_are_those_of_the_recipes(name, recipe):
    folder = ROOT / "checkpoints" / name
    assert denoiser.load(folder, "cpu").config == RECIPES[recipe].model
