"""What mypy says of programs that use the package and the page, by the settings of this project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENING = """\
import numpy as np

import denoiser
from denoiser import mixing, report
from page import loading, server

model = denoiser.load()
wave, sample_rate = denoiser.read("talk.mp3")
"""
RIGHT = """\
enhanced: np.ndarray = denoiser.denoise(model, wave, sample_rate, strength=0.5)
denoiser.write("out.wav", enhanced, sample_rate)
steps = denoiser.denoise_file(model, "talk.mp3", "out.wav", notify=print)
share: float = next(steps)
steps.close()
weights: int = sum(parameter.numel() for parameter in model.parameters())
rate: int = model.eval().to("cpu").config.sample_rate
"""
WRONG = """\
denoiser.denoise("a.wav", model)
denoiser.load(3)
denoiser.write("a.wav", 48000, wave)
mixing.remix(3, "b.wav", "c.wav")
report.report(3, "b.wav")
loading.Entry("band", "its name")
server.warm_up("band")
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Name of a program -> the lines of it, below OPENING, that mypy refuses."""
    folder = tmp_path_factory.mktemp("programs")
    for name, lines in (("right.py", RIGHT), ("wrong.py", WRONG)):
        (folder / name).write_text(OPENING + lines)
    settings = ["--config-file", str(ROOT / "pyproject.toml")]
    settings += [
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]  # torch takes 15 s the first time
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "right.py", "wrong.py"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # errors found; 2 is a failure of mypy
    found = {"right.py": set(), "wrong.py": set()}
    for program, number in re.findall(r"(?m)^(right\.py|wrong\.py):(\d+): error:", done.stdout):
        found[program].add(int(number) - OPENING.count("\n"))
    return found


def test_a_program_as_the_documentation_has_it_is_right(refused):
    assert refused["right.py"] == set()


def test_each_of_seven_mistakes_is_found(refused):
    assert refused["wrong.py"] == {1, 2, 3, 4, 5, 6, 7}
