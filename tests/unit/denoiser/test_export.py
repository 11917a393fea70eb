"""A causal model as an ONNX file: it does what the model does, without PyTorch."""

import contextlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from toy import TINY

from denoiser import audio, checkpoint, export, hops
from denoiser.cli import main
from denoiser.errors import CheckpointError
from denoiser.models import BandUNet, band
from denoiser.stream import Stream

pytestmark = pytest.mark.long  # PyTorch takes seconds for an export
ROOT = Path(__file__).parents[3]
LIVE = ROOT / "checkpoints" / "band-live"


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The file that `denoiser export` made, in a folder that was not there, and what it printed."""
    target = tmp_path_factory.mktemp("export") / "new" / "live.onnx"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["export", str(LIVE), "-o", str(target)]) == 0
    return target, printed.getvalue()


@pytest.fixture(scope="module")
def exported(command):
    return command[0]


def test_the_file_is_named_on_stdout(command):
    target, printed = command
    assert printed == f"{target}\n"


def test_a_stream_of_the_file_is_the_stream_of_the_model(exported):
    noisy = audio.read(ROOT / "samples" / "noisy" / "air_conditioner.flac")[0][:, :96000]
    outputs = []
    for model in (LIVE, exported):
        stream = Stream(model)
        outputs.append(np.concatenate([stream.push(noisy), stream.flush()], axis=1))
    assert np.abs(outputs[0]).max() > 0.1
    assert np.abs(outputs[1] - outputs[0]).max() < 1e-5


def test_silence_leaves_its_states_as_they_are(exported):
    """So that a word after a long pause is enhanced as one before it."""
    model = hops.load(exported)
    running = hops.Hops(model, 1)
    noise = np.random.default_rng(0).normal(0, 0.05, (1, 10 * 768)).astype(np.float32)
    list(running.push(noise))
    list(running.push(np.zeros((1, 768), np.float32)))  # its frame still holds noise
    before = running.states[0]
    list(running.push(np.zeros((1, 50 * 768), np.float32)))
    for name in list(before)[1:]:  # the first is of the filter after the network
        assert np.array_equal(before[name], running.states[0][name])


def test_the_file_says_what_it_is_and_nothing_of_the_machine_it_was_made_on(exported):
    content = exported.read_bytes()
    about = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    digest = about.pop("weights_sha256")
    assert len(digest) == 64
    assert about == {
        "format": "1",
        "sample_rate": "48000",
        "hop_length": "768",
        "delay": "768",
        "license": "mit",
    }
    assert len(content) < 2_000_000
    assert b".py" not in content


def test_it_needs_no_pytorch(exported):
    code = (
        "import sys, numpy, denoiser\n"
        f"stream = denoiser.Stream({str(exported)!r}, 44100, 2)\n"
        "stream.push(numpy.zeros((2, 44100), numpy.float32))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    """As PyTorch's older exporter made them: states of zeros."""

    def forgetful(self, spectrum, silent, *states):
        enhanced, *carried = original(self, spectrum, silent, *states)
        return enhanced, *(0 * state for state in carried)

    small = BandUNet(replace(TINY.model, causal=True))
    for recurrence in small.recurrences:
        torch.nn.init.ones_(recurrence.out.norm.weight)  # a fresh block changes nothing
    checkpoint.save(small, tmp_path / "small")
    original = export.Frame.forward
    monkeypatch.setattr(export.Frame, "forward", forgetful)
    with pytest.raises(CheckpointError, match=r"differs from .* not written"):
        export.export(tmp_path / "small", tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_what_cannot_be_exported_or_read_is_refused_in_a_sentence(tmp_path, exported):
    with pytest.raises(CheckpointError, match="contains no causal model"):
        export.export(ROOT / "checkpoints" / "band", tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="cannot be read"):
        hops.load(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", ["", "text", "half"])
def test_a_damaged_file_is_called_so(tmp_path, exported, content):
    whole = exported.read_bytes()
    path = tmp_path / "damaged.onnx"
    path.write_bytes({"": b"", "text": b"a mask", "half": whole[: len(whole) // 2]}[content])
    with pytest.raises(CheckpointError, match=r"damaged\.onnx is not an ONNX file, or it is dam"):
        hops.load(path)


@pytest.mark.parametrize("missing", ["format", "delay"])
def test_a_model_from_elsewhere_is_refused(tmp_path, exported, missing):
    stranger = onnx.load(exported)
    kept = [entry for entry in stranger.metadata_props if entry.key != missing]
    del stranger.metadata_props[:]
    stranger.metadata_props.extend(kept)
    onnx.save(stranger, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match=r"other\.onnx was not made by `denoiser export`"):
        hops.load(tmp_path / "other.onnx")


def test_silence_is_what_the_model_takes_for_it():
    assert hops.SILENT_POWER == band.SILENT_POWER
