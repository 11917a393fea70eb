"""Saving a model to a folder and loading it: config.json and model.safetensors."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from denoiser import audio
from denoiser.errors import CheckpointError
from denoiser.files import StrPath, replacing
from denoiser.models import MODELS, Network, build

FORMAT = 2  # of config.json; version 1 had no number
RENAMED = {"memories": "state_channels"}  # keys of the first format
_HERE = Path(__file__).parent
# Inside the installed package, or beside it in a source checkout
EMBEDDED = next(
    (path for path in (_HERE / "checkpoints", _HERE.parent / "checkpoints") if path.is_dir()),
    _HERE / "checkpoints",
)
DEFAULT = EMBEDDED / "band"


def save(model: Network, folder: StrPath) -> None:
    """Writes config.json and model.safetensors, each replaced atomically."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": type(model).__name__, "format": FORMAT} | asdict(model.config)
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
        temporary.chmod(0o644)  # safetensors makes it readable by the owner only


def write_text(path: Path, text: str) -> None:
    """Replaces a text file atomically, so that no reader sees a partial file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load(folder: StrPath, device: str = "auto") -> Network:
    """The model in a folder, in eval mode and without gradients.

    `device` "auto" selects CUDA, then MPS, then the CPU. Raises CheckpointError.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"No checkpoint at {folder}: give a folder that contains config.json."
        )
    model = read_config(folder / "config.json")
    path = folder / "model.safetensors"
    try:
        weights = load_file(path)
        model.load_state_dict(weights)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): download it again.") from error
    except RuntimeError as error:
        what = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path} does not fit its config.json: {what}") from error
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise CheckpointError(f"{path} contains NaN or infinite weights: use another checkpoint.")
    return model.to(pick_device(device)).eval().requires_grad_(False)


def read_config(path: Path) -> Network:
    """An untrained model of the shape that config.json describes.

    Missing settings get their defaults, so that older files stay valid; unknown settings and newer
    formats raise CheckpointError.
    """
    name, settings = _settings(path)
    _, kind = MODELS[name]
    known = {field.name: field for field in fields(kind)}
    if unknown := set(settings) - set(known):
        raise CheckpointError(f"{path} has unknown keys: {', '.join(sorted(unknown))}.")
    for key, value in settings.items():
        if not _valid(key, known[key].type, value):
            raise CheckpointError(f"{path} has an invalid {key}: {str(value)[:50]!r}.")
    try:
        return build(kind(**settings))
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, IndexError) as error:
        raise CheckpointError(f"{path} does not describe a valid {name}: {error}.") from error


def _settings(path: Path) -> tuple[str, dict[str, Any]]:
    """The name of the model in a config.json, and its settings under their current names."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): download it again.") from error
    name = settings.pop("model", None) if isinstance(settings, dict) else None
    if not isinstance(name, str) or name not in MODELS:
        raise CheckpointError(
            f"{path} has the unknown model {name!r}: known models are {', '.join(MODELS)}."
        )
    number = settings.pop("format", 1)
    if number not in range(1, FORMAT + 1):
        raise CheckpointError(
            f"{path} has the format {str(number)[:50]!r}; this version reads formats up to "
            f"{FORMAT}: update the program."
        )
    if number == 1:
        settings = {RENAMED.get(key, key): value for key, value in settings.items()}
    return name, settings


def _valid(name: str, kind: type | str, value: object) -> bool:
    """Whether a setting has the right type, and a number lies in a plausible range."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    rates = audio.LOWEST_RATE, audio.HIGHEST_RATE
    low, high = rates if name == "sample_rate" else (0, 1e9)
    return isinstance(value, int if kind is int else int | float) and low <= value <= high


def pick_device(device: str) -> torch.device:
    """The best available device for "auto"; any other name must exist. Raises CheckpointError."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"Device {device!r} is not available: use auto or cpu.") from error
