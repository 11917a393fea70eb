"""The models that visitors may choose, and the one that the page starts with."""

from types import SimpleNamespace

import pytest
from hub_fixtures import NAME

from denoiser import checkpoint
from page import layout, loading


@pytest.fixture
def small(folder) -> loading.ModelRegistry:
    return loading.ModelRegistry(loading.entry(folder, "small", "cpu"), folder, "cpu")


def test_the_page_falls_back_to_its_own_weights_and_says_so(server, away, folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "DEFAULT", folder)
    away()
    models, notice = loading.start(NAME, "cpu")
    assert models.get().model.config.channels == 16
    assert f"This page runs with the weights that it came with, not with {NAME}." in notice
    page = layout.build(models, notice)
    (shown,) = (block for block in page.blocks.values() if block.elem_id == "notice")
    assert shown.value == f"**Please note.** {notice}"
    (told,) = (event.fn for event in page.fns.values() if shown in event.outputs)
    german = told(SimpleNamespace(headers={"accept-language": "de"}))
    assert german.startswith("**Bitte beachten.** Der Hugging Face Hub ist nicht erreichbar (")
    assert german.endswith(f"läuft mit den mitgelieferten Gewichten, nicht mit {NAME}.")


def test_a_refused_token_does_not_keep_the_page_from_starting(server, repo, folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "DEFAULT", folder)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    models, notice = loading.start(NAME, "cpu")
    assert models.get().model.config.channels == 16
    assert notice == (
        f"The Hub rejected the token in HF_TOKEN for {NAME}: set a valid one, or unset it. "
        f"This page runs with the weights that it came with, not with {NAME}."
    )


def test_a_visitor_may_choose_weights_on_the_hub_and_sees_their_commit(server, repo, small):
    chosen = small.get(NAME)
    assert chosen.model.config.channels == 16
    assert (chosen.name, len(chosen.weights)) == (NAME, 8)
    assert small.get(NAME) is chosen  # loaded once for all
    assert "Six hours on *two* cores." in chosen.card
    assert "license:" not in chosen.card


def test_weights_from_the_cache_are_said_to_be(server, repo, small, away):
    assert small.get(NAME).notice is None
    away()
    later = small.get(NAME)
    assert f"Using the cached copy of {NAME}, commit {later.weights}." in later.notice
    assert later.model is small.get(NAME).model


def test_the_embedded_models_are_there_by_name(small):
    assert {"small", "band", "classic"} <= set(small.names)
    assert type(small.get("classic").model).__name__ == "ClassicUNet"
    assert small.get("classic").name == "classic"


def test_all_models_run_on_the_device_that_the_page_was_started_on(small, monkeypatch):
    used, load = [], checkpoint.load

    def loaded(folder, device):
        used.append(device)
        return load(folder, "cpu")

    monkeypatch.setattr(checkpoint, "load", loaded)
    assert small.get("classic") is small.get("classic", "auto")
    assert small.get("small", "auto") is small.get("small", "cpu") is small.get()
    assert used == ["cpu"]
    other = small.get("small", "cuda")  # its own weights, from its own folder
    assert used == ["cpu", "cuda"]
    assert other.model.config == small.get().model.config


def test_only_so_many_models_are_kept(server, repo, small, monkeypatch):
    monkeypatch.setattr(loading, "LOADED", 1)
    first = small.get("classic")
    small.get("band")
    assert small.get("classic") is not first
    assert small.get("classic").weights == first.weights
