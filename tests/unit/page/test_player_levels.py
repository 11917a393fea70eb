"""The player's two sides are equally loud, as far as 6 dB make them so."""

import numpy as np
import pytest
import soundfile as sf
import torch

from denoiser.models.band import BandUNet, BandUNetConfig
from page import loading, results
from page.run import Settings, finished, run


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("result")
    entry = loading.Entry(BandUNet(BandUNetConfig(channels=16)).eval(), "small", "12345678")
    models = loading.ModelRegistry(entry, folder, "cpu")
    sf.write(folder / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    settings = Settings(1.0, "small", "auto", False, "keep")
    return finished(run(models, str(folder / "talk.wav"), folder, settings, shown=True))


@pytest.mark.parametrize(("after_lufs", "match_db"), [(-23, 3), (-19, -1), (-50, 6), (0, -6)])
def test_the_quieter_side_is_brought_up_by_the_difference(
    result, monkeypatch, after_lufs, match_db
):
    numbers = results.measured(result, 1.0)
    numbers["before"]["loudness_lufs"], numbers["after"]["loudness_lufs"] = -20, after_lufs
    monkeypatch.setattr(results, "measured", lambda *_: numbers)
    assert results.player(result, 1.0)["match_db"] == match_db
