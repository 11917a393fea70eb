"""The strings of the page in four languages (strings.json) and of the library (sentences.json).

The library writes English. Its sentences are matched against the patterns of sentences.json, and
their values are inserted into the same sentence in another language. Values whose numbers are in
`inner` are sentences or lists themselves and are translated, too. Unknown sentences stay English.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

HERE = Path(__file__).parent
WORDS = json.loads((HERE / "strings.json").read_text(encoding="utf-8"))
SENTENCES = json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))
OURS = "denoiser_"  # Gradio has words of its own under some of these names
MARKDOWN = ("title", "foot")  # filled in when the page is served
LIST = re.compile(r", (?=the |more than )")  # between parts of what a file cannot hold


def i18n(**values: object) -> gr.I18n:
    """The strings in all languages for Gradio; `values` are inserted into those in MARKDOWN."""
    return gr.I18n(
        **{
            language: {
                OURS + key: word.format(**values) if key in MARKDOWN else word
                for key, word in words.items()
            }
            for language, words in WORDS.items()
        }
    )


def text(key: str) -> I18nData:
    """A key that the browser replaces with the string in its language."""
    return gr.I18n()(OURS + key)


def language_of(request: gr.Request | None) -> str:
    """The first of the browser's languages that the page has, as in page/parts/common.js."""
    header = request.headers.get("accept-language", "") if request else ""
    named = (tag.strip()[:2].lower() for tag in re.split(r"[,;]", header))
    return next((tag for tag in named if tag in WORDS), "en")


def say(request: gr.Request | None, key: str, **values: object) -> str:
    """A string in the visitor's language, for text from the server."""
    return WORDS[language_of(request)][key].format(**values)


def translated(request: gr.Request | None, sentence: str) -> str:
    """A sentence of the library in the visitor's language."""
    language = language_of(request)
    return sentence if language == "en" else _translated(language, sentence)


def _translated(language: str, sentence: str) -> str:
    for pattern, forms in _patterns():
        if found := pattern.fullmatch(sentence):
            values = [found[f"v{n}"] for n in range(pattern.groups)]
            for n in forms.get("inner", ()):
                parts = LIST.split(values[n])
                values[n] = ", ".join(_translated(language, part) for part in parts)
            return forms[language].format(*values)
    return sentence


def here(sentence: str) -> str:
    """The same for the visitor whose event is in progress."""
    return translated(LocalContext.request.get(None), sentence)


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Every sentence as a pattern, with a group for each value: v0 for {0}."""
    return [(_pattern(forms["en"]), forms) for forms in SENTENCES]


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\d)\}", sentence)
    texts = (f"(?P<v{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    return re.compile("".join(texts), re.DOTALL)
