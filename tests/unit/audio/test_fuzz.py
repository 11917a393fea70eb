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


@pytest.mark.long
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


def test_a_run_in_two_pieces_tries_the_files_of_one_run(tmp_path, monkeypatch):
    made = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for n, path in enumerate(made):
        path.write_bytes(bytes([n]) * 1000)
    monkeypatch.setattr(fuzz, "seeds", lambda folder: made)

    def files(first, end):
        return [p.read_bytes() for _, p in fuzz.attempts(tmp_path, range(first, end), seed=0)]

    whole = files(0, 40)
    assert files(0, 25) + files(25, 40) == whole
    assert len(set(whole)) == 40


def test_a_stopped_run_names_the_first_file_of_the_next(monkeypatch, capsys):
    tried = []

    def check(path):
        if len(tried) == 5:
            raise KeyboardInterrupt
        tried.append(path)

    for name in ("read", "denoised", "film"):
        monkeypatch.setattr(fuzz, name, check)
    monkeypatch.setattr(fuzz, "Endpoint", lambda: check)
    monkeypatch.setattr(logging.getLogger("denoiser"), "handlers", [])
    assert fuzz.main(["--seed", "7", "--first", "100"]) == 0
    assert capsys.readouterr().out.endswith("The next file is --seed 7 --first 105\n")
