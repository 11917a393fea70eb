"""All that changes while a model is trained, and one step of it."""

import copy
import ctypes
from contextlib import suppress

import torch
from torch import Tensor

from denoiser import checkpoint
from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.models.layers import Mixer, Recurrence, ResidualBlock
from denoiser.models.scan import KERNELS
from training.data.augment import FRAME
from training.data.cache import SAMPLE_RATE
from training.errors import TrainingError
from training.losses import OBJECTIVES
from training.losses.discriminator import DISCRIMINATOR_RATE, Discriminator
from training.optim import distributed
from training.optim.cuda_graph import CudaGraph
from training.optim.muon import Muon
from training.recipes import Recipe
from training.weights.grow import transfer_weights


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, instead of giving it back to the kernel.

    A step on a CPU allocates and frees gigabytes; faulting the pages in again was 13 % of it.
    Nothing happens where the library is not glibc.
    """
    trim_threshold, mmap_max = -1, -4  # from malloc.h
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)


def precision(device: torch.device) -> torch.autocast:
    """Context in which matrices are multiplied in 16 bit, where the device can.

    A CPU without AVX-512 only emulates that: a step in 32 bit is a dozen times faster there.
    """
    able = device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.autocast(device.type, torch.bfloat16, enabled=able)


def _check_rate(config: BandUNetConfig) -> None:
    """Refuse a model at another rate than the mixtures, or with another frame than PESQ's loss."""
    if (config.sample_rate, config.hop_length) != (SAMPLE_RATE, FRAME):
        raise TrainingError(
            f"Mixtures are made at {SAMPLE_RATE} Hz and losses in hops of {FRAME} samples: this "
            f"recipe's model has {config.sample_rate} Hz and {config.hop_length}."
        )


class Trainer:
    """All that changes during a run: weights, their moving average, optimisers, step."""

    def __init__(self, recipe: Recipe, device: torch.device):
        if isinstance(recipe.model, BandUNetConfig):
            _check_rate(recipe.model)
        torch.manual_seed(recipe.seed)
        on_gpu = KERNELS and device.type == "cuda"
        self.recipe, self.device, self.step = recipe, device, 0
        self.model = checkpoint.build(recipe.model).to(device).train()
        self.objective = OBJECTIVES[type(self.model)]
        self.discriminator = Discriminator().to(device) if recipe.adversarial else None
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        # Muon orthogonalises matrices; kernels are held as such. One-dimensional and positional
        # parameters are AdamW's.
        parameters = list(self.model.parameters())
        matrices = [p for p in parameters if p.ndim == 2]
        rest = [p for p in parameters if p.ndim != 2]
        rate = torch.zeros((), device=device) if on_gpu else 0.0  # a recorded step reads it
        self.optimisers = {
            "muon": Muon(matrices, rate),
            "adamw": torch.optim.AdamW(rest, rate, weight_decay=0, capturable=on_gpu),
        }
        if self.discriminator:
            self.optimisers["adam"] = torch.optim.Adam(
                self.discriminator.parameters(),
                DISCRIMINATOR_RATE,
                betas=(0.5, 0.99),
                capturable=on_gpu,
            )
        self.ema_weight = torch.zeros((), device=device)  # of the weights in their average, a step
        self._learn = self._learned
        if on_gpu:
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        if on_gpu and isinstance(self.model, BandUNet) and not distributed.together():
            for module in self.model.modules():
                if isinstance(module, ResidualBlock | Recurrence | Mixer):
                    module.compile(dynamic=False)
            self._learn = CudaGraph(self._learned)

    def warm_start(self, other: torch.nn.Module) -> list[str]:
        """Start from another model's weights; returns the names of those that it has not."""
        fits = transfer_weights(self.model, other)
        for model in (self.model, self.average):
            model.load_state_dict(model.state_dict() | fits)
        return [name for name in self.model.state_dict() if name not in fits]

    def learn(
        self, noisy: Tensor, clean: Tensor, bandwidth_hz: Tensor, lift: Tensor, rate: float
    ) -> dict:
        """One step on a batch, at `rate` times the recipe's learning rate; returns the losses."""
        self.prepare(rate)
        return self._learn(noisy, clean, bandwidth_hz, lift)

    def _learned(self, *batch: Tensor) -> dict:
        losses = self.losses(*batch)
        self.backward(losses)
        self.update()
        return {name: value.detach() for name, value in losses.items()}

    def prepare(self, rate: float) -> None:
        """Count a step, and set the rates with which `update` will take it."""
        self.step += 1
        rate *= self.recipe.learning_rate * min(1.0, self.step / self.recipe.warmup_steps)
        for name, optimiser in self.optimisers.items():
            if name != "adam":  # the discriminator's keeps its own rate
                for group in optimiser.param_groups:
                    if isinstance(group["lr"], Tensor):
                        group["lr"].fill_(rate)
                    else:
                        group["lr"] = rate
        self.ema_weight.fill_(
            max(1 - self.recipe.ema_decay, 10 / (self.step + 10))
        )  # early on, a larger one

    def losses(self, noisy: Tensor, clean: Tensor, bandwidth_hz: Tensor, lift: Tensor) -> dict:
        """What the model makes of a batch, and how far it is from what it should."""
        judged = {"discriminator": self.discriminator} if self.discriminator else {}
        with precision(self.device):
            return self.objective(self.model, noisy, clean, bandwidth_hz, lift, **judged)

    def backward(self, losses: dict) -> None:
        """Gradients of the model and of its discriminator."""
        loss = losses["loss"]
        if self.discriminator:  # both sides share its run, and each learns from its own loss
            losses["discriminator"].backward(
                inputs=list(self.discriminator.parameters()), retain_graph=True
            )
            loss = loss + self.recipe.adversarial * losses["adversarial"]
        loss.backward(inputs=list(self.model.parameters()))

    def update(self) -> None:
        """Average gradients over ranks, clip the model's, step all optimisers, move the average."""
        parameters = list(self.model.parameters())
        judged = list(self.discriminator.parameters()) if self.discriminator else []
        distributed.average([p.grad for p in parameters + judged])
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip_gradient)
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for own, current in zip(self.average.parameters(), parameters, strict=True):
                own.lerp_(current, self.ema_weight)

    def sync_buffers(self) -> None:
        """Bring the ranks' batch statistics together and give them to the averaged model."""
        buffers = [b for b in self.model.buffers() if b.is_floating_point()]
        distributed.average(buffers)
        for target, source in zip(self.average.buffers(), self.model.buffers(), strict=True):
            target.copy_(source)

    def _models(self) -> dict[str, torch.nn.Module]:
        models = {"model": self.model, "average": self.average}
        return models | ({"discriminator": self.discriminator} if self.discriminator else {})

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as named tensors."""
        tensors = {"step": torch.tensor(self.step)}
        for prefix, model in self._models().items():
            tensors |= {f"{prefix}/{k}": v.contiguous() for k, v in model.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            for index, values in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{k}": v.contiguous() for k, v in values.items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo `state`."""
        self.step = int(tensors["step"])
        split = [(key.split("/"), value) for key, value in tensors.items()]
        for prefix, model in self._models().items():
            model.load_state_dict({key[1]: v for key, v in split if key[0] == prefix})
        for name, optimiser in self.optimisers.items():
            saved = optimiser.state_dict()
            for key, value in split:
                if key[0] == name:
                    saved["state"].setdefault(int(key[1]), {})[key[2]] = value
            optimiser.load_state_dict(saved)
