"""ClassicUNet: a UNet that treats the log spectrogram as an image, 16 kHz, waveform to waveform.

The spectrogram in decibels becomes an image with values from 0 to 1, the network estimates the
clean image, and the noisy phase turns it back into sound. Shapes: B recordings, N frames, F bins, C
channels, T samples.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser.models.stft import STFT

AMIN, TOP_DB = 1e-5, 80.0  # smallest amplitude and range of librosa.amplitude_to_db
State = tuple[Tensor, ...]


@dataclass(frozen=True)
class ClassicUNetConfig:
    """The settings that determine a ClassicUNet's shape; saved beside its weights."""

    sample_rate: int = 16000  # Hz: nothing above 8 kHz
    hop_length: int = 255  # samples; the window is twice as long, the image has 256 rows
    channels: int = 24  # of the first downsampling block; each further one doubles them
    depth: int = 4  # downsampling blocks
    dropout: float = 0.2
    context: int = 64  # frames before and after a chunk: more than the receptive field


class Block(nn.Module):
    """4 x 4 convolution with a stride of 2, batch normalisation, dropout, ReLU.

    (B, C_in, F, N) -> (B, C_out, F / 2, N / 2), or transposed, with `up`, to (.., 2 F, 2 N). The
    kernel is stored as a matrix, which Muon orthogonalises.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, up: bool = False):
        super().__init__()
        self.shape = (inputs, outputs, 4, 4) if up else (outputs, inputs, 4, 4)
        self.convolve = F.conv_transpose2d if up else F.conv2d
        self.weight = nn.Parameter(torch.empty(self.shape[0], self.shape[1] * 16))
        nn.init.normal_(self.weight, std=(inputs * (4 if up else 16)) ** -0.5)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolve(x, self.weight.view(self.shape), stride=2, padding=1)
        return self.dropout(self.norm(x)).relu()


class ClassicUNet(nn.Module):
    """Noisy waveform -> enhanced waveform, (B, T) -> (B, T), by estimating its log spectrogram.

    The values 0 and 1 of an image are the lowest and the highest level of the NOISY recording, and
    the clean target is clipped to the same range. So the range for denormalising is known exactly.
    In consecutive runs it is that of everything up to the current run.
    """

    def __init__(self, config: ClassicUNetConfig):
        super().__init__()
        self.config = config
        self.stft = STFT(config.hop_length)
        sizes = [config.channels * 2**n for n in range(config.depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for n, (inputs, outputs) in enumerate(zip((1, *sizes), sizes, strict=False)):
            dropout = config.dropout if n == config.depth - 1 else 0.0
            beside = 0 if n == config.depth - 1 else outputs  # skip connection
            back = max(inputs, sizes[0] // 2)
            self.down.append(Block(inputs, outputs, dropout))
            self.up.insert(0, Block(outputs + beside, back, dropout, up=True))
        self.paint = nn.Conv2d(sizes[0] // 2 + 1, 1, 3, padding=1)

    @property
    def delay(self) -> int:
        """Samples by which the output of `run` lags its input."""
        return self.config.hop_length

    @property
    def lookahead(self) -> int:
        """Samples of look-ahead with which `run` matches a run over the whole recording."""
        return self.config.context * self.config.hop_length

    def forward(self, noisy: Tensor) -> Tensor:
        """noisy (B, T) at config.sample_rate -> enhanced (B, T), any T of at least 1."""
        length, hop = noisy.shape[1], self.config.hop_length
        padded = F.pad(noisy, (0, -length % hop + hop))
        return self.run(padded, self.initial_state(noisy))[0][:, hop : hop + length]

    def initial_state(self, like: Tensor) -> State:
        """The state before a recording; batch size, device and dtype are those of `like` (B, T)."""
        hops = (like.new_zeros(len(like), self.config.hop_length) for _ in range(2))
        least, most = (like.new_full((len(like), 1, 1), end) for end in (math.inf, -math.inf))
        return (*hops, least, most)

    def run(self, noisy: Tensor, state: State, lookahead: int = 0) -> tuple[Tensor, State]:
        """Enhances K hops after `state`, of which the last `lookahead` serve as look-ahead only.

        noisy (B, K * hop) -> enhanced (B, (K - lookahead) * hop), one hop late, and the state after
        hop K - lookahead: the most recent input, the open half frame, and the range of levels.
        """
        past, tail, least, most = state
        hop = self.config.hop_length
        heard = torch.cat((past, noisy), 1)
        spectrum = self.stft.analyse(heard[:, hop:], heard[:, :hop])  # (B, N, F, 2)
        before, keep = past.shape[1] // hop - 1, noisy.shape[1] // hop - lookahead
        magnitude = spectrum.square().sum(-1).clamp(min=AMIN**2).sqrt()
        noisy_db = decibel(magnitude)
        least, most = level_range(noisy_db, least, most)
        picture = self.logits(normalise(noisy_db, least, most)).float().sigmoid()
        gain = amplitude(denormalise(picture, least, most)) / magnitude
        enhanced = (spectrum * gain[..., None])[:, before : before + keep]
        wave, tail = self.stft.synthesise(enhanced.contiguous(), tail)
        # Strides form a grid of 2^depth frames: the context starts on it, as the recording did
        frames, raster = before + keep, 2**self.config.depth
        context = min(frames, self.config.context + frames % raster)
        heard = heard[:, (frames - context) * hop : (frames + 1) * hop]
        return wave, (heard, tail, least, most)

    def logits(self, picture: Tensor) -> Tensor:
        """The UNet: noisy image (B, N, F), 0 to 1 -> logits of the clean image."""
        raster, (frames, bins) = 2 ** len(self.down), picture.shape[1:]
        x = F.pad(picture, (0, -bins % raster, 0, -frames % raster))[:, None]
        x = x.transpose(2, 3).contiguous(memory_format=torch.channels_last)  # (B, 1, F, N)
        skips = [x]
        for block in self.down:
            skips.append(block(skips[-1]))
        y = skips.pop()
        for block in self.up:
            y = torch.cat((block(y), skips.pop()), 1)
        return self.paint(y)[:, 0].transpose(1, 2)[:, :frames, :bins]


def decibel(magnitude: Tensor) -> Tensor:
    """librosa.amplitude_to_db of magnitudes (ref=1), without its limit TOP_DB below the top."""
    return 20 * magnitude.clamp(min=AMIN).log10()


def level_range(db: Tensor, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (B, N, F) and the range (B, 1, 1) so far -> the updated range, at most TOP_DB wide."""
    most = torch.maximum(most, db.amax((1, 2), keepdim=True))
    least = torch.minimum(least, db.amin((1, 2), keepdim=True))
    return torch.maximum(least, most - TOP_DB), most


def normalise(db: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """Levels -> 0 to 1, clipped to the range."""
    return ((db - least) / (most - least).clamp(min=1e-3)).clamp(0, 1)


def denormalise(picture: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """The inverse of `normalise`."""
    return least + picture * (most - least)


def amplitude(db: Tensor) -> Tensor:
    """librosa.db_to_amplitude."""
    return 10 ** (db / 20)
