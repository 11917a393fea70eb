"""The discriminator hears what is dull, and says in which direction it would be less so."""

import pytest
import torch

from training.losses.discriminator import Discriminator, adversarial


def spectra(items: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Power of random partials that come and go, and the same blurred over frequency."""
    lines = (torch.rand(items, 1, 256) > 0.9) * torch.rand(items, 12, 1).repeat_interleave(4, 1)
    clean = lines.square() + 1e-3
    dull = torch.nn.functional.avg_pool1d(clean, 9, 1, 4)
    return dull, clean


def trained_discriminator(steps: int = 60) -> Discriminator:
    torch.manual_seed(0)
    discriminator = Discriminator()
    optimiser = torch.optim.Adam(discriminator.parameters(), 2e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        adversarial(discriminator, *spectra())[1].backward()
        optimiser.step()
    return discriminator


def test_the_critic_tells_dull_from_clean_and_pulls_towards_clean():
    discriminator = trained_discriminator()
    dull, clean = spectra()
    model_loss, discriminator_loss = adversarial(discriminator, dull, clean)
    assert discriminator_loss < 0.1  # 0.5 by chance
    assert adversarial(discriminator, clean, clean)[0] < 0.1 * model_loss
    dull.requires_grad_()
    (slope,) = torch.autograd.grad(adversarial(discriminator, dull, clean)[0], dull)
    assert (slope * (clean - dull.detach())).sum() < 0


def test_silence_has_no_voice_to_judge():
    discriminator = Discriminator()
    dull, clean = spectra()
    clean[1:] = 0
    with_silence = adversarial(discriminator, dull, clean)
    alone = adversarial(discriminator, dull[:1], clean[:1])
    torch.testing.assert_close(with_silence, alone)
    nothing = adversarial(discriminator, dull[1:], clean[1:])
    assert [loss.item() for loss in nothing] == [0, 0]


def test_verdicts_are_judged_by_least_squares():
    """One that is 0.3 everywhere: the model is 0.7 from 1, the discriminator also 0.3 from 0."""
    discriminator = Discriminator()
    for weight in discriminator.parameters():
        torch.nn.init.zeros_(weight)
    torch.nn.init.constant_(discriminator.verdict.bias, 0.3)
    losses = adversarial(discriminator, *spectra())
    assert [loss.item() for loss in losses] == pytest.approx([0.7**2, 0.7**2 + 0.3**2])


def test_a_model_that_deceives_still_has_to_match_the_features_of_clean_speech():
    torch.manual_seed(0)
    discriminator = Discriminator()
    torch.nn.init.zeros_(discriminator.verdict.weight)
    torch.nn.init.ones_(discriminator.verdict.bias)
    dull, clean = spectra()
    assert adversarial(discriminator, dull, clean)[0] > 0.1
    assert adversarial(discriminator, clean, clean)[0] == 0
