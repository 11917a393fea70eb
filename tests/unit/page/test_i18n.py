"""A visitor reads one language throughout, also what the library says."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from page.i18n import SENTENCES, WORDS, say, translated

ROOT = Path(__file__).parents[3]
# Where sentences come from that a visitor's file, link or choice may bring about
SPEAKERS = (
    *("denoiser/audio/containers.py", "denoiser/audio/decode.py", "denoiser/audio/sandbox.py"),
    *("denoiser/mixing.py", "denoiser/offline.py", "denoiser/report.py", "page/addresses.py"),
    *("page/fetch.py", "page/loading.py", "page/session.py"),
)
ERRORS = {"AudioError", "CheckpointError", "DenoiserError", "FetchError"}


def visitor(languages: str):
    return SimpleNamespace(headers={"accept-language": languages})


def text_of(node: ast.expr) -> str | None:
    """A string with x in place of what varies in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "x" for v in node.values)
    return None


def said() -> list[str]:
    sentences = []
    for name in SPEAKERS:
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if called in ERRORS and (sentence := text_of(node.args[0])):
                    sentences.append(sentence)
    return sentences


def test_every_sentence_of_the_library_is_translated():
    assert len(said()) > 30
    known = ["x crashes its decoder: choose another file, or export it as WAV or MP3."]
    german = visitor("de")
    unknown = [each for each in said() + known if translated(german, each) == each]
    assert unknown == ["x x: choose another file, or export it as WAV or MP3."]  # of two known ones


def test_all_languages_have_the_same_keys_and_values():
    for language in ("de", "es", "fr"):
        assert set(WORDS[language]) == set(WORDS["en"])
        for key, word in WORDS[language].items():
            values = set(re.findall(r"\{\w+\}", word)) - {"{n}", "{place}"}
            assert values == set(re.findall(r"\{\w+\}", WORDS["en"][key])) - {"{n}", "{place}"}, key
        for forms in SENTENCES:
            values = sorted(re.findall(r"\{\d\}", forms["en"]))
            assert sorted(re.findall(r"\{\d\}", forms[language])) == values, forms["en"]


def test_names_stay_as_they_are():
    english = "a {0}: b.wav and two.wav differ in rate or channels."
    assert translated(visitor("de-AT, en;q=0.5"), english) == (
        "a {0}: b.wav und two.wav haben verschiedene Abtastraten oder Kanäle."
    )
    assert translated(visitor("en"), english) == english
    assert translated(None, english) == english


@pytest.mark.parametrize(
    ("languages", "word"),
    [("de-CH", "Nachher"), ("pt-BR, fr;q=0.8", "Après"), ("zh", "After"), ("", "After")],
)
def test_the_first_language_that_is_spoken_here_is_taken(languages, word):
    assert say(visitor(languages), "after") == word
