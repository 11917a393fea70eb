"""A checkpoint is kept exactly, and refused by name when it is not whole."""

import json
import subprocess
import sys

import pytest
import torch

import denoiser
from denoiser import checkpoint
from denoiser.models.band import BandUNet, BandUNetConfig


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    checkpoint.save(BandUNet(BandUNetConfig(channels=16, causal=True)), tmp_path / "model")
    return tmp_path / "model"


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


def test_what_is_saved_is_loaded(folder):
    torch.manual_seed(0)
    original, loaded = BandUNet(BandUNetConfig(channels=16, causal=True)), denoiser.load(folder)
    wave = torch.randn(1, 5000)
    assert loaded.config == original.config
    assert torch.equal(loaded.cpu()(wave), original.eval()(wave))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": 1}, "unknown keys: colour"),
        ({"model": "Wave"}, "has the unknown model 'Wave': known models are BandUNet"),
        ({"channels": 32}, "does not fit its config.json"),
        ({"channels": "many"}, "has an invalid channels: 'many'"),
        ({"channels": True}, "has an invalid channels"),
        ({"causal": "no"}, "has an invalid causal"),
        ({"post_filter": float("nan")}, "has an invalid post_filter"),
        ({"sample_rate": 10**9}, "has an invalid sample_rate"),
        ({"backward_seconds": 100}, "backward_seconds is not between 0 and 10"),
        ({"low_bins": 769}, "does not describe a valid BandUNet"),
    ],
)
def test_a_wrong_config_is_refused_by_name(folder, changes, sentence):
    edit(folder, **changes)
    with pytest.raises(checkpoint.CheckpointError, match=sentence):
        denoiser.load(folder)


def test_settings_that_are_not_named_have_their_defaults(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["stride"]
    (folder / "config.json").write_text(json.dumps(config))
    assert denoiser.load(folder).config.stride == BandUNetConfig.stride


def test_the_first_format_is_read_by_the_names_it_had(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["format"]
    config["memories"] = config.pop("state_channels")
    (folder / "config.json").write_text(json.dumps(config))
    assert denoiser.load(folder).config.state_channels == BandUNetConfig.state_channels


@pytest.mark.parametrize("number", [3, 0, "2", None])
def test_a_format_to_come_is_refused(folder, number):
    edit(folder, format=number)
    with pytest.raises(checkpoint.CheckpointError, match="this version reads formats up to 2"):
        denoiser.load(folder)


def test_truncated_weights_are_refused_by_name(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(checkpoint.CheckpointError, match=r"model\.safetensors cannot be read"):
        denoiser.load(folder)


def test_weights_that_are_not_numbers_are_refused_by_name(folder):
    model = denoiser.load(folder, "cpu")
    model.decode.bias[0] = float("nan")
    checkpoint.save(model, folder)
    with pytest.raises(checkpoint.CheckpointError, match=r"safetensors contains NaN or infinite"):
        denoiser.load(folder)


def test_broken_json_and_missing_folder_are_sentences(folder, tmp_path):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(checkpoint.CheckpointError, match=r"config\.json cannot be read"):
        denoiser.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(checkpoint.CheckpointError, match=r"config\.json cannot be read"):
        denoiser.load(folder)
    with pytest.raises(checkpoint.CheckpointError, match="No checkpoint at .*nowhere"):
        denoiser.load(tmp_path / "nowhere")


def test_an_unknown_device_is_a_sentence(folder):
    with pytest.raises(checkpoint.CheckpointError, match="'abacus' is not available"):
        denoiser.load(folder, device="abacus")


def test_importing_does_nothing():
    """No output and no thread, and the heavy parts wait until they are used."""
    code = (
        "import sys, threading, denoiser; assert threading.active_count() == 1;"
        "heavy = ('torch', 'av', 'training', 'matplotlib', 'librosa', 'gradio');"
        "print([name for name in heavy if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")
