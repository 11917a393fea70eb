"""BandUNet as a listener would claim it: length, causality, streaming, silence."""

import pytest
import torch

from denoiser.models import Model, band
from denoiser.models.band import BandUNet, BandUNetConfig
from denoiser.models.classic import ClassicUNet, ClassicUNetConfig
from denoiser.models.layers import exchanged
from denoiser.models.scan import scan

HOP = 768


def model(causal: bool) -> BandUNet:
    """A network whose batch statistics and mask are no longer those of a fresh one."""
    torch.manual_seed(0)
    net = BandUNet(BandUNetConfig(causal=causal)).train()
    torch.nn.init.normal_(net.decode.weight, std=0.2)
    for layer in (*net.recurrences, *net.mixers):
        norm = (layer.out if hasattr(layer, "out") else layer.value).norm
        torch.nn.init.ones_(norm.weight)  # a fresh block changes nothing
    with torch.no_grad():
        for _ in range(5):
            net(0.1 * torch.randn(4, 8 * HOP))
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, HOP - 1, HOP, HOP + 1, 10 * HOP + 5])
def test_output_is_as_long_as_the_input(causal, length):
    assert model(causal)(torch.randn(2, length)).shape == (2, length)


@pytest.mark.parametrize("causal", [False, True])
def test_a_row_of_a_batch_is_that_row_alone(causal):
    net, wave = model(causal), 0.1 * torch.randn(3, 20 * HOP)
    assert (net(wave)[1:2] - net(wave[1:2])).abs().max() < 1e-5


@pytest.mark.parametrize("causal", [False, True])
def test_silence_stays_silent(causal):
    assert model(causal)(torch.zeros(1, 20 * HOP)).abs().max() == 0


def test_the_causal_model_hears_one_window_ahead_and_no_more():
    net, wave = model(True), 0.1 * torch.randn(1, 20 * HOP)
    changed = wave.clone()
    changed[:, 10 * HOP :] = torch.randn(1, 10 * HOP)
    difference = (net(wave) - net(changed))[0]
    # The change begins with hop 10; frame 10 also covers hop 9, which is the latency of a window.
    assert difference[: 9 * HOP].abs().max() == 0
    assert difference[10 * HOP :].abs().max() > 0


def test_the_other_model_hears_the_future():
    net, wave = model(False), 0.1 * torch.randn(1, 20 * HOP)
    changed = wave.clone()
    changed[:, 15 * HOP :] = torch.randn(1, 5 * HOP)
    assert (net(wave) - net(changed))[0, : 5 * HOP].abs().max() > 0


def test_step_by_step_equals_the_whole_file_one_hop_late():
    net, wave = model(True), 0.1 * torch.randn(2, 30 * HOP)
    state, pieces = net.initial_state(wave), []
    for frame in torch.nn.functional.pad(wave, (0, HOP)).split(HOP, 1):
        piece, state = net.step(frame, state)
        pieces.append(piece)
    assert net.delay == HOP
    assert (torch.cat(pieces, 1)[:, HOP:] - net(wave)).abs().max() < 1e-5


def test_a_run_that_hears_ahead_goes_on_as_the_whole():
    """Two runs, the first with the look-ahead it asks for: hops 40 dB below the whole, then 90."""
    net, wave = model(False), 0.1 * torch.randn(1, 400 * HOP)
    for recurrence in net.recurrences:
        recurrence.gate.bias.fill_(9.0)  # as long a memory as there may be
    ahead = net.lookahead // HOP
    whole, _ = net.run(wave, net.initial_state(wave))
    first, state = net.run(wave[:, : (100 + ahead) * HOP], net.initial_state(wave), ahead)
    second, _ = net.run(wave[:, 100 * HOP :], state)
    error = (torch.cat((first, second), 1) - whole).unflatten(1, (-1, HOP)).square().mean(2)[0]
    assert error.max() < 1e-4 * whole.square().mean()
    # The past is carried exactly; the post filter remembers one frame of the first run's last mask
    assert error[102:].max() < 1e-9 * whole.square().mean()


def test_gradients_pass_through_any_number_of_pieces(monkeypatch):
    """Of 300 hops that are heard in three pieces, the last 50 only heard; and in two."""
    net, gradients = model(False), []
    for size in (band.PIECE, 1000):
        monkeypatch.setattr(band, "PIECE", size)
        wave = (0.1 * torch.sin(torch.arange(300.0 * HOP) / 20))[None].requires_grad_()
        enhanced, state = net.run(wave, net.initial_state(wave), 50)
        gradients.append(torch.autograd.grad(enhanced.square().sum() + state[-1].sum(), wave)[0])
    assert (gradients[0] - gradients[1]).abs().max() < 1e-4 * gradients[1].abs().max()
    assert gradients[1].abs().max() > 0


@pytest.mark.parametrize(("samples", "ahead"), [(1000, 0), (0, 0), (2 * HOP, 2)])
def test_a_run_takes_whole_hops_and_gives_at_least_one(samples, ahead):
    net, wave = model(False), torch.zeros(1, samples)
    with pytest.raises(ValueError, match="whole hops of 768 samples"):
        net.run(wave, net.initial_state(wave), ahead)


def test_only_the_causal_model_steps():
    net = model(False)
    with pytest.raises(ValueError, match="only a causal BandUNet"):
        net.step(torch.zeros(1, HOP), net.initial_state(torch.zeros(1, HOP)))


