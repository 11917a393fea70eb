"""A run's folder: the weights so far, the state to go on from, and the log."""

import json
import math
import resource
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from denoiser import checkpoint
from denoiser.files import replacing
from training.errors import TrainingError
from training.recipes import Recipe
from training.trainer import Trainer


@dataclass
class Run:
    """A run's folder, its log, and how long it has been trained."""

    out: Path
    rows: list[dict] = field(default_factory=list)  # of the log, in the order of their steps
    earlier: float = 0.0  # minutes, before this process
    begun: float = field(default_factory=time.monotonic)

    @property
    def minutes(self) -> float:
        """Spent training, over all processes."""
        return self.earlier + (time.monotonic() - self.begun) / 60

    @property
    def state(self) -> Path:
        """The file from which a run goes on."""
        return self.out / "state.safetensors"

    def row(self, trainer: Trainer, losses: list[dict[str, Tensor]], rate: float) -> dict:
        """The log's next row: where the run stands, and the means of the losses since the last.

        Raises TrainingError where the loss is no number.
        """
        means = {
            name: round(float(torch.stack([step[name] for step in losses]).mean()), 5)
            for name in losses[0]
        }
        if not math.isfinite(means["loss"]):
            raise TrainingError(
                f"The loss is no number at step {trainer.step}: {self.out} keeps the state before."
            )
        return {
            "step": trainer.step,
            "minutes": round(self.minutes, 2),
            "hours": round(trainer.step * trainer.recipe.seconds / 3600, 3),
            "rate": round(trainer.recipe.learning_rate * rate, 6),
            **means,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def save(self, trainer: Trainer, row: dict, *, keep: bool = False) -> None:
        """Weights, state and log, to which `row` is added, each replaced in one step.

        With `keep` the weights are also put where no later call replaces them.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self.rows.append(row)
        checkpoint.save(trainer.average, self.out)
        if keep:
            checkpoint.save(trainer.average, self.out / f"step-{trainer.step}")
        about = {
            "minutes": str(self.minutes),
            "seed": str(trainer.recipe.seed),
            "batch": str(trainer.recipe.batch),
            "model": json.dumps(asdict(trainer.recipe.model)),
        }
        with replacing(self.state) as temporary:
            save_file(trainer.state(), temporary, about)
        header = list(dict.fromkeys(key for row in self.rows for key in row))
        lines = [",".join(str(row.get(key, "")) for key in header) for row in self.rows]
        checkpoint.write_text(self.out / "log.csv", "\n".join([",".join(header), *lines, ""]))

    def resume(self, trainer: Trainer) -> None:
        """Go on from what `save` wrote, with the mixtures and the batches it began with."""
        about, tensors = self._read()
        config, theirs = asdict(trainer.recipe.model), json.loads(about["model"])
        theirs.pop("post_filter", None)  # it comes after training
        if config | theirs != config:  # an older state may know fewer settings
            raise TrainingError(f"{self.state} is of another model: give its own --recipe.")
        if any(name.startswith("discriminator/") for name in tensors) != bool(
            trainer.discriminator
        ):
            theirs = "without" if trainer.discriminator else "with"
            raise TrainingError(f"{self.state} is of a recipe {theirs} a discriminator: give it.")
        self.earlier = float(about["minutes"])
        seed = int(about.get("seed", Recipe.seed))  # an older state does not say
        batch = int(about.get("batch", Recipe.batch))
        trainer.recipe = replace(trainer.recipe, seed=seed, batch=batch)
        trainer.restore(tensors)
        with suppress(FileNotFoundError):
            self.rows += [row for row in read_log(self.out) if row["step"] <= trainer.step]

    def _read(self) -> tuple[dict[str, str], dict[str, Tensor]]:
        if not self.state.exists():
            raise TrainingError(f"Nothing to resume in {self.out}: omit --resume.")
        try:
            with safe_open(self.state, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                return file.metadata(), tensors
        except (SafetensorError, OSError) as error:
            raise TrainingError(f"{self.state} cannot be read ({error}).") from error


def read_log(out: Path) -> list[dict]:
    """The rows of a run's log.csv: numbers by the names of their columns; empty cells are left out.

    Raises FileNotFoundError.
    """
    header, *lines = (out / "log.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return [{name: json.loads(cell) for name, cell in row.items() if cell} for row in rows]


def summary(row: dict, speed: float, left: float) -> str:
    """A row of the log as one line; `left` in minutes."""
    text = (
        f"step {row['step']}  loss {row['loss']:.4f}  rate {row['rate']:.2g}"
        f"  {row['hours']:.1f} h heard  {speed:.0f} x real time  {max(left, 0):.0f} min left"
    )
    if row["unreadable"]:
        text += f"  unreadable recordings: {row['unreadable']}"
    if "valid_pesq" in row:
        text += f"  valid: SI-SDR {row['valid_si_sdr']:.2f} dB, PESQ {row['valid_pesq']:.3f}"
    return text
