"""Exporting a causal model to one ONNX file, for hosts without PyTorch and for browsers.

The graph processes one frame, from spectrum to spectrum:

    spectrum (1, 1, hop + 1, 2)  real and imaginary parts of the frame's bins
    silent   (1, 1)              whether both its hops are silent: then the states do not change
    state_*                      recurrent states, all zero before a recording
    -> enhanced (1, 1, hop + 1, 2), next_state_* in the order of the states

A frame is two hops with a square-root Hann window (periodic); frames overlap by one hop.
"""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from denoiser import checkpoint, hops
from denoiser.errors import CheckpointError, needing
from denoiser.files import StrPath, replacing
from denoiser.models import BandUNet

HOPS = 200  # length of the test of a new file
TOLERANCE = 1e-4  # largest difference of a sample


class Frame(nn.Module):
    """One frame of a causal BandUNet, without the transforms around it."""

    def __init__(self, model: BandUNet):
        super().__init__()
        self.model = model

    def forward(self, spectrum: Tensor, silent: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """The graph described above; the first state is 1 - the gains of the previous frame."""
        mask, gains, carried = self.model.masks(spectrum, list(states[1:]), 1, silent)
        mask, gains, near = self.model.post_filtered(mask, gains, 1 - states[0])
        return (_masked(spectrum, mask, gains @ self.model.bands.T), 1 - near, *carried)


def _masked(spectrum: Tensor, mask: Tensor, gains: Tensor) -> Tensor:
    """Applies the complex mask below and the real gains above, without complex numbers."""
    low, high = spectrum.split((mask.shape[2], gains.shape[2]), 2)
    (re, im), (mask_re, mask_im) = low.unbind(-1), mask.unbind(-1)
    low = torch.stack((re * mask_re - im * mask_im, re * mask_im + im * mask_re), -1)
    return torch.cat((low, high * gains[..., None]), 2)


def export(folder: StrPath, target: StrPath) -> Path:
    """Exports the causal model of a checkpoint folder to an ONNX file, which is then tested.

    Raises CheckpointError if the model is not causal or the file's output differs from the model's,
    and MissingExtra without the extra `export`.
    """
    folder, target = Path(folder), Path(target)
    model = checkpoint.load(folder, "cpu")
    if not isinstance(model, BandUNet) or not model.config.causal:
        raise CheckpointError(f"{folder} contains no causal model: use one such as band-live.")
    about = {
        "format": hops.FORMAT,
        "sample_rate": str(model.config.sample_rate),
        "hop_length": str(model.config.hop_length),
        "delay": str(model.delay),
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "license": _licence(folder / "README.md"),
    }
    program = _program(model)
    _simplify(program.model)
    program.model.metadata_props.update(about)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        program.save(temporary)
        error = difference(model, hops.load(temporary))
        if not error < TOLERANCE:
            raise CheckpointError(f"The export differs from {folder} by {error:.1e}: not written.")
    return target


def _program(model: BandUNet) -> Any:
    """The graph, made by PyTorch's exporter."""
    with needing("export"):
        import onnxscript  # noqa: F401  needed by the exporter
    _, _, *states = model.initial_state(torch.zeros(1, 1))
    names = [f"state_{number}" for number in range(len(states))]
    spectrum = torch.zeros(1, 1, model.config.hop_length + 1, 2)
    silent = torch.zeros(1, 1, dtype=torch.bool)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about optional packages
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            Frame(model).eval(),
            (spectrum, silent, *states),
            dynamo=True,
            verbose=False,
            optimize=False,
            input_names=["spectrum", "silent", *names],
            output_names=["enhanced", *(f"next_{name}" for name in names)],
        )


def _simplify(graph: Any) -> None:
    """Folds constants, and removes the exporter's notes about its work and this machine.

    The rest of onnxscript's optimizer goes too far: it rounds the floor of a power, 1e-10, to 0,
    and silence becomes NaN.
    """
    from onnxscript import optimizer

    optimizer.fold_constants(graph)
    optimizer.remove_unused_nodes(graph)
    for node in graph.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()
                value.doc_string = None
    graph.graph.metadata_props.clear()
    graph.metadata_props.clear()


def _licence(card: Path) -> str:
    """The licence named in a model card."""
    named = re.search(r"^license: (\S+)", card.read_text("utf-8") if card.exists() else "", re.M)
    return named[1] if named else "unknown"


def difference(model: BandUNet, exported: hops.Exported) -> float:
    """The largest difference of a sample over HOPS hops of noise at all levels, and silence."""
    hop, rng = model.config.hop_length, np.random.default_rng(0)
    levels = 10 ** (rng.uniform(-90, 0, (HOPS, 1)) / 20) * (rng.random((HOPS, 1)) < 0.8)
    levels[HOPS // 2 : HOPS // 2 + 5] = 0
    wave = (levels * rng.standard_normal((HOPS, hop)).clip(-1, 1)).astype(np.float32)
    wave = wave.reshape(1, -1)
    out = np.concatenate(list(hops.Hops(exported, 1).push(wave)), axis=1)
    with torch.inference_mode():
        expected, _ = model.run(torch.from_numpy(wave), model.initial_state(torch.zeros(1, 1)))
    return float(np.abs(out - expected.numpy()[:, model.delay :]).max())  # NaN if any sample is