def test_folded_normalisation_equals_batch_normalisation():
    """In evaluation the convolution carries the normalisation; PyTorch's own is the reference."""
    conv = model(False).encoder[0].conv
    x = torch.randn(2, 3, 32, 64)
    plain = conv._convolve(x, conv.weight, None)
    reference = conv.norm(plain.flatten(0, 2)).view(plain.shape)
    assert (conv(x) - reference).abs().max() < 1e-5


@pytest.mark.parametrize("forwards", [2, 3])
def test_scan_equals_its_definition_and_gradient(forwards):
    """Three channels, the first two forwards, the last forwards too or backwards."""
    g, gate = (torch.randn(2, 5, 3, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    first = torch.rand(2, 3, forwards, dtype=torch.double, requires_grad=True)
    (h,), carried = scan([g], [gate], first, 0.9, 1)
    past, future = first, torch.zeros(2, 3, 3 - forwards)
    ahead, behind = slice(forwards), slice(forwards, None)
    a = gate.sigmoid()
    for n in range(5):
        past = a[:, n, :, ahead] * past + (1 - a[:, n, :, ahead]) * g[:, n, :, ahead]
        assert (h[:, n, :, ahead] - past).abs().max() < 1e-12
    a = 0.9 * a
    for n in reversed(range(5)):
        future = a[:, n, :, behind] * future + (1 - a[:, n, :, behind]) * g[:, n, :, behind]
        assert torch.allclose(h[:, n, :, behind], future, atol=1e-12)
    assert torch.equal(carried, h[:, 4, :, ahead])
    pieces = (x.detach().split((2, 2, 1), 1) for x in (g, gate))
    pieces, carried = scan(*pieces, first.detach(), 0.9, 2)
    assert torch.allclose(torch.cat(pieces, 1), h, atol=1e-12)
    assert torch.equal(carried, pieces[1][:, 1, :, ahead])

    def of_one(g, gate, first):
        return scan([g], [gate], first, 0.9, 1)[0][0]

    assert torch.autograd.gradcheck(of_one, (g, gate, first))


def test_an_exchange_is_one_matrix_applied_to_the_positions_of_every_frame():
    matrix, x = torch.randn(3, 4), torch.randn(2, 5, 4, 6)
    assert (exchanged(matrix, x) - torch.einsum("pq,bnqc->bnpc", matrix, x)).abs().max() < 1e-5


def test_the_post_filter_adds_to_the_exponent_of_the_mask():
    net = BandUNet(BandUNetConfig(post_filter=0.25)).eval().requires_grad_(False)
    for layer in (net.decode, net.decode_high):
        layer.weight.zero_()
    net.decode.bias.copy_(torch.tensor([0.25, 0.0]).repeat(2 * net.config.stride))  # two windows
    net.decode_high.bias.zero_()  # both give a mask of a half everywhere
    t = torch.arange(48000) / 48000
    for hz in (1000, 12000):
        tone = (0.1 * torch.sin(2 * torch.pi * hz * t))[None]
        assert (net(tone) - 0.5**1.25 * tone)[:, 2000:-2000].abs().max() < 1e-4


def test_the_post_filter_lowers_a_lone_bin_more_than_one_of_a_voice():
    """A gain of a half among gains of a hundredth, once in one frame, loses 10 dB and not 3."""
    net = BandUNet(BandUNetConfig(post_filter=0.5))
    alone, voice = torch.full((2, 1, 8, 256, 2), 0.0)
    alone[..., 0], voice[..., 0] = 0.01, 0.5
    alone[0, 4, 100, 0] = 0.5
    gains, before = torch.full((1, 8, 64), 0.01), torch.full((1, 320), 0.01)
    lone = net.post_filtered(alone, gains, before)[0][0, 4, 100, 0]
    among = net.post_filtered(voice, gains, before)[0][0, 4, 100, 0]
    assert 20 * (among / 0.5).log10() == pytest.approx(-3.0, abs=0.1)
    assert 20 * (lone / 0.5).log10() == pytest.approx(-10.4, abs=0.1)


@pytest.mark.parametrize("net", [BandUNet(BandUNetConfig()), ClassicUNet(ClassicUNetConfig())])
def test_every_model_keeps_the_protocol_and_a_state_of_distinct_tensors(net):
    """An exporter gives one name to what is one object, and mixes them up."""
    assert isinstance(net, Model)
    state = net.initial_state(torch.zeros(2, 8))
    assert len({id(tensor) for tensor in state}) == len(state)
    assert len({tensor.data_ptr() for tensor in state}) == len(state)
    assert all(len(tensor) == 2 for tensor in state)


def test_silence_is_not_remembered():
    """After 30 s of it, and of a hiss at -90 dBFS, states are what they were, and a word loud."""
    net, word = model(True), 0.1 * torch.randn(1, 10 * HOP)
    _, state = net.run(word, net.initial_state(word))
    for level in (0, 10 ** (-90 / 20)):
        silence = level * torch.randn(1, 1875 * HOP)
        _, later = net.run(torch.cat((torch.zeros(1, HOP), silence), 1), state)
        _, first = net.run(torch.zeros(1, HOP), state)  # the word's last half window
        for before, after in zip(first[3:], later[3:], strict=True):
            assert (after - before).abs().max() < 1e-6
    _, later = net.run(0.001 * torch.randn(1, 100 * HOP), state)  # -60 dBFS
    assert max(float((a - b).abs().max()) for a, b in zip(state[3:], later[3:], strict=True)) > 0.01
