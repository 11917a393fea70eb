"""BandUNet: a small UNet over frequency with recurrences over time, 48 kHz, waveform to waveform.

Shapes: B recordings, N frames, F bins or sub-bands, P bottleneck positions, C channels, T samples.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser.models.erb import band_matrix
from denoiser.models.layers import ConvNorm, Mixer, Recurrence, ResidualBlock, exchanged
from denoiser.models.stft import STFT

State = tuple[Tensor, ...]
PIECE = 128  # frames per layer call: they fit into a CPU's cache
SILENT_POWER = 1e-8  # -80 dBFS: frames below it leave the recurrent states as they are
MOST_BLOCKS = 100  # limit, because a downloaded config may contain any number


@dataclass(frozen=True)
class BandUNetConfig:
    """The settings that determine a BandUNet's shape; saved beside its weights."""

    sample_rate: int = 48000  # Hz
    hop_length: int = 768  # samples; the window is twice as long
    low_bins: int = 256  # bins at full resolution: 0 to 8 kHz
    high_bands: int = 64  # ERB bands above them: 8 to 24 kHz
    compression: float = 0.3  # exponent of magnitudes in features and loss
    stride: int = 8  # bins per sub-band; its window covers twice as many
    channels: int = 64  # of each sub-band
    blocks: int = 2  # residual convolutions, in the encoder and in the decoder
    low_positions: int = 28  # bottleneck positions for the sub-bands
    high_positions: int = 4  # bottleneck positions for the high bands
    bottleneck_channels: int = 64
    bottleneck_blocks: int = 6
    state_channels: int = 64  # running means over time, per position and bottleneck block
    causal: bool = False  # True: no recurrence runs backwards in time
    backward_seconds: float = 0.5  # longest time constant of one that does
    post_filter: float = 0.5  # exponent of a gain on residual noise, not used in training

    def __post_init__(self) -> None:
        if max(self.blocks, self.bottleneck_blocks) > MOST_BLOCKS:
            raise ValueError(f"more than {MOST_BLOCKS} blocks")
        most = {"compression": 1, "backward_seconds": 10, "post_filter": 10}
        for name, limit in most.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} is not between 0 and {limit}")


