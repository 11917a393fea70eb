"""The words of the page: strings.json, the only place for them, in four languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gradio as gr

WORDS = json.loads((Path(__file__).parent / "strings.json").read_text(encoding="utf-8"))
OURS = "denoiser_"  # Gradio has words of its own under some of these names
MARKDOWN = ("title", "foot")  # filled in when the page is served


def i18n(**values) -> gr.I18n:
    """What the browser chooses from; head and foot of the page are filled in with `values`."""
    return gr.I18n(
        **{
            language: {
                OURS + key: word.format(**values) if key in MARKDOWN else word
                for key, word in words.items()
            }
            for language, words in WORDS.items()
        }
    )


def text(key: str):
    """A key that the browser replaces with its words."""
    return gr.I18n()(OURS + key)


def language_of(request: gr.Request | None) -> str:
    """The first language that the browser names and this page speaks, as page/parts/common.js."""
    header = request.headers.get("accept-language", "") if request else ""
    named = (tag.strip()[:2].lower() for tag in re.split(r"[,;]", header))
    return next((tag for tag in named if tag in WORDS), "en")


def say(request: gr.Request | None, key: str, **values) -> str:
    """The words for what the server writes."""
    return WORDS[language_of(request)][key].format(**values)
