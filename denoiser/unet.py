"""BandUNet: a small UNet over frequency with recurrences over time, 48 kHz, waveform to waveform.

Shapes: B recordings, N frames, F bins or sub-bands, P bottleneck positions, C channels, T samples.
Features stay contiguous (B, N, F, C) from the first spectrum to the mask: with channels last, every
convolution and matrix product runs on them in place.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoiser.bands import band_matrix
from denoiser.stft import STFT

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class BandUNetConfig:
    """Everything that fixes a BandUNet's shape; saved beside its weights."""

    sample_rate: int = 48000  # Hz
    hop_length: int = 768  # samples; the window has twice as many
    low_bins: int = 256  # bins at full resolution: 0 to 8 kHz
    high_bands: int = 64  # ERB bands above them: 8 to 24 kHz
    compression: float = 0.3  # exponent of magnitudes in features and loss
    stride: int = 8  # bins per sub-band; windows of twice as many overlap
    channels: int = 64  # of each sub-band
    blocks: int = 2  # residual convolutions in the encoder, and in the decoder
    low_positions: int = 28  # bottleneck positions made of the sub-bands
    high_positions: int = 4  # bottleneck positions made of the high bands
    bottleneck_channels: int = 64
    bottleneck_blocks: int = 3
    context: bool = False  # True: recurrences also see the frame before, and after unless causal
    causal: bool = False  # True: no recurrence runs backwards in time
    backward_seconds: float = 1.0  # longest memory of one that does: how far ahead it matters
    post_filter: float = 0.25  # added to the mask's exponent after training: noise left over fades


class ConvNorm(nn.Module):
    """Convolution along frequency, (B, N, F, C_in) -> (B, N, F, C_out), and batch normalisation.

    The kernel is held as a matrix (C_out, C_in * width), which is what Muon orthogonalises. In
    evaluation the normalisation is folded into kernel and bias.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 1):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(outputs, inputs * width))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training:
            y = self._convolve(x, self.weight, None)
            return norm(y.flatten(0, 2)).view(y.shape)
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self._convolve(
            x, self.weight * scale[:, None], norm.bias - norm.running_mean * scale
        )

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.width == 1:
            return F.linear(x, weight, bias)
        kernel = weight.view(len(weight), -1, 1, self.width)
        image = x.flatten(0, 1)[:, None].permute(0, 3, 1, 2)  # (B * N, C, 1, F), channels last
        image = F.conv2d(image, kernel, bias, padding=(0, self.width // 2))
        return image.permute(0, 2, 3, 1).reshape(*x.shape[:3], len(weight))


class ResidualBlock(nn.Module):
    """x + ReLU(BatchNorm(convolution of width 3 along frequency)), (B, N, F, C) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = ConvNorm(channels, channels, width=3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).relu_()


class Scan(torch.autograd.Function):
    """h[n] = a[n] h[n-1] + (1 - a[n]) g[n] along the second axis, with a hand-written gradient.

    Candidate g and gate are (B, N, P, C), a = ceiling * sigmoid(gate). The first channels, as many
    as `initial` (B, P, C') has, run forwards from it with a ceiling of 1; the others run backwards
    from zero, with h[n+1] in place of h[n-1]. Autograd would record every frame; here the opposite
    recurrence of the gradient d, d[n] += a[n+1] d[n+1], yields all gradients at once. It computes
    in 32 bit whatever the types outside, and returns h also as such for the next run's `initial`.
    """

    @staticmethod
    def forward(ctx, candidate: Tensor, gate: Tensor, initial: Tensor, ceiling: float) -> tuple:
        out, passes = torch.empty_like(candidate), []
        for channels, order, last, most in _directions(candidate, initial, ceiling):
            g = candidate[..., channels].to(initial.dtype).contiguous()
            a = gate[..., channels].to(initial.dtype, copy=True).contiguous().sigmoid_().mul_(most)
            h = torch.empty_like(g)
            frames = (x.unbind(1)[::order] for x in (h, g, a))
            for target, new, keep in zip(*frames, strict=True):
                last = torch.lerp(new, last, keep, out=target)
            out[..., channels] = h
            passes += g, a, h
        ctx.save_for_backward(initial, *passes)
        ctx.ceiling = ceiling
        ctx.mark_non_differentiable(passes[2])
        return out, passes[2]

    @staticmethod
    def backward(ctx, grad: Tensor, _) -> tuple:
        initial, *passes = ctx.saved_tensors
        candidate_grad, gate_grad = torch.empty_like(grad), torch.empty_like(grad)
        firsts = []
        for channels, order, last, most in _directions(grad, initial, ctx.ceiling):
            g, a, h, *passes = passes
            d = grad[..., channels].to(initial.dtype, copy=True).contiguous()
            late, keep = (x.unbind(1)[::-order] for x in (d, a))
            for n in range(1, len(late)):
                late[n].addcmul_(keep[n - 1], late[n - 1])
            firsts.append(d[:, 0] * a[:, 0])
            here, there = (slice(1, None), slice(-1)) if order == 1 else (slice(-1), slice(1, None))
            change = torch.empty_like(h)  # h[n-1] - g[n], then the gradient of a, then of the gate
            torch.sub(h[:, there], g[:, here], out=change[:, here])
            edge = 0 if order == 1 else -1
            torch.sub(last, g[:, edge], out=change[:, edge])
            change.mul_(d).mul_(a)
            gate_grad[..., channels] = change.addcmul_(change, a, value=-1 / most)
            candidate_grad[..., channels] = d.addcmul_(d, a, value=-1)
        return candidate_grad, gate_grad, firsts[0], None


