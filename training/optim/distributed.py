"""Ranks from torchrun's environment: start, average, stop. One process when there is none."""

import os

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: torch.device) -> tuple[int, int, torch.device]:
    """Join the group that torchrun describes -> rank, world size and this rank's device.

    nccl and a GPU for each rank on CUDA, otherwise gloo.
    """
    if device.type == "cuda":
        if "LOCAL_RANK" in os.environ:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, device
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), dist.get_world_size(), device


def together() -> bool:
    """Whether there are other ranks."""
    return dist.is_initialized() and dist.get_world_size() > 1


def average(tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over the ranks, in one message."""
    if not together():
        return
    message = torch.cat([tensor.flatten().float() for tensor in tensors])
    dist.all_reduce(message)
    message /= dist.get_world_size()
    for tensor, mean in zip(
        tensors, message.split([tensor.numel() for tensor in tensors]), strict=True
    ):
        tensor.copy_(mean.view(tensor.shape))


def mean(value: float, device: torch.device) -> float:
    """The mean of a number over the ranks, whose clocks differ."""
    if not together():
        return value
    message = torch.tensor([value], device=device)
    average([message])
    return float(message)


def agree(values: tuple[bool, ...], device: torch.device) -> list[bool]:
    """Each value true on every rank as soon as it is true on one."""
    if not together():
        return list(values)
    flags = torch.tensor(values, dtype=torch.float32, device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return [bool(flag) for flag in flags.tolist()]


def stop() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()
