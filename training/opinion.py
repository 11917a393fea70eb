"""DNSMOS as a loss: what listeners would say of a wave, by the network of Reddy et al. 2022.

The network comes with speechmos, as ONNX and so without a gradient; here are its layers on its own
weights. It ends in a maximum over time, so it takes any length; of a few seconds it says a little
less than of the nine that it was made for, which makes no difference to where it is to be led.
"""

import functools
from pathlib import Path

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from training.store import SAMPLE_RATE

RATE, N_FFT, HOP = 16000, 320, 160
POOLED = (3, 4, 5)  # convolutions that are followed by a maximum of 2 x 2
SCALES = (  # polynomials that bring sig, bak and ovrl to ITU-T P.835's scale, as in speechmos
    (0.0052439, 1.22083953, -0.08397278),
    (-0.39604546, 1.60915514, -0.13166888),
    (0.04602535, 1.11546468, -0.06766283),
)


@functools.cache
def _layers(device: torch.device) -> tuple[Tensor, list, list]:
    """Transform (2, bins, N_FFT), and weight and bias of every convolution and dense layer."""
    import onnx
    import speechmos
    from onnx import numpy_helper

    path = Path(speechmos.__path__[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    graph = onnx.load(str(path)).graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    tensors = {name: torch.tensor(value, device=device) for name, value in held.items()}
    operands = [[tensors[name] for name in node.input if name in tensors] for node in graph.node]
    kinds = [node.op_type for node in graph.node]
    convolutions = [own for own, kind in zip(operands, kinds, strict=True) if kind == "Conv"]
    dense = [
        (own[0].T, operands[n + 1][0])
        for n, (own, kind) in enumerate(zip(operands, kinds, strict=True))
        if kind == "MatMul"
    ]
    transform = torch.stack([own[0][..., 0] for own in convolutions[:2]])
    return transform, convolutions[2:], dense


def opinion(wave: Tensor) -> Tensor:
    """wave (B, T) at 48 kHz -> sig, bak and ovrl (B, 3), 1 to 5."""
    transform, convolutions, dense = _layers(wave.device)
    wave = torchaudio.functional.resample(wave, SAMPLE_RATE, RATE)
    frames = wave.unfold(1, N_FFT, HOP)  # (B, N, N_FFT)
    power = (frames @ transform[0].T).square() + (frames @ transform[1].T).square()
    x = power.clamp(min=1e-12).log10()[:, None].to(memory_format=torch.channels_last)
    for n, (weight, bias) in enumerate(convolutions):
        x = F.conv2d(x, weight, bias, padding=1).relu()
        if n in POOLED:
            x = F.max_pool2d(x, 2)
    x = x.amax((2, 3))
    for n, (weight, bias) in enumerate(dense):
        x = F.linear(x, weight, bias)
        x = x.relu() if n + 1 < len(dense) else x
    scales = torch.tensor(SCALES, device=wave.device).T  # (3 powers, 3 scores)
    return scales[0] + scales[1] * x + scales[2] * x.square()