def _directions(like: Tensor, initial: Tensor, ceiling: float) -> list[tuple]:
    """Channels, order in time, what lies before the first frame, and ceiling of each half."""
    forwards = initial.shape[-1]
    both = [(slice(forwards), 1, initial, 1.0)]
    if forwards < like.shape[-1]:
        size = (*initial.shape[:2], like.shape[-1] - forwards)
        both.append((slice(forwards, None), -1, initial.new_zeros(size), ceiling))
    return both


class Recurrence(nn.Module):
    """Gated linear recurrence along time with a residual, (B, N, P, C) -> the same.

    Gate and candidate are computed from the input alone, from each frame and with `context` from
    its neighbours, so only one multiplication a frame is sequential. Unless causal, the second half
    of the channels runs backwards in time; their gate stays below `backward_decay`, so that a
    limited look-ahead is enough for them.
    """

    def __init__(self, channels: int, context: bool, causal: bool, backward_decay: float):
        super().__init__()
        self.context, self.causal = context, causal
        self.forwards = channels if causal else channels // 2
        # of each position before a run: the state, and with context the frame
        self.remembered = self.forwards + channels * context
        self.ceiling = backward_decay
        inputs = channels * (1 + context * (1 if causal else 2))
        self.gate = nn.Linear(inputs, channels)
        self.candidate = nn.Linear(inputs, channels, bias=False)
        self.out = ConvNorm(channels, channels)
        nn.init.constant_(self.gate.bias, 2.0)
        nn.init.zeros_(self.out.norm.weight)  # a fresh block changes nothing

    def forward(self, x: Tensor, memory: Tensor, keep: int) -> tuple[Tensor, Tensor]:
        """`memory` (B, P, remembered) precedes frame 0; returns also that after frame keep - 1."""
        initial, past = memory.tensor_split((self.forwards,), -1)
        around = self._around(x, past) if self.context else x
        h, after = Scan.apply(
            self.candidate(around), self.gate(around), initial.contiguous(), self.ceiling
        )
        memory = after[:, keep - 1]
        if self.context:
            memory = torch.cat((memory, x[:, keep - 1].to(memory.dtype)), -1)
        return x + self.out(h), memory

    def _around(self, x: Tensor, past: Tensor) -> Tensor:
        """Each frame, the one before and, unless causal, the one after: (B, N, P, inputs)."""
        frames = [x, torch.cat((past[:, None].to(x.dtype), x[:, :-1]), 1)]
        if not self.causal:
            frames.append(F.pad(x[:, 1:], (0, 0, 0, 0, 0, 1)))
        return torch.cat(frames, -1)


