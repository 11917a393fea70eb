"""The package as pip installs it: alone, with nothing but what it says it needs."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import denoiser

if sys.version_info < (3, 11):
    import tomli as tomllib
else:
    import tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# What bare inference may import besides Python, and what those packages import themselves
BARE = {"av", "huggingface_hub", "numpy", "safetensors", "soxr", "torch", "tqdm"}
NOT_BARE = {
    *("gradio", "idna", "librosa", "matplotlib", "onnx", "onnxruntime", "onnxscript", "pesq"),
    *("pyloudnorm", "pystoi", "requests", "scipy", "sounddevice", "soundfile", "speechmos"),
    *("torch_pesq", "torchaudio"),
    *("evaluation", "page", "training"),
}
BLOCK = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package and its program, as pip unpacks the wheel of this checkout."""
    folder, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("denoiser/", "checkpoints/", "web/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    (folder / "sitecustomize.py").write_text(BLOCK.format(names=NOT_BARE))
    return folder


def run(installed, where, *command) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    environment.pop("DENOISER_MODEL", None)
    return subprocess.run(
        [sys.executable, *command], cwd=where, env=environment, capture_output=True, text=True
    )


def test_the_command_line_denoises_with_the_weights_of_the_package(installed, tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    sf.write(tmp_path / "talk.wav", wave, 48000, subtype="PCM_16")
    program = run(installed, tmp_path, "-m", "denoiser", "denoise", "talk.wav")
    assert (program.returncode, program.stderr) == (0, "")
    result, rate = sf.read(tmp_path / "talk_denoised.wav")
    assert (rate, len(result)) == (48000, 48000)
    assert np.square(result).mean() < np.square(wave).mean() / 100  # noise is 20 dB quieter


def test_the_four_functions_work_and_nothing_is_imported_before(installed, tmp_path):
    program = """
import sys, denoiser
assert denoiser.__file__.startswith({folder!r}), denoiser.__file__
assert "torch" not in sys.modules and "av" not in sys.modules
wave = __import__("numpy").full((2, 4000), 0.25, "float32")
denoiser.write("a.wav", wave, 16000)
wave, rate = denoiser.read("a.wav")
model = denoiser.load(device="cpu")
denoiser.write("b.flac", denoiser.denoise(model, wave, rate), rate)
print(denoiser.read("b.flac")[0].shape, sorted(set(denoiser.__all__) - set(dir(denoiser))))
"""
    done = run(installed, tmp_path, "-c", program.format(folder=str(installed)))
    assert (done.stdout, done.stderr) == ("(2, 4000) []\n", "")


def test_what_an_extra_brings_is_asked_for_by_the_name_of_the_extra(installed, tmp_path):
    for name in ("a", "b", "c"):
        sf.write(tmp_path / f"{name}.wav", np.zeros(8000), 8000)
    files = ["a.wav", "b.wav", "c.wav", "--out", "pictures"]
    done = run(installed, tmp_path, "-m", "denoiser", "plot", *files)
    needed = re.fullmatch(r"This needs (\w+), which is not installed: (.*)\n", done.stderr)
    assert needed[1] in NOT_BARE
    assert needed[2] == "pip install 'speech-denoiser[plot]'."
    assert done.returncode == 1


def test_version_and_program_are_those_of_the_project(installed, tmp_path):
    said = run(installed, tmp_path, "-m", "denoiser", "--version").stdout
    assert said == f"denoiser {denoiser.__version__}\n"
    assert PROJECT["project"]["scripts"] == {"denoiser": "denoiser.cli:main"}
    assert (installed / "denoiser" / "py.typed").exists()


def test_the_project_names_every_package_and_what_it_needs():
    named = set(PROJECT["tool"]["setuptools"]["packages"])
    folders = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("denoiser/**/__init__.py")}
    assert named - {"denoiser.checkpoints", "denoiser.web"} == {
        folder.replace("/", ".") for folder in folders
    }
    needed = {re.split("[<>=]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert needed == BARE
    pins = (ROOT / "requirements.txt").read_text()
    assert all(f"\n{name}" in pins for name in needed - {"tqdm"})


def test_only_what_is_needed_is_imported_at_the_top_of_a_module():
    for path in ROOT.glob("denoiser/**/*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names} - sys.stdlib_module_names
            allowed = BARE | {"denoiser"} | ({"triton"} if path.name == "scan_cuda.py" else set())
            assert roots <= allowed, path
