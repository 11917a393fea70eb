"""Lines on real streams: a pipe that nobody reads, a full disk, a closed console."""

import subprocess
import sys
from pathlib import Path

import pytest

from denoiser import console

PRINT = """
from denoiser import console
console.prepare()
for number in range(3):
    try:
        console.put(number)
    except OSError as error:
        console.say(type(error).__name__)
    console.say(f"said {number}")
"""
ROOT = Path(__file__).parents[3]


def run(redirection: str) -> tuple[int, str]:
    """Exit code and stderr of a process whose output goes elsewhere."""
    command = ["sh", "-c", f'"$0" -c "$1" {redirection}', sys.executable, PRINT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_reader_who_left_is_reported_once_and_does_not_change_the_exit_code():
    code, err = run_into_a_closed_pipe()
    assert (code, err.splitlines()) == (0, ["BrokenPipeError", "said 0", "said 1", "said 2"])


def run_into_a_closed_pipe() -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", "input()" + PRINT],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate("go\n")
    return process.returncode, err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_reported_once():
    code, err = run(">/dev/full")
    assert (code, err.splitlines()) == (0, ["OSError", "said 0", "said 1", "said 2"])


def test_closed_streams_are_no_error():
    assert run(">&- 2>&- <&-") == (0, "")
    assert run(">&-") == (0, "said 0\nsaid 1\nsaid 2\n")


def test_a_sentence_is_one_line(capsys):
    console.say("a\nb\x1b[2J\x9b.wav does not exist.")
    assert capsys.readouterr().err == "a\\nb\\x1b[2J\\x9b.wav does not exist.\n"
