"""Names that fit a disk, and files that are whole or not there."""

import os

import pytest

from denoiser.files import fitting, replacing


@pytest.mark.parametrize(
    ("stem", "bytes_kept"),
    [
        ("talk", 4),
        ("x" * 300, 242),
        ("ä" * 200, 242),  # 2 bytes each
        ("語" * 200, 240),  # 3
        ("🙊" * 200, 240),  # 4
        (os.fsdecode(b"\xe9" * 300), 242),  # not UTF-8: one byte each
        ("\ud800" * 100, 240),  # on Windows
    ],
)
def test_a_name_has_at_most_255_bytes_and_whole_characters(stem, bytes_kept):
    name = fitting(stem, "_denoised.wav")
    assert name == stem[: len(name) - 13] + "_denoised.wav"
    kept = name.removesuffix("_denoised.wav")
    errors = "surrogatepass" if "\ud800" in stem else "surrogateescape"
    assert len(kept.encode("utf-8", errors)) == bytes_kept


def test_an_ending_that_alone_is_too_long_is_cut_as_well():
    assert fitting("talk", "." + "x" * 300) == "." + "x" * 254


def test_a_fitting_name_can_be_written(tmp_path):
    path = tmp_path / fitting("語" * 300, ".wav")
    with replacing(path) as temporary:
        temporary.write_bytes(b"sound")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(path.name, b"sound")]


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]
