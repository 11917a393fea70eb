"""The mean of checkpoints is the mean of their weights."""

import pytest
import torch

from denoiser import checkpoint
from denoiser.models.band import BandUNet, BandUNetConfig
from training.weights import average


def test_every_weight_and_statistic_is_the_mean(tmp_path):
    config = BandUNetConfig(channels=16, bottleneck_channels=16)
    models = [BandUNet(config) for _ in range(3)]
    for n, model in enumerate(models):
        model.encode.norm.running_var.fill_(n + 1)
        checkpoint.save(model, tmp_path / str(n))
    folders = [str(tmp_path / str(n)) for n in range(3)]
    assert average.main([*folders, "--out", str(tmp_path / "mean")]) == 0
    mean = checkpoint.load(tmp_path / "mean", "cpu")
    assert mean.encode.norm.running_var.tolist() == pytest.approx([2.0] * 16)
    expected = sum(model.decode.weight for model in models) / 3
    torch.testing.assert_close(mean.decode.weight, expected)


def test_checkpoints_of_two_models_have_no_mean(tmp_path, capsys):
    for name, channels in (("a", 16), ("b", 32)):
        checkpoint.save(BandUNet(BandUNetConfig(channels=channels)), tmp_path / name)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert average.main([*folders, "--out", str(tmp_path / "mean")]) == 1
    assert "one config" in capsys.readouterr().err
    assert not (tmp_path / "mean").exists()
