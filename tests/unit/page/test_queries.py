"""A link says what it leads to, and what it is opened with is what it said."""

from types import SimpleNamespace

import pytest
import torch

from denoiser.models.band import BandUNet, BandUNetConfig
from page import links, loading
from page.run import Settings


@pytest.fixture
def models(tmp_path):
    torch.manual_seed(0)
    entry = loading.Entry(BandUNet(BandUNetConfig(channels=16)).eval(), "small", "12345678")
    return loading.ModelRegistry(entry, tmp_path, "cpu")


def opened(**query) -> SimpleNamespace:
    return SimpleNamespace(query_params=query, headers={})


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("loudness", ["keep", "-16"])
def test_what_a_link_says_is_what_it_is_opened_with(models, mono, loudness):
    settings = Settings(0.7, "small", "auto", mono, loudness)
    query = links.link(str(links.example("rain")), models.get(), settings)
    warned: list[str] = []
    wanted = links.asked(opened(strength="70", **query), models, warned.append)
    assert wanted == (settings, {"example": "rain"}, "12345678")
    assert warned == []
    assert links.other_weights(wanted, models, None) is None


def test_a_link_made_with_other_weights_says_so(models):
    wanted = links.asked(opened(example="rain", model="small", weights="87654321"), models, print)
    assert links.other_weights(wanted, models, None) == (
        "This link was made with small, weights 87654321; this page now has 12345678, so the "
        "result may differ."
    )


@pytest.mark.parametrize(
    "query",
    [{"strength": "101"}, {"strength": "x"}, {"mono": "2"}, {"loudness": "-1"}, {"model": "../x"}],
)
def test_what_does_not_exist_is_named_and_left_as_usual(models, query):
    ((name, value),) = query.items()
    warned: list[str] = []
    wanted = links.asked(opened(**query), models, warned.append)
    assert wanted.settings == Settings(1.0, "small", "auto", False, "keep")
    assert warned[0].startswith(f"The link asks for {name}={value}")
