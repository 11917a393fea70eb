"""A Hub on the loopback address, a checkpoint, and the same on that Hub."""

import json
import threading

import pytest
from hub_server import TOKEN, Hub, Repo
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars

NAME = "me/quiet"
SCORES = {
    "valid": {"pairs": 40, "noisy": {"pesq": 1.25}, "enhanced": {"pesq": 2.5, "new": 0.75}},
    "command": "python -m training.evaluate",
}
disable_progress_bars()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The client reads HF_ENDPOINT and its cache's place on import: set what it made of them."""
    with Hub().running() as server:
        point_client_to(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        server.ended.set()  # what still waits for this Hub ends before the next one is there
        for thread in threading.enumerate():
            if thread.name == "hub":
                thread.join(20)


def point_client_to(url: str, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def away(server, monkeypatch):
    """A call after which nothing listens where the Hub was."""
    return lambda: point_client_to("http://127.0.0.1:9", monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint as a training run leaves it, with a card that a person has worked on."""
    import torch

    from denoiser import checkpoint
    from denoiser.models.band import BandUNet, BandUNetConfig

    folder = tmp_path_factory.mktemp("runs") / "band"
    torch.manual_seed(0)
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), folder)
    (folder / "metrics.json").write_text(json.dumps(SCORES))
    (folder / "state.safetensors").write_bytes(b"to resume from")
    (folder / "README.md").write_text(
        "---\nlicense: mit\ndatasets:\n- me/voices\n---\n# Old\n\nOld.\n\n"
        "## Training\n\nSix hours on *two* cores.\n\n## Licence\n\nOld.\n"
    )
    return folder


@pytest.fixture
def repo(server, folder):
    """The checkpoint on the Hub, beside files that nobody needs."""
    repo = server.repos[("models", NAME)] = Repo(NAME)
    names = ("config.json", "model.safetensors", "README.md")
    files = {name: (folder / name).read_bytes() for name in names}
    repo.commit(files | {"state.safetensors": b"huge", "pytorch_model.bin": b"pickle"})
    return repo


def output(source):
    """A second of noise (1, 16000), denoised by the weights of `source`."""
    import numpy as np

    import denoiser

    wave = np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32)
    return denoiser.denoise(denoiser.load(source, "cpu"), wave, 16000)


def refusal(call, *args, **options) -> str:
    """The sentence with which a call is refused."""
    from denoiser.checkpoint import CheckpointError

    with pytest.raises(CheckpointError) as error:
        call(*args, **options)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence
