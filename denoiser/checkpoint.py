"""Model <-> folder: config.json and model.safetensors (README.md and metrics.json beside them)."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from denoiser import audio
from denoiser.files import replacing
from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.models.classic import ClassicUNet, ClassicUNetConfig

MODELS = {
    "BandUNet": (BandUNet, BandUNetConfig),
    "ClassicUNet": (ClassicUNet, ClassicUNetConfig),
}
DEFAULT = Path(__file__).parent.parent / "checkpoints" / "band"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the text says which, why and what to do."""


def save(model: torch.nn.Module, folder) -> None:
    """Write config.json and model.safetensors, each under a temporary name first."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": type(model).__name__} | asdict(model.config)
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
        temporary.chmod(0o644)  # safetensors lets only the owner read


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load(folder, device: str = "auto") -> torch.nn.Module:
    """The model in a folder, ready to denoise. device "auto" is CUDA, then MPS, then the CPU.

    Raises CheckpointError in one sentence.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"No checkpoint at {folder}: give a folder that holds config.json.")
    model = read_config(folder / "config.json")
    path = folder / "model.safetensors"
    try:
        weights = load_file(path)
        model.load_state_dict(weights)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch it again.") from error
    except RuntimeError as error:
        what = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} does not fit its config.json: {what}") from error
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise CheckpointError(f"{path} holds weights that are not numbers: take another.")
    return model.to(pick_device(device)).eval().requires_grad_(False)


def build(config) -> torch.nn.Module:
    """An untrained model of the kind that `config` configures."""
    return next(model for model, kind in MODELS.values() if type(config) is kind)(config)


def read_config(path: Path) -> torch.nn.Module:
    """config.json -> an untrained model of that shape."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch it again.") from error
    name = settings.pop("model", None) if isinstance(settings, dict) else None
    if not isinstance(name, str) or name not in MODELS:
        raise CheckpointError(f"{path} names the model {name!r}: known are {', '.join(MODELS)}.")
    _, config = MODELS[name]
    known = {field.name for field in fields(config)}
    for problem, keys in (("unknown", set(settings) - known), ("missing", known - set(settings))):
        if keys:
            raise CheckpointError(f"{path} has {problem} keys: {', '.join(sorted(keys))}.")
    for field in fields(config):
        value = settings[field.name]
        if not _valid(field.name, field.type, value):
            raise CheckpointError(f"{path} has an invalid {field.name}: {str(value)[:50]!r}.")
    try:
        return build(config(**settings))
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, IndexError) as error:
        raise CheckpointError(f"{path} describes no valid {name}: {error}.") from error


def _valid(name: str, kind: type, value) -> bool:
    """Whether a setting has its type, and a number is none that only a mistake could be."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    rates = audio.LOWEST_RATE, audio.HIGHEST_RATE
    low, high = rates if name == "sample_rate" else (0, 1e9)
    return isinstance(value, int if kind is int else int | float) and low <= value <= high


def pick_device(device: str) -> torch.device:
    """ "auto" -> the best device at hand; any other name must exist."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"There is no device {device!r} here: use auto or cpu.") from error
