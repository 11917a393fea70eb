"""Serving the page: start, middleware, warm-up, and runs on ZeroGPU."""

from __future__ import annotations

import html
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from page import i18n, session
from page.run import ZeroGpuRun

if TYPE_CHECKING:
    from denoiser.models import Model, Network

HERE = Path(__file__).parent
SITE = HERE.parent / "web" / "site"  # made by `make`; the tab for it is omitted otherwise
LIVE = "/live/"  # path of that site
QUEUE_THREADS = 64  # event handlers that run at the same time
PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # for events outside the API
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif"]
CONTRAST = {  # at least 4.5 : 1, as WCAG AA requires
    "body_text_color_subdued": "*neutral_600",
    "block_info_text_color": "*neutral_600",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "color_accent": "*primary_600",
}
MONOSPACE = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


class LinkPreviews:
    """Replaces Gradio's link preview (title, description and image) by the page's own."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/preview.png":
            await FileResponse(HERE / "preview.png")(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            whole = _with_preview(body.decode("utf-8"), _origin(scope)).encode("utf-8")
            headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
            await send(start | {"headers": [*headers, (b"content-length", b"%d" % len(whole))]})
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, hold)


class Site:
    """Serves the site that runs in the browser, below LIVE."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self.site = StaticFiles(directory=SITE, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(LIVE):
            await self.app(scope, receive, send)
            return
        below = dict(scope) | {"path": scope["path"].removeprefix(LIVE[:-1]), "root_path": ""}
        try:
            await self.site(below, receive, send)
        except HTTPException as error:
            answer = PlainTextResponse(error.detail, status_code=error.status_code)
            await answer(scope, receive, send)


def _origin(scope: Scope) -> str:
    """The origin of this server as the browser sees it, through a proxy, too."""
    headers = {k.decode().lower(): v.decode("latin-1") for k, v in scope["headers"]}
    scheme: str = headers.get("x-forwarded-proto") or scope.get("scheme", "http")
    return f"{scheme.split(',')[0]}://{headers.get('x-forwarded-host') or headers.get('host', '')}"


def _with_preview(page: str, origin: str) -> str:
    """The HTML of the page with title, description, address and image of the link preview."""
    words = i18n.WORDS["en"]["title"].format(minutes=session.KEPT_MINUTES)
    title, description = words.removeprefix("# ").split("\n")
    tags = {"title": title, "description": description, "type": "website", "url": f"{origin}/"}
    tags["image"] = f"{origin}/preview.png"
    page = re.sub(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*', "", page)
    lines = [
        f'<meta property="og:{name}" content="{html.escape(value)}" />'
        for name, value in tags.items()
    ]
    lines.append('<meta name="twitter:card" content="summary_large_image" />')
    lines.append(f'<meta name="description" content="{html.escape(description)}" />')
    return page.replace("<head>", "<head>" + "".join(lines), 1)


def serve(page: gr.Blocks, **where: Any) -> None:
    """Starts the server and the deletion of old files; `where` is passed to Gradio's launch."""
    theme = gr.themes.Default(primary_hue="indigo", font=FONTS, font_mono=MONOSPACE)
    threading.Thread(target=session.sweep, args=[session.cache()], daemon=True).start()
    page.launch(
        run_history=False,
        ssr_mode=False,
        theme=theme.set(**CONTRAST),
        css=(HERE / "page.css").read_text(),
        head=_head(),
        favicon_path=str(HERE / "icon.svg"),
        max_threads=QUEUE_THREADS,
        app_kwargs={"middleware": _middleware()},
        i18n=i18n.i18n(minutes=session.KEPT_MINUTES),
        **where,
    )


def _middleware() -> list[Middleware]:
    previews = Middleware(LinkPreviews)
    return [previews, Middleware(Site)] if SITE.is_dir() else [previews]


def _head() -> str:
    """The page's head: strings, code shared by the parts, access to the raw microphone."""
    words = json.dumps(i18n.WORDS, ensure_ascii=False).replace("</", "<\\/")
    common = (HERE / "parts" / "common.js").read_text("utf-8").replace("WORDS;", f"{words};", 1)
    return f"<script>\n{common}</script>\n" + (HERE / "head.html").read_text("utf-8")


def warm_up(model: Model) -> None:
    """Loads libraries, runs the model once and starts the decoder before the first visit."""
    import numpy as np

    from denoiser import denoise, levels, plot
    from denoiser.audio import sandbox

    sandbox.start()
    second = np.zeros(48000, np.float32)
    meter = levels.Meter(48000, "mono")
    meter.add(second[None])
    meter.summary()
    denoise(model, second[None], 48000)
    for figure in plot.compare({"": second}, 48000):
        figure.savefig(os.devnull, format="png")


def on_zerogpu(model: Network, spaces: ModuleType) -> ZeroGpuRun:
    """`denoise_file` in ZeroGPU's process, on a copy of the model, with an estimated duration."""
    import copy

    from denoiser import audio, offline

    twin = copy.deepcopy(model).to("cuda")

    def seconds(source: str, target: str) -> int:
        return min(120, 20 + round(audio.info(source).seconds / 50))

    @spaces.GPU(duration=seconds)
    def run(source: str, target: str) -> Iterator[float]:
        yield from offline.denoise_file(twin, source, target, subtype="FLOAT")

    return run
