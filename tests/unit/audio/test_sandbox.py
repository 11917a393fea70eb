"""What a hostile file does to its decoder costs one sentence for that file."""

import os
import resource
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from sounds import noise

from denoiser import audio
from denoiser.audio import sandbox


def crash(path, notify):
    yield 1
    os.kill(os.getpid(), signal.SIGSEGV)


def loop(path, notify):
    yield 1
    while True:
        pass


def devour(path, notify):
    kept = []
    while True:
        kept.append(bytearray(1 << 27))
        yield len(kept)


def stumble(path, notify):
    raise IndexError("tuple index out of range")
    yield


def speak(path, notify):
    notify(f"{path.name} is odd.")
    yield np.arange(6, dtype=np.float32).reshape(2, 3)
    yield {"seconds": 1.5}


def core_limits(path, notify):
    yield list(resource.getrlimit(resource.RLIMIT_CORE))


def refuse(path, notify):
    yield 1
    raise audio.AudioError(f"{path.name} is refused: \udcff.")


END = ": choose another file, or export it as WAV or MP3."


@pytest.mark.parametrize(
    ("function", "sentence"),
    [(crash, f"talk.wav crashes its decoder{END}"),
     (stumble, f"talk.wav crashes its decoder{END}"),
     (loop, f"talk.wav takes too long to decode{END}"),
     (devour, f"talk.wav needs too much memory to decode{END}"),
     (refuse, "talk.wav is refused: \udcff.")],
)  # fmt: skip
def test_whatever_becomes_of_a_child_is_one_sentence(tmp_path, monkeypatch, function, sentence):
    if function is loop:
        monkeypatch.setattr(sandbox, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 2**30)
    with pytest.raises(audio.AudioError) as error:
        list(sandbox.run(function, tmp_path / "talk.wav"))
    assert str(error.value) == sentence
    audio.write(tmp_path / "next.wav", noise(100), 48_000)
    assert audio.read(tmp_path / "next.wav")[0].shape == (1, 100)  # and work goes on


def test_a_crash_leaves_no_core_file_with_somebodys_recording(tmp_path):
    (tmp_path / "talk.wav").touch()
    assert next(sandbox.run(core_limits, tmp_path / "talk.wav")) == [0, 0]


def test_values_waves_and_sentences_arrive_in_order(tmp_path):
    said = []
    wave, value = sandbox.run(speak, tmp_path / "x.wav", notify=said.append)
    np.testing.assert_array_equal(wave, [[0, 1, 2], [3, 4, 5]])
    assert (value, said) == ({"seconds": 1.5}, ["x.wav is odd."])


def test_eight_planar_channels_are_read(tmp_path):
    """PyAV counts nine planes there, and numpy would read what is behind them."""
    wave = np.stack([0.1 * noise(96_000)[0] for _ in range(8)])
    import soundfile

    soundfile.write(tmp_path / "x.opus", wave.T, 48_000, format="OGG", subtype="OPUS")
    back, rate = audio.read(tmp_path / "x.opus")
    assert (back.shape, rate) == ((8, 96_000), 48_000)


def test_a_killed_template_is_started_anew(tmp_path):
    audio.write(tmp_path / "x.wav", noise(100), 48_000)
    audio.info(tmp_path / "x.wav")
    sandbox._template[1].close()
    assert audio.info(tmp_path / "x.wav").channels == 1


def test_many_files_are_read_at_once(tmp_path):
    waves = {n: noise(30_000 + n, seed=n) for n in range(16)}
    read = {}
    for n, wave in waves.items():
        audio.write(tmp_path / f"{n}.wav", wave, 48_000, "FLOAT")

    def work(n):
        read[n] = audio.read(tmp_path / f"{n}.wav")[0]

    threads = [threading.Thread(target=work, args=[n]) for n in waves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, wave in waves.items():
        np.testing.assert_array_equal(read[n], wave)


def test_a_reader_that_stops_leaves_no_process_behind(tmp_path):
    audio.write(tmp_path / "x.wav", noise(4_000_000), 48_000)
    blocks = audio.blocks(tmp_path / "x.wav", seconds=1.0)
    next(blocks)
    blocks.close()
    assert audio.info(tmp_path / "x.wav").channels == 1
    template = _template_pid()
    _until_gone(lambda: _children(template))


def _template_pid() -> int:
    """The only child of this process that runs the sandbox."""
    for child in _children(os.getpid()):
        if b"sandbox.template" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError("no template")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _until_gone(what) -> None:
    from conftest import until

    until(lambda: not what())
