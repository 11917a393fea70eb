"""A step does what its losses say, and begins from another's weights."""

import copy
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch
from toy import CPU, TOY, batch, weights

from denoiser.models.band import BandUNet
from training.errors import TrainingError
from training.optim.muon import Muon
from training.trainer import Trainer, precision


def gradients(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize("changes", [{"sample_rate": 16000}, {"hop_length": 512}])
def test_a_model_that_the_mixtures_do_not_fit_is_refused(changes):
    with pytest.raises(TrainingError, match="Mixtures are made at 48000 Hz"):
        Trainer(replace(TOY, model=replace(TOY.model, **changes)), CPU)


def test_another_models_weights_are_adopted_where_they_fit():
    small, other = Trainer(TOY, CPU), BandUNet(replace(TOY.model, high_bands=80))
    assert small.warm_start(other) == [
        "encode_high.weight",
        "decode_high.weight",
        "decode_high.bias",
    ]
    for model in (small.model, small.average):
        assert torch.equal(model.encode.weight, other.encode.weight)


@pytest.mark.parametrize("state_channels", [16, 32])
def test_a_causal_model_begins_from_one_that_hears_ahead(state_channels):
    causal = replace(TOY.model, causal=True, state_channels=state_channels)
    live, other = Trainer(replace(TOY, model=causal), CPU), BandUNet(TOY.model)
    assert live.warm_start(other) == []
    assert torch.equal(live.model.recurrences[0].gate.weight[:16], other.recurrences[0].gate.weight)


@pytest.mark.parametrize("causal", [True, False])
def test_a_wider_and_deeper_model_begins_by_doing_what_the_other_does(causal):
    small = replace(TOY.model, causal=causal)
    first = Trainer(replace(TOY, model=small), CPU)
    for _ in range(20):
        first.learn(*batch(), 1.0)
    first.sync_buffers()
    larger = {
        "channels": 24,
        "bottleneck_channels": 28,
        "bottleneck_blocks": 2,
        "state_channels": 24,
    }
    wide = Trainer(replace(TOY, model=replace(small, **larger)), CPU)
    new = wide.warm_start(first.average)
    assert {name.split(".")[1] for name in new} == {"1"}  # the second block
    noisy = batch()[0]
    difference = wide.average(noisy) - first.average(noisy)
    assert difference.abs().max() < 1e-5
    before = copy.deepcopy(wide.model.state_dict())
    for _ in range(2):  # what was cut off is learnt
        wide.learn(*batch(), 1.0)
    for layer in (wide.model.recurrences[1].out, wide.model.mixers[1].value):
        assert layer.norm.weight.abs().max() > 0
    for name in ("encoder.0.conv.weight", "recurrences.0.out.weight", "widen.weight"):
        cut_off = before[name] == 0
        assert cut_off.any()
        assert wide.model.state_dict()[name][cut_off].abs().max() > 0


def test_the_average_keeps_no_graph():
    """One node a step and parameter would be kept to the end of the run."""
    trainer = Trainer(TOY, CPU)
    trainer.learn(*batch(), 1.0)
    assert not any(value.requires_grad for value in trainer.average.parameters())


@pytest.mark.parametrize(("factor", "norm"), [(1e6, 5.0), (1e-3, None)])
def test_an_exploding_gradient_is_cut_to_its_limit(monkeypatch, factor, norm):
    """All of it by the same factor: to a norm of 5, as the recipes say; a small one stays."""
    trainer, seen = Trainer(TOY, CPU), []
    trainer.backward({"loss": factor * trainer.losses(*batch())["loss"]})
    before, muon = gradients(trainer), trainer.optimisers["muon"]
    monkeypatch.setattr(muon, "step", lambda: seen.append(gradients(trainer)))
    trainer.update()
    assert seen[0].norm() == pytest.approx(norm or before.norm().item(), rel=1e-3)
    torch.testing.assert_close(seen[0] / seen[0].norm(), before / before.norm())


def test_the_average_moves_with_the_weights_ever_more_slowly():
    """By 10 / (step + 10) of the way, and by a thousandth later on."""
    trainer = Trainer(TOY, CPU)
    expected = weights(trainer).double()
    for step, share in ((1, 10 / 11), (2, 10 / 12), (20_000, 0.001)):
        trainer.step = step - 1
        trainer.learn(*batch(), 1.0)
        expected += share * (weights(trainer) - expected)
        average = torch.cat([p.flatten() for p in trainer.average.parameters()])
        torch.testing.assert_close(average.double(), expected, rtol=1e-4, atol=1e-6)


def test_the_average_has_the_statistics_of_the_model():
    trainer = Trainer(TOY, CPU)
    trainer.learn(*batch(), 1.0)
    trainer.sync_buffers()
    means = [
        torch.cat([b.flatten() for name, b in model.named_buffers() if "running_mean" in name])
        for model in (trainer.model, trainer.average)
    ]
    assert means[0].abs().max() > 0
    assert torch.equal(*means)


def test_the_rate_rises_over_the_first_steps_but_not_the_discriminators():
    trainer = Trainer(replace(TOY, adversarial=0.1), CPU)
    rates = {"muon": [], "adamw": [], "adam": []}
    for _ in range(12):
        trainer.prepare(0.5)
        for name, optimiser in trainer.optimisers.items():
            rates[name].append(optimiser.param_groups[0]["lr"])
    rising = [0.5 * 5e-3 * min(step / 10, 1) for step in range(1, 13)]
    assert rates["muon"] == pytest.approx(rising)
    assert rates["adamw"] == pytest.approx(rising)
    assert rates["adam"] == [2e-3] * 12


@pytest.mark.long
def test_one_batch_is_overfitted():
    trainer = Trainer(TOY, CPU)
    losses = [float(trainer.learn(*batch(), 1.0)["loss"]) for _ in range(80)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_the_model_and_its_critic_each_follow_their_own_loss():
    """The model's step is that of its loss alone, the discriminator's that of its verdict alone."""
    recipe = replace(TOY, adversarial=0.5)
    trainer, other = Trainer(recipe, CPU), Trainer(recipe, CPU)
    trainer.learn(*batch(), 1.0)
    with precision(CPU):
        losses = other.objective(other.model, *batch(), other.discriminator)
    judged, models = list(other.discriminator.parameters()), list(other.model.parameters())
    both = losses["loss"] + 0.5 * losses["adversarial"]
    for values, loss in ((judged, losses["discriminator"]), (models, both)):
        gradients = torch.autograd.grad(loss, values, retain_graph=True)
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient
    other.prepare(1.0)
    other.update()
    torch.testing.assert_close(weights(trainer), weights(other))
    torch.testing.assert_close(list(trainer.discriminator.parameters()), judged)


@pytest.mark.long
def test_two_ranks_give_the_gradients_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    support = Path(ranks.__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{support.parents[1]}{os.pathsep}{support}"}
    subprocess.run(
        [sys.executable, ranks.__file__, str(port), tmp_path], env=environment, check=True
    )
    alone, first, second = ranks.gradients(0, 1), *(torch.load(tmp_path / name) for name in "01")
    assert torch.equal(first, second)
    assert (first - alone).abs().max() < 1e-5 * alone.abs().max()


def test_muon_steps_as_torch_optim_does():
    """Matrices that lie, stand and are square; several of one shape are done at once."""
    torch.manual_seed(0)
    shapes = [(4, 9), (9, 4), (5, 5), (4, 9)]
    own, theirs = ([torch.randn(shape).requires_grad_() for shape in shapes] for _ in range(2))
    with torch.no_grad():
        for a, b in zip(own, theirs, strict=True):
            b.copy_(a)
    reference = {"lr": 0.01, "weight_decay": 0, "adjust_lr_fn": "match_rms_adamw"}
    optimisers = Muon(own, torch.tensor(0.01)), torch.optim.Muon(theirs, **reference)
    start = [a.detach().clone() for a in own]
    for _ in range(20):
        for a, b in zip(own, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for a, b, first in zip(own, theirs, start, strict=True):
        assert (a - b).norm() < 0.03 * (b - first).norm()  # theirs rounds to 16 bit
