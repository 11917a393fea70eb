"""Recordings kept on a GPU, all of them, and played there: nothing waits for disk or CPU."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.data.cache import RESPONSE, AudioCache, Excerpt
from training.errors import TrainingError


class GpuCache:
    """The recordings of an `AudioCache` as one array of 16 bit samples on a GPU.

    Raises TrainingError in one sentence where they do not fit.
    """

    def __init__(self, store: AudioCache, paths: Sequence[Path], device: torch.device):
        self.device = device
        files = {path: store.file(path) for path in dict.fromkeys(paths)}
        self.starts, self.lengths, self.bandwidths, self.peaks = {}, {}, {}, {}
        total = sum(file.stat().st_size // 2 - 2 for file in files.values())
        try:
            self.samples = torch.empty(total, dtype=torch.int16, device=device)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"The recordings need {total / 2**29:.1f} GiB on the GPU, more than it has: "
                "give fewer, or --device cpu."
            ) from error
        begin = 0
        for path, file in files.items():
            head, wave = np.fromfile(file, "<i4", 1), np.fromfile(file, "<i2", offset=4)
            self.starts[path], self.lengths[path] = begin, len(wave)
            self.bandwidths[path] = int(head[0])
            self.samples[begin : begin + len(wave)] = torch.from_numpy(wave)
            begin += len(wave)

    def read_excerpts(self, excerpts: Sequence[Excerpt], length: int) -> list[Tensor]:
        """Up to `length` samples of each excerpt at its speed."""
        # Its compiler comes with PyTorch for CUDA only
        from training.data import gpu_resample

        rows, counts = [], []
        for path, share, speed in excerpts:
            wanted, samples = math.ceil(length * speed), self.lengths[path]
            begin = int(share * max(samples - wanted, 0))
            heard = min(wanted, samples - begin)
            counts.append(min(length, round(heard / speed)))
            rows.append((self.starts[path] + begin, heard, round(speed * gpu_resample.ONE)))
        if not rows:
            return []
        table = torch.tensor(rows, device=self.device)
        waves = gpu_resample.resample(self.samples, table, length)
        return [wave[:count] for wave, count in zip(waves, counts, strict=True)]

    def bandwidth(self, excerpt: Excerpt) -> float:
        """In Hz, as the excerpt is played."""
        return self.bandwidths[excerpt.path] * excerpt.speed

    def room(self, path: Path) -> Tensor | None:
        """A room response (RESPONSE,); None where the file holds none."""
        begin = self.starts[path]
        wave = self.samples[begin : begin + min(self.lengths[path], 2 * RESPONSE)]
        if path not in self.peaks:
            known = wave.cpu().numpy().astype(np.int32)
            self.peaks[path] = int(np.abs(known).argmax()) if known.any() else None
        peak = self.peaks[path]
        if peak is None:
            return None
        response = wave[peak : peak + RESPONSE].float()
        return torch.nn.functional.pad(response / response[0], (0, RESPONSE - len(response)))