def mixed(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix (P, Q) applied to the positions of x (B, N, Q, C) -> (B, N, P, C).

    One small product a frame: `torch.matmul` would transpose all of x, at five times the cost.
    """
    frames = x.flatten(0, 1)
    matrices = matrix.to(x.dtype).expand(len(frames), *matrix.shape)
    return torch.bmm(matrices, frames).unflatten(0, x.shape[:2])


class Mixer(nn.Module):
    """Exchange between positions: x + gate(x) * (learned P x P matrix applied to x)."""

    def __init__(self, positions: int, channels: int):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(positions, positions) * positions**-0.5)
        self.gate = nn.Linear(channels, channels)
        self.value = ConvNorm(channels, channels)
        nn.init.zeros_(self.value.norm.weight)  # a fresh block changes nothing

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate(x).sigmoid() * mixed(self.matrix, self.value(x))


class BandUNet(nn.Module):
    """Noisy waveform -> clean waveform, (B, T) -> (B, T), through a mask on its spectrum.

    Below 8 kHz a complex mask for every bin, above a real gain for every ERB band. `run` is the
    one implementation: `forward` is a run over a whole recording, `step` a run over one hop.
    """

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
            Recurrence(width, c.context, c.causal, decay) for _ in range(count)
        )
        self.mixers = nn.ModuleList(Mixer(positions, width) for _ in range(count))
        self.spread = nn.Parameter(torch.randn(low, c.low_positions) * c.low_positions**-0.5)
        self.widen = ConvNorm(c.bottleneck_channels + c.channels, c.channels)
        self.decoder = nn.Sequential(*(ResidualBlock(c.channels) for _ in range(c.blocks)))
        self.decode = nn.Linear(c.channels, 2 * 2 * c.stride)
        inputs = c.high_positions * c.bottleneck_channels + c.high_bands
        self.decode_high = nn.Linear(inputs, c.high_bands)
        with torch.no_grad():  # the untrained mask is about 1: two overlapping windows of a half
            self.decode.weight.mul_(0.1)
            self.decode.bias.copy_(torch.tensor([0.5, 0.0]).repeat(2 * c.stride))
            self.decode_high.bias.fill_(2.0)

    @property
    def delay(self) -> int:
        """Samples by which the output of `run` and `step` lags their input."""
        return self.config.hop_length

    @property
    def lookahead(self) -> int:
        """Samples that `run` must hear beyond what it enhances, to be as good as on the whole."""
        c = self.config
        return 0 if c.causal else round(4 * c.backward_seconds * c.sample_rate)

    def forward(self, noisy: Tensor) -> Tensor:
        """noisy (B, T) at config.sample_rate -> enhanced (B, T), any T of at least 1."""
        length, hop = noisy.shape[1], self.config.hop_length
        padded = F.pad(noisy, (0, -length % hop + hop))
        return self.run(padded, self.initial_state(noisy))[0][:, hop : hop + length]

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """One hop (B, hop) -> the hop before it, enhanced, and the state for the next call."""
        if not self.config.causal:
            raise ValueError("only a causal BandUNet can run step by step: this one hears ahead")
        return self.run(frame, state)

    def initial_state(self, like: Tensor) -> State:
        """The state before a recording; batch size, device and type are those of `like` (B, T)."""
        c, batch = self.config, like.shape[0]
        hop = like.new_zeros(batch, c.hop_length)
        positions = c.low_positions + c.high_positions
        memory = [like.new_zeros(batch, positions, r.remembered) for r in self.recurrences]
        return (hop, hop, *memory)

    def run(self, noisy: Tensor, state: State, lookahead: int = 0) -> tuple[Tensor, State]:
        """Enhance K hops after `state`, of which the last `lookahead` are only listened to.

        noisy (B, K * hop) -> enhanced (B, (K - lookahead) * hop), one hop late, and the state after
        hop K - lookahead. What lies before is carried exactly; what comes after is known to the
        backward recurrences as far as `lookahead` reaches.
        """
        past, tail, *memories = state
        hop = self.config.hop_length
        keep = noisy.shape[1] // hop - lookahead
        spectrum = self.stft.analyse(noisy, past)
        enhanced, memories = self.enhance(spectrum, memories, keep)
        wave, tail = self.stft.synthesise(enhanced, tail)
        return wave, (noisy[:, (keep - 1) * hop : keep * hop], tail, *memories)

    def enhance(self, spectrum: Tensor, memories: list, keep: int) -> tuple[Tensor, list]:
        """spectrum (B, N, bins, 2) -> its first `keep` frames enhanced, and the memories there."""
        c = self.config
        low, high = spectrum.split((c.low_bins, spectrum.shape[2] - c.low_bins), 2)
        bands = (high.square().sum(-1) @ (self.bands / self.bands.sum(0)) + 1e-10).pow(
            c.compression / 2
        )
        skip = self.encoder(self.encode(self._features(low)).relu_())  # (B, N, F, C)
        x = mixed(self.gather, self.narrow(skip))  # (B, N, P_low, C')
        high_x = self.encode_high(bands).unflatten(-1, (c.high_positions, -1)).to(x.dtype)
        x = torch.cat((x, high_x), 2) + self.position.to(x.dtype)
        carried = []
        for recurrence, mixer, memory in zip(self.recurrences, self.mixers, memories, strict=True):
            x, memory = recurrence(x, memory, keep)
            x = mixer(x)
            carried.append(memory)
        x, skip, spectrum, bands = x[:, :keep], skip[:, :keep], spectrum[:, :keep], bands[:, :keep]
        x, high_x = x.split((c.low_positions, c.high_positions), 2)
        x = torch.cat((mixed(self.spread, x), skip), -1)
        mask = self._overlap_add(self.decode(self.decoder(self.widen(x).relu_())).float())
        gains = self.decode_high(torch.cat((high_x.flatten(2), bands.to(x.dtype)), -1))
        gains = gains.float().sigmoid() @ self.bands.repeat_interleave(2, 0).T  # re and im alike
        if not self.training:
            power = mask.square().sum(-1, keepdim=True)
            mask = mask * power.clamp(max=1).pow(c.post_filter / 2)
            gains = gains.pow(1 + c.post_filter)
        low, high = spectrum.split((c.low_bins, spectrum.shape[2] - c.low_bins), 2)
        low = torch.view_as_complex(low.contiguous()) * torch.view_as_complex(mask)
        return torch.cat((torch.view_as_real(low), high * gains.view(high.shape)), 2), carried

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
