"""How a program asks this page for what its visitor has just chosen."""

from __future__ import annotations

import json

import gradio as gr

PROGRAM = """\
# Python: pip install gradio_client
from gradio_client import Client, handle_file

path = Client("{address}").predict(
    handle_file("talk.wav"),
{keywords}    api_name="/denoise",
)

# The same by curl
FILE=$(curl -s -F files=@talk.wav {address}/gradio_api/upload | tr -d '[]"')
EVENT=$(curl -s {address}/gradio_api/call/denoise -H 'Content-Type: application/json' \\
  -d '{{"data": [{{"path": "'$FILE'", "meta": {{"_type": "gradio.FileData"}}}}, {values}]}}' \\
  | cut -d'"' -f4)
curl -sN {address}/gradio_api/call/denoise/$EVENT
"""


def program(
    strength: float, model: str, device: str, mono: bool, loudness: str, request: gr.Request
) -> str:
    """The snippet for these settings, in Python and for curl."""
    settings = {
        "strength": strength,
        "model": model,
        "device": device,
        "mono": bool(mono),
        "loudness": loudness,
    }
    address = str(request.request.base_url).rstrip("/") if request else ""
    keywords = "".join(f"    {name}={value!r},\n" for name, value in settings.items())
    return PROGRAM.format(
        address=address, keywords=keywords, values=", ".join(map(json.dumps, settings.values()))
    )
