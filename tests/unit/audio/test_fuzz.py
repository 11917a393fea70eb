"""Damaged files of every kind are read, or refused in one sentence; bench/fuzz.py tries more."""

import importlib.util
import logging
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "fuzz", Path(__file__).parents[3] / "bench" / "fuzz.py"
)
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


@pytest.mark.parametrize(
    ("check", "first", "count"),
    [(fuzz.read, 0, 240), (fuzz.denoised, 240, 20), (fuzz.film, 260, 40)],
)
def test_three_hundred_damaged_files_are_read_or_refused(tmp_path, check, first, count):
    faults = fuzz.Faults()
    logging.getLogger("denoiser").addHandler(faults)
    (tmp_path / "seeds").mkdir()
    broken = []
    try:
        for number, path in fuzz.attempts(tmp_path, range(first, first + count), seed=26):
            outcome = fuzz.outcome(check, path, faults)
            if outcome in ("crash", "traceback"):
                broken.append((number, path.name, outcome, *faults.texts))
    finally:
        logging.getLogger("denoiser").removeHandler(faults)
    assert broken == []
