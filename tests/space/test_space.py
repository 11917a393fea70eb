"""The page as a Space: its front matter, and its files alone in a Space's environment."""

import os
import re
import shutil
import socket
import subprocess
import sys
import types
from pathlib import Path

import gradio_client
import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import until
from huggingface_hub import SpaceCard

import app
from denoiser import checkpoint, offline
from denoiser.hub import publish
from denoiser.models.band import BandUNet, BandUNetConfig
from page import layout, loading, run

ROOT = Path(__file__).parents[2]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_front_matter_is_what_a_space_reads():
    about = SpaceCard(publish.space_files()["README.md"].decode()).data.to_dict()
    assert set(about) == {
        *("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version"),
        *("app_file", "short_description", "license", "tags"),
    }
    assert about["sdk"] == "gradio"
    assert f"gradio=={about['sdk_version']}" in (ROOT / "requirements.txt").read_text()
    assert re.fullmatch(r"3\.1\d", about["python_version"])  # 3.1 if it were not quoted
    assert (ROOT / about["app_file"]).is_file()
    assert len(about["short_description"]) <= 60
    assert {about["colorFrom"], about["colorTo"]} <= COLOURS
    assert about["license"] == "mit"


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with requirements.txt and nothing else, as a Space builds it.

    Only what the page imports is compiled, when it starts: all of it would take half a minute.
    """
    environment = tmp_path_factory.mktemp("space") / "env"
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    python = environment / "bin" / "python"
    install = ["pip", "install", "--quiet", "--python", python]
    install += ["-r", ROOT / "requirements.txt"]
    if backend := os.environ.get("TORCH_BACKEND"):
        install += ["--torch-backend", backend]
    for arguments in (["venv", "--quiet", "--python", sys.executable, environment], install):
        subprocess.run([uv, *arguments], check=True)
    return python


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with what is published as a Space, and nothing else."""
    folder = tmp_path_factory.mktemp("files")
    for path, content in publish.space_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def url(python, files, folder, tmp_path):
    """The page in a process and an environment of its own, with the variables of a Space."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    space = {
        "SYSTEM": "spaces",
        "SPACE_ID": "me/denoiser",
        "SPACE_HOST": "me-denoiser.hf.space",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": port,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "DENOISER_MODEL": str(folder),
    }
    log = tmp_path / "log"
    with log.open("w") as out:
        page = subprocess.Popen(
            [python, "app.py"], cwd=files, env=os.environ | space, stdout=out, stderr=out
        )
    try:
        until(lambda: f":{port}" in log.read_text() or page.poll() is not None)
        assert page.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        page.terminate()
        page.wait(10)


def test_the_page_answers_behind_a_proxy_as_in_a_space(url, folder, tmp_path):
    noisy = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    sf.write(tmp_path / "talk.wav", noisy, 16000)
    proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "me-denoiser.hf.space"}
    client = gradio_client.Client(
        url, verbose=False, headers=proxy, download_files=str(tmp_path / "downloads")
    )
    sent = gradio_client.handle_file(str(tmp_path / "talk.wav"))
    served, rate = sf.read(client.predict(sent, 100, api_name="/denoise"))
    for _ in offline.denoise_file(
        checkpoint.load(folder), tmp_path / "talk.wav", tmp_path / "here.wav"
    ):
        pass
    assert rate == 16000
    np.testing.assert_array_equal(served, sf.read(tmp_path / "here.wav")[0])


@pytest.fixture
def lent(monkeypatch):
    """A stand-in for ZeroGPU's package, whose GPU is this CPU: the seconds that were asked for."""
    asked = []

    def lend(duration):
        def decorate(function):
            def call(*arguments):
                asked.append(duration(*arguments))
                return function(*arguments)

            return call

        return decorate

    monkeypatch.setattr(app, "spaces", types.SimpleNamespace(GPU=lend))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: module)
    return asked


@pytest.mark.parametrize(("limit", "borrowed"), [(600, []), (1, [20])])
def test_zero_gpu_is_borrowed_for_long_recordings_only(
    lent, monkeypatch, tmp_path, limit, borrowed
):
    monkeypatch.setattr(run, "LONG_SECONDS", limit)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    sf.write(tmp_path / "talk.wav", np.zeros(3 * 8000), 8000)
    assert app._arguments([]).device == "cpu"
    small = BandUNet(BandUNetConfig(channels=16)).eval()
    models = loading.ModelRegistry(loading.Entry(small, "small"), tmp_path, "cpu")
    page = layout.build(models, spaces=app.spaces)
    (denoise,) = (f.fn for f in page.fns.values() if f.api_name == "denoise")
    *_, result = denoise(str(tmp_path / "talk.wav"), 100, "small", "auto", False, "keep", None)
    assert sf.info(result).frames == 3 * 8000
    assert lent == borrowed
