"""The words of the page: strings.json, the only place for them, in English, German and Spanish."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

WORDS = json.loads((Path(__file__).parent / "strings.json").read_text(encoding="utf-8"))
OURS = "denoiser_"  # Gradio has words of its own under some of these names
FOR_PLAYER = (
    *("player", "listen", "before", "after", "noise_heard", "play", "pause", "position"),
    *("copy", "copied", "computed_anew", "settings_only"),
)


def i18n(**values) -> gr.I18n:
    """What the browser chooses from; the foot of the page is filled in with `values`."""
    return gr.I18n(
        **{
            language: {
                OURS + key: word.format(**values) if key == "foot" else word
                for key, word in words.items()
            }
            for language, words in WORDS.items()
        }
    )


def text(key: str):
    """A key that the browser replaces with its words."""
    return gr.I18n()(OURS + key)


def say(request: gr.Request | None, key: str, **values) -> str:
    """The words for what the server writes, in the first language that the browser names."""
    language = request.headers.get("accept-language", "en")[:2].lower() if request else "en"
    return WORDS.get(language, WORDS["en"])[key].format(**values)