class BandUNet(nn.Module):
    """Noisy waveform -> enhanced waveform, (B, T) -> (B, T), by masking the spectrum.

    Below 8 kHz the network estimates a complex mask per bin, above that a real gain per ERB band.
    `run` is the only implementation: `forward` runs over a whole recording, `step` over one hop.
    """

    bands: Tensor  # (high bins, high bands): the weight of each bin in each band

    def __init__(self, config: BandUNetConfig):
        super().__init__()
        self.config = config
        c, low = config, config.low_bins // config.stride
        bin_hz = torch.arange(c.low_bins, c.hop_length + 1) * (c.sample_rate / 2 / c.hop_length)
        self.register_buffer("bands", band_matrix(bin_hz, c.high_bands), persistent=False)
        self.stft = STFT(c.hop_length)
        self.encode = ConvNorm(3 * 2 * c.stride, c.channels)
        self.encoder = nn.Sequential(*(ResidualBlock(c.channels) for _ in range(c.blocks)))
        self.gather = nn.Parameter(torch.randn(c.low_positions, low) * low**-0.5)
        self.narrow = ConvNorm(c.channels, c.bottleneck_channels)
        self.encode_high = nn.Linear(c.high_bands, c.high_positions * c.bottleneck_channels)
        positions = c.low_positions + c.high_positions
        self.position = nn.Parameter(0.1 * torch.randn(1, positions, c.bottleneck_channels))
        width, count = c.bottleneck_channels, c.bottleneck_blocks
        decay = math.exp(-c.hop_length / c.sample_rate / c.backward_seconds)
        self.recurrences = nn.ModuleList(
            Recurrence(width, c.state_channels, c.causal, decay) for _ in range(count)
        )
        self.mixers = nn.ModuleList(Mixer(positions, width) for _ in range(count))
        self.spread = nn.Parameter(torch.randn(low, c.low_positions) * c.low_positions**-0.5)
        self.widen = ConvNorm(c.bottleneck_channels + c.channels, c.channels)
        self.decoder = nn.Sequential(*(ResidualBlock(c.channels) for _ in range(c.blocks)))
        self.decode = nn.Linear(c.channels, 2 * 2 * c.stride)
        inputs = c.high_positions * c.bottleneck_channels + c.high_bands
        self.decode_high = nn.Linear(inputs, c.high_bands)
        with torch.no_grad():  # an untrained mask is about 1: two windows of a half overlap
            self.decode.weight.mul_(0.1)
            self.decode.bias.copy_(torch.tensor([0.5, 0.0]).repeat(2 * c.stride))
            self.decode_high.bias.fill_(2.0)

    @property
    def delay(self) -> int:
        """Samples by which the output of `run` and `step` lags their input."""
        return self.config.hop_length

    @property
    def lookahead(self) -> int:
        """Samples of look-ahead with which `run` matches a run over the whole recording."""
        c = self.config
        return 0 if c.causal else round(4 * c.backward_seconds * c.sample_rate)

    @property
    def channel_groups(self) -> dict[str, tuple[int, list[tuple[int, ...]]]]:
        """Parameters with several groups of channels in one dimension, for changes of width.

        Name -> that dimension, and for each group the shape into which it unflattens.
        """
        c = self.config
        high = (c.high_positions, c.bottleneck_channels)
        groups: dict[str, tuple[int, list[tuple[int, ...]]]] = {
            "encode_high.weight": (0, [high]),
            "encode_high.bias": (0, [high]),
            "widen.weight": (1, [(c.bottleneck_channels,), (c.channels,)]),
            "decode_high.weight": (1, [high, (c.high_bands,)]),
        }
        for number, recurrence in enumerate(cast(Iterable[Recurrence], self.recurrences)):
            directions: list[tuple[int, ...]] = [(count,) for count in recurrence.directions]
            for name in ("gate.weight", "gate.bias", "candidate.weight"):
                groups[f"recurrences.{number}.{name}"] = (0, directions)
            groups[f"recurrences.{number}.out.weight"] = (1, directions)
        return groups

    def forward(self, noisy: Tensor) -> Tensor:
        """noisy (B, T) at config.sample_rate -> enhanced (B, T), any T of at least 1."""
        length, hop = noisy.shape[1], self.config.hop_length
        padded = F.pad(noisy, (0, -length % hop + hop))
        return self.run(padded, self.initial_state(noisy))[0][:, hop : hop + length]

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """One hop (B, hop) -> the previous hop, enhanced, and the state for the next call.

        Raises ValueError for a model that is not causal.
        """
        if not self.config.causal:
            raise ValueError(
                "only a causal BandUNet can run step by step; this one needs look-ahead"
            )
        return self.run(frame, state)

    def initial_state(self, like: Tensor) -> State:
        """The state before a recording; batch size, device and dtype are those of `like` (B, T)."""
        c, batch = self.config, like.shape[0]
        hops = (like.new_zeros(batch, c.hop_length) for _ in range(2))
        positions = c.low_positions + c.high_positions
        recurrences = cast(Iterable[Recurrence], self.recurrences)
        memory = (like.new_zeros(batch, positions, r.forwards) for r in recurrences)
        return (*hops, like.new_ones(batch, c.low_bins + c.high_bands), *memory)

    def run(self, noisy: Tensor, state: State, lookahead: int = 0) -> tuple[Tensor, State]:
        """Enhances K hops after `state`, of which the last `lookahead` serve as look-ahead only.

        noisy (B, K * hop) -> enhanced (B, (K - lookahead) * hop), one hop late, and the state after
        hop K - lookahead. The state describes the past exactly; the backward recurrences use the
        future as far as `lookahead` reaches. Silence of any length leaves the recurrent states
        unchanged, because it says nothing about the level of the next word. Raises ValueError for
        other lengths.
        """
        past, tail, before, *states = state
        hop = self.config.hop_length
        keep = noisy.shape[1] // hop - lookahead
        if noisy.shape[1] % hop or keep < 1:
            raise ValueError(
                f"expected whole hops of {hop} samples, more than the {lookahead} of look-ahead, "
                f"got {noisy.shape[1]} samples"
            )
        spectrum = self.stft.analyse(noisy, past)
        mask, gains, states = self.masks(spectrum, states, keep, self._silent(noisy, past))
        if not self.training:
            mask, gains, before = self.post_filtered(mask, gains, before)
        wave, tail = self.stft.synthesise(self._masked(spectrum[:, :keep], mask, gains), tail)
        return wave, (noisy[:, (keep - 1) * hop : keep * hop], tail, before, *states)

    def _silent(self, noisy: Tensor, past: Tensor) -> Tensor | None:
        """Mask (B, N) of the silent frames of noisy (B, N * hop) after `past` (B, hop).

        None if there are none; in training always a mask, because the test would wait for the GPU.
        """
        power = torch.cat((past, noisy), 1).unflatten(1, (-1, past.shape[1])).square().mean(2)
        silent = (power[:, 1:] + power[:, :-1]) / 2 < SILENT_POWER
        return silent if self.training or silent.any() else None

    def masks(
        self, spectrum: Tensor, states: list[Tensor], keep: int, silent: Tensor | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """spectrum (B, N, bins, 2) -> mask and gains of its first `keep` frames, and new states.

        The complex mask has the shape (B, keep, low bins, 2); the gains, 0 to 1, (B, keep, high
        bands). Frames with a true `silent` (B, N) leave the recurrent states unchanged.
        """
        size = spectrum.shape[1] if self.training else PIECE
        pieces = spectrum[:, :keep].split(size, 1)
        kept = len(pieces)
        if keep < spectrum.shape[1]:
            pieces += spectrum[:, keep:].split(size, 1)
        held = None
        if silent is not None:
            held = silent[..., None, None].split([piece.shape[1] for piece in pieces], 1)
        encoded, *skips = zip(*(self._encoded(piece) for piece in pieces), strict=True)
        x, carried = list(encoded), []
        for recurrence, mixer, memory in zip(self.recurrences, self.mixers, states, strict=True):
            x, memory = recurrence(x, memory, kept, held)
            x = [mixer(each) for each in x]
            carried.append(memory)
        decoded = [self._decoded(*each) for each in zip(x[:kept], *skips, strict=False)]
        mask, gains = (torch.cat(parts, 1) for parts in zip(*decoded, strict=True))
        return mask, gains, carried

    def _encoded(self, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """spectrum (B, N, bins, 2) -> bottleneck input (B, N, P, C'), and two decoder inputs.

        Those two bypass the bottleneck: sub-bands (B, N, F, C) and levels of the high bands.
        """
        c = self.config
        low, high = spectrum.split((c.low_bins, spectrum.shape[2] - c.low_bins), 2)
        bands = (high.square().sum(-1) @ (self.bands / self.bands.sum(0)) + 1e-10).pow(
            c.compression / 2
        )
        skip = self.encoder(self.encode(self._features(low)).relu_())
        x = exchanged(self.gather, self.narrow(skip))  # (B, N, P_low, C')
        high_x = self.encode_high(bands).unflatten(-1, (c.high_positions, -1)).to(x.dtype)
        return torch.cat((x, high_x), 2) + self.position.to(x.dtype), skip, bands

    def _decoded(self, x: Tensor, skip: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Bottleneck output and the other two results of `_encoded` -> mask and gains."""
        c = self.config
        x, high_x = x.split((c.low_positions, c.high_positions), 2)
        x = torch.cat((exchanged(self.spread, x), skip), -1)
        mask = self._overlap_add(self.decode(self.decoder(self.widen(x).relu_())).float())
        gains = self.decode_high(torch.cat((high_x.flatten(2), bands.to(x.dtype)), -1))
        return mask, gains.float().sigmoid()

    def post_filtered(
        self, mask: Tensor, gains: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mask and gains, multiplied by the mean gain around them to the power of `post_filter`.

        The mean is over three bins or bands in this frame and the previous one, whose means (B,
        bins and bands) are `before`; returns those of the last frame, too. It attenuates isolated
        residual noise, such as musical noise, but not weak partials between strong ones.
        """
        size = mask.square().sum(-1).sqrt().clamp(max=1)
        near = F.avg_pool1d(torch.cat((size, gains), -1), 3, 1, 1, count_include_pad=False)
        earlier = torch.cat((before[:, None], near[:, :-1]), 1)
        factor = ((near + earlier) / 2).pow(self.config.post_filter)
        low, high = factor.split((size.shape[2], gains.shape[2]), -1)
        return mask * low[..., None], gains * high, near[:, -1]

    def _masked(self, spectrum: Tensor, mask: Tensor, gains: Tensor) -> Tensor:
        """Spectrum (B, N, bins, 2) times the mask below 8 kHz, and times the bands' gains above."""
        low, high = spectrum.split((mask.shape[2], spectrum.shape[2] - mask.shape[2]), 2)
        low = torch.view_as_complex(low.contiguous()) * torch.view_as_complex(mask)
        gains = gains @ self.bands.repeat_interleave(2, 0).T  # re and im alike
        return torch.cat((torch.view_as_real(low), high * gains.view(high.shape)), 2)

    def _features(self, low: Tensor) -> Tensor:
        """Low bins (B, N, bins, 2) -> overlapping windows (B, N, sub-bands, 3 x 2 x stride)."""
        c = self.config
        power = low.square().sum(-1, keepdim=True) + 1e-10
        magnitude = power.pow(c.compression / 2)
        features = torch.cat((magnitude, low * (magnitude * power.rsqrt())), -1)
        groups = F.pad(features, (0, 0, c.stride // 2, c.stride // 2)).unflatten(2, (-1, c.stride))
        groups = groups.flatten(3)  # (B, N, sub-bands + 1, stride * 3)
        return torch.cat((groups[:, :, :-1], groups[:, :, 1:]), -1)

    def _overlap_add(self, windows: Tensor) -> Tensor:
        """Windows (B, N, sub-bands, 2 x stride x 2) -> complex mask (B, N, bins, 2)."""
        first, second = windows.chunk(2, -1)
        groups = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        bins = groups.unflatten(-1, (-1, 2)).flatten(2, 3)  # half a stride too many at either end
        edge = self.config.stride // 2
        return bins[:, :, edge:-edge].contiguous()
