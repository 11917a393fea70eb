"""@FILE on the command lines of training: a path a line, whatever wrote the list."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from denoiser import audio
from training import options, train
from training.data import lists
from training.data.sources import audio_files
from training.errors import TrainingError
from training.prepare import make_pairs, select_speech
from training.weights import prune

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def recordings(tmp_path, monkeypatch):
    """Recordings with ordinary and other names, and c.wav, which is in no list."""
    monkeypatch.chdir(tmp_path)
    names = ["a.wav", "b.wav", "c.wav", "-b.wav", "@b.wav", "b b.wav", "bé.wav", "b\u2028b.wav"]
    for name in [*names, os.fsdecode(b"b\xe9.wav"), "noise/n.wav"]:
        Path(name).parent.mkdir(exist_ok=True)
        audio.write(name, np.full((1, 800), 0.1, np.float32), 16000)
    return tmp_path


def clean(*values) -> list[Path]:
    """What training hears as speech when it is given these."""
    given = options.parse(["--clean", *values, "--noise", "noise", "--out", "run"], "")
    return audio_files(given.clean)


LISTS = {
    "plain": b"a.wav\nb.wav\n",
    "no end": b"a.wav\nb.wav",
    "empty line": b"a.wav\n\nb.wav\n",
    "empty end": b"\na.wav\nb.wav\n\n  \n",
    "mark": b"\xef\xbb\xbfa.wav\nb.wav\n",
    "crlf": b"a.wav\r\nb.wav\r\n",
    "mac": b"a.wav\rb.wav\r",
    "crlf and mark": b"\xef\xbb\xbf\r\na.wav\r\n\r\nb.wav",
    "utf-16": "a.wav\r\nb.wav\r\n".encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + "a.wav\nbé.wav\n".encode("utf-16-be"),
    "dash": b"a.wav\n-b.wav\n",
    "at": b"a.wav\n@b.wav\n",
    "space": b"a.wav\nb b.wav\n",
    "accent": "a.wav\nbé.wav\n".encode(),
    "line separator": "a.wav\nb\u2028b.wav\n".encode(),
    "other bytes": b"a.wav\nb\xe9.wav\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_two_recordings_that_it_names(name):
    Path("list.txt").write_bytes(LISTS[name])
    found = clean("@list.txt")
    assert len(found) == 2
    assert Path("c.wav") not in found


def test_lists_and_folders_stand_beside_each_other():
    Path("list.txt").write_text("a.wav\nb.wav\n")
    assert list(map(str, clean("noise", "@list.txt", "c.wav"))) == [
        "a.wav", "b.wav", "c.wav", "noise/n.wav"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a.wav\nGespräch.wav\n".encode("latin-1"), "is not in UTF-8: save it as UTF-8"),
        ("a.wav\n".encode("utf-16-le"), "is not in UTF-8: save it as UTF-8"),
        ("a.wav\n".encode("utf-16-be"), "is not in UTF-8: save it as UTF-8"),
        ("a.wav\n".encode("utf-32"), "is not in UTF-8: save it as UTF-8"),
        ("a.wav".encode("utf-16")[:-1], "is not in UTF-8: save it as UTF-8"),
        (b"", "holds no path: write one a line"),
        (b"\xef\xbb\xbf\r\n \n", "holds no path: write one a line"),
        (b"a.wav\nlist.txt\n", "names itself: take that line out"),
        (b"a.wav\n./list.txt\n", "names itself: take that line out"),
    ],
)
@pytest.mark.parametrize("command", [train, make_pairs, prune])
def test_what_is_wrong_with_a_list_is_a_sentence(capsys, command, content, sentence):
    Path("list.txt").write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        command.main(["--clean", "@list.txt", "--noise", "noise", "--out", "run"])
    assert stop.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"error: argument --clean: the list list.txt {sentence}")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [("@none.txt", "the list none.txt cannot be read, no such file or directory: check its name"),
     ("@noise", "noise is a folder: give it without @"),
     ("", "an empty path is no folder: leave it out")],
)  # fmt: skip
def test_what_is_no_list_is_a_sentence(capsys, value, sentence):
    with pytest.raises(SystemExit):
        train.main(["--clean", value, "--noise", "noise", "--out", "run"])
    assert f"argument --clean: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--init", "--teacher"])
def test_an_empty_option_is_not_the_working_folder(capsys, option):
    given = ["--clean", "noise", "--noise", "noise", "--out", "run", option, ""]
    with pytest.raises(SystemExit):
        train.main(given)
    assert f"argument {option}: an empty path is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [("", "An empty path is no folder: leave it out."),
     ("gone.wav", "There is no file or folder gone.wav: check its name.")],
)  # fmt: skip
def test_no_path_is_a_sentence(folder, sentence):
    with pytest.raises(TrainingError) as refusal:
        audio_files([folder])
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("encoding", ["utf-8:strict", "cp1252:strict", "ascii:strict"])
def test_what_voices_prints_is_what_training_hears(recordings, encoding):
    """In a process of its own: what Python makes of stdout depends on its environment."""
    program = (
        "import sys; from training.prepare import select_speech;"
        "select_speech.opinion = lambda path: 5.0;"
        "sys.exit(select_speech.main(['.']))"
    )
    audio.write("line\nbreak.wav", np.full((1, 800), 0.1, np.float32), 16000)
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    with open("voices.txt", "wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=file, stderr=subprocess.PIPE, env=environment
        )
    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == [
        "line\\nbreak.wav is left out: a list holds no name with a line break."
    ]
    Path("line\nbreak.wav").unlink()
    assert lists.read("voices.txt") == list(map(str, audio_files(["."])))
    assert len(lists.read("voices.txt")) == 10


def test_voices_ends_when_nobody_reads_any_more(monkeypatch):
    judged = []
    monkeypatch.setattr(select_speech, "opinion", lambda path: judged.append(path) or 5.0)

    def put(line):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(select_speech.console, "put", put)
    assert select_speech.main(["."]) == 141
    assert len(judged) == 1
