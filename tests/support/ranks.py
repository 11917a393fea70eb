"""Two ranks that train: python ranks.py PORT FOLDER. One process imports, and forks twice."""

import os
import sys

import torch
from toy import CPU, TOY, batch

from training.losses import band
from training.optim import distributed
from training.trainer import Trainer


def gradients(rank: int, world: int) -> torch.Tensor:
    """Of one rank's part of a global batch of four; batch statistics fixed, as in evaluation."""
    trainer = Trainer(TOY, CPU)
    trainer.model.eval()
    mine = (tensor[rank::world] for tensor in batch())
    band.band_objective(trainer.model, *mine)["loss"].backward()
    gradients = [p.grad for p in trainer.model.parameters()]
    distributed.average(gradients)
    return torch.cat([g.flatten() for g in gradients])


def run(rank: int, port: str, folder: str) -> None:
    """Writes the gradients of a rank to folder/rank."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    torch.set_num_threads(1)
    assert distributed.start(CPU) == (rank, 2, CPU)
    torch.save(gradients(rank, 2), f"{folder}/{rank}")
    distributed.stop()
    os._exit(0)  # gloo's threads abort one in twenty interpreters that end in order


if __name__ == "__main__":
    torch.multiprocessing.start_processes(
        run, (sys.argv[1], sys.argv[2]), nprocs=2, start_method="fork"
    )
