"""Pruning: state channels and channels that say nothing new go, and the model says the same."""

import re
from dataclasses import replace

import pytest
import soundfile as sf
import torch
from sounds import speech_like
from toy import TOY

from denoiser import checkpoint
from denoiser.models.band import BandUNet
from training.errors import TrainingError
from training.weights import prune


def model(causal: bool) -> BandUNet:
    """Sixteen state channels, of which every second holds what the one before it does."""
    torch.manual_seed(0)
    net = BandUNet(replace(TOY.model, causal=causal)).eval().requires_grad_(False)
    for recurrence in net.recurrences:
        torch.nn.init.ones_(recurrence.out.norm.weight)
        for layer in (recurrence.gate, recurrence.candidate):
            layer.weight[1::2] = layer.weight[::2]
        recurrence.out.weight[:, :2] *= 30  # loud, and still one of the two can be spared
        torch.nn.init.normal_(net.decode.weight, std=0.2)
    return net


def channels_twice() -> BandUNet:
    """Sixteen bottleneck channels, of which every second holds 1 more than the one before it."""
    torch.manual_seed(0)
    net = BandUNet(TOY.model).eval().requires_grad_(False)
    net.encode_high.weight[1::2] = net.encode_high.weight[::2]
    net.encode_high.bias[1::2] = net.encode_high.bias[::2]
    net.position[..., 1::2] = net.position[..., ::2] + 1
    net.narrow.weight[1::2] = net.narrow.weight[::2]
    for recurrence, mixer in zip(net.recurrences, net.mixers, strict=True):
        recurrence.candidate.weight += 0.3  # so that what the states hold has a mean
        for layer in (recurrence.out, mixer.value):
            layer.weight[1::2] = layer.weight[::2]
            torch.nn.init.ones_(layer.norm.weight)
        mixer.gate.weight[1::2] = mixer.gate.weight[::2]
        mixer.gate.bias[1::2] = mixer.gate.bias[::2]
    torch.nn.init.normal_(net.decode.weight, std=0.2)
    return net


@pytest.mark.parametrize("causal", [False, True])
def test_what_is_there_twice_can_be_spared(causal):
    net, noisy = model(causal), 0.1 * torch.randn(4, 40 * 768)
    before = net(noisy)
    (error,) = prune.prune_state_channels(net, 8, noisy)
    assert error < -50
    assert net.config.state_channels == 8
    assert (net(noisy) - before).square().mean() < 1e-5 * before.square().mean()
    (error,) = prune.prune_state_channels(net, 4, noisy)  # of these each is needed
    assert error > -40


def test_those_left_are_fitted_to_what_all_said():
    """A quarter of them, with their own old weights alone, is further from it."""
    net, noisy = model(False), 0.1 * torch.randn(4, 40 * 768)
    whole, before = net(noisy), net.recurrences[0].out.weight.clone()
    prune.prune_state_channels(net, 4, noisy)
    out = net.recurrences[0].out
    fitted = (net(noisy) - whole).square().mean()
    kept = [int((before.T @ column).argmax()) for column in out.weight.T]
    out.weight.copy_(before[:, kept])
    assert fitted < 0.5 * (net(noisy) - whole).square().mean()


def test_the_error_it_names_is_that_of_what_the_block_says():
    """Power of the error over the variance of the recurrence's output; its mean is kept."""
    net, noisy = model(False), 0.1 * torch.randn(4, 40 * 768)
    said = []
    recurrence = net.recurrences[0]
    recurrence.candidate.weight += 0.3  # so that what the states hold has a mean
    recurrence.out.register_forward_hook(lambda _, __, y: said.append(y.flatten(0, 2).clone()))
    net(noisy)
    before = said.copy()
    (error,) = prune.prune_state_channels(net, 4, noisy)
    said.clear()
    net(noisy)
    before, after = torch.cat(before), torch.cat(said)
    measured = (after - before).square().sum() / (before - before.mean(0)).square().sum()
    assert float(10 * measured.log10()) == pytest.approx(error, abs=0.1)


def test_a_channel_that_is_there_twice_can_be_spared():
    """Compared in the middle: a memory needs half a second to take in what was constant."""
    net, noisy = channels_twice(), 0.1 * torch.randn(4, 100 * 768)
    before = net(noisy)
    assert max(prune.prune_channels(net, 8, noisy)) < -50
    assert net.config.bottleneck_channels == 8
    assert {name: w.shape for name, w in net.state_dict().items()} == {
        name: w.shape for name, w in BandUNet(net.config).state_dict().items()
    }
    middle = slice(40 * 768, 60 * 768)
    error = (net(noisy) - before)[:, middle].square().mean()
    assert error < 1e-3 * before[:, middle].square().mean()
    assert max(prune.prune_channels(net, 4, noisy)) > -40  # of these each is needed


@pytest.mark.parametrize("state_channels", [0, 16, 7])
def test_a_number_that_cannot_be_left_is_refused(state_channels):
    net, noisy = model(False), 0.1 * torch.randn(1, 8 * 768)
    with pytest.raises(TrainingError, match=f"{state_channels} state channels cannot be kept"):
        prune.prune_state_channels(net, state_channels, noisy)


@pytest.mark.parametrize("channels", [0, 16])
def test_a_number_of_channels_that_cannot_be_left_is_refused(channels):
    net, noisy = model(False), 0.1 * torch.randn(1, 8 * 768)
    with pytest.raises(TrainingError, match=f"{channels} channels cannot be kept"):
        prune.prune_channels(net, channels, noisy)


@pytest.mark.long
def test_the_command_writes_a_model_that_loads(tmp_path, capsys):
    checkpoint.save(model(False), tmp_path / "all")
    for name in ("clean", "noise"):
        (tmp_path / name).mkdir()
        sf.write(tmp_path / name / "1.wav", speech_like(4.0, 48000), 48000)
    folders = [f"--{name}={tmp_path / name}" for name in ("clean", "noise")]
    arguments = [str(tmp_path / "all"), *folders, "--out", str(tmp_path / "few")]
    assert prune.main([*arguments, "--state-channels", "8", "--channels", "12"]) == 0
    assert re.fullmatch(
        r"error by recurrence: -\S+ dB\nby recurrence, then by mixer: -\S+ -\S+ dB\n",
        capsys.readouterr().out,
    )
    config = checkpoint.load(tmp_path / "few", "cpu").config
    assert (config.state_channels, config.bottleneck_channels) == (8, 12)
    assert prune.main([*arguments, "--state-channels", "20"]) == 1
    assert capsys.readouterr().err == "20 state channels cannot be kept of 16.\n"
    with pytest.raises(SystemExit):
        prune.main(arguments)
    assert "give --state-channels, --channels or both" in capsys.readouterr().err
