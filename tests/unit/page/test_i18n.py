"""A visitor reads one language throughout, also what the library says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from page.i18n import SENTENCES, WORDS, say, translated

ROOT = Path(__file__).parents[3]
# Code that the page never calls: its sentences appear on the command line
NOT_OF_THE_PAGE = (
    *("denoiser/cli", "denoiser/console.py", "denoiser/export.py", "denoiser/hops.py"),
    *("denoiser/hub/card.py", "denoiser/hub/publish.py", "denoiser/site.py"),
)
# Errors of programmers, and what the log says
NOT_FOR_VISITORS = {"ValueError", "UnicodeError", "AttributeError", "warning", "error"}
UNSEEN = {
    "No checkpoint at x: give a folder that contains config.json.",  # a visitor names no folder
    # Assembled from parts: the whole sentences are in ASSEMBLED
    "x x: choose another file, or export it as WAV or MP3.",
    "x is damaged or cut off: xthe rest is kept.",
    "its channels cancel each other out when they are mixed (one side is inverted): the louder one "
    "is used alone.",
}
ASSEMBLED = {
    "x crashes its decoder: choose another file, or export it as WAV or MP3.",
    "x takes too long to decode: choose another file, or export it as WAV or MP3.",
    "x is damaged or cut off: the rest is kept.",
    "x is damaged or cut off: 3.0 s are missing; the rest is kept.",
    "x is damaged or cut off: 3.0 of 9.0 s are missing; the rest is kept.",
    "x: its channels cancel each other out when they are mixed (one side is inverted): the louder "
    "one is used alone.",
}


def visitor(languages: str):
    return SimpleNamespace(headers={"accept-language": languages})


def text_of(node: ast.AST) -> str | None:
    """A string with x in place of what varies in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "x" for v in node.values)
    return None


def strings(node: ast.AST) -> Iterator[str]:
    """Every string below a node that a visitor may see; docstrings and parts of strings are not."""
    called = getattr(node, "func", None)
    if getattr(called, "id", getattr(called, "attr", None)) in NOT_FOR_VISITORS:
        return
    if text := text_of(node):
        yield text
        return
    for child in ast.iter_child_nodes(node):
        docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if not docstring:
            yield from strings(child)


def said() -> set[str]:
    """All sentences in the code that the page calls."""
    files = [*(ROOT / "denoiser").rglob("*.py"), *(ROOT / "page").rglob("*.py")]
    seen = [p for p in files if not p.relative_to(ROOT).as_posix().startswith(NOT_OF_THE_PAGE)]
    texts = (text for p in seen for text in strings(ast.parse(p.read_text(encoding="utf-8"))))
    return {text for text in texts if re.fullmatch(r"\w[^\\]* [^\\]*([.?]|: x)", text)}


@pytest.mark.parametrize("language", ["de", "es", "fr"])
def test_every_sentence_that_a_visitor_can_see_is_translated(language):
    assert len(said()) > 75
    asks = visitor(language)
    assert {each for each in said() | ASSEMBLED if translated(asks, each) == each} == UNSEEN


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "talk_denoised.webm cannot hold the audio track 3 (Director, the cut, eng, aac), the "
            "cover, the tags a, b.",
            "talk_denoised.webm kann Folgendes nicht aufnehmen: die Tonspur 3 (Director, the cut, "
            "eng, aac), das Titelbild, die Tags a, b.",
        ),
        (
            "MP3 cannot hold metadata of the cover.wav: bext, the cover, more than 255 chapters.",
            "MP3 kann folgende Metadaten von the cover.wav nicht aufnehmen: bext, das Titelbild, "
            "mehr als 255 Kapitel.",
        ),
        (
            "a.wav cannot be written: no space left on device.",
            "a.wav kann nicht geschrieben werden: kein Speicherplatz mehr.",
        ),
        (
            "The Hugging Face Hub cannot be reached (no answer in 8 s). Using the cached copy of "
            "me/model, commit 0123abcd.",
            "Der Hugging Face Hub ist nicht erreichbar (keine Antwort in 8 s). Verwendet wird die "
            "zwischengespeicherte Kopie von me/model, Commit 0123abcd.",
        ),
        (
            "me/model@main is not compatible with this version: /c/config.json has unknown keys: "
            "b, c.",
            "me/model@main passt nicht zu dieser Version: /c/config.json enthält unbekannte "
            "Schlüssel: b, c.",
        ),
    ],
)
def test_sentences_and_lists_within_a_sentence_are_translated_too(english, german):
    assert translated(visitor("de"), english) == german


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
