"""The components of the page and their events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import FileData, ListFiles

from page import downloads, endpoints, handlers, links, loading, results, server
from page.i18n import say, text, translated
from page.lanes import Lanes
from page.run import ZeroGpuRun
from page.server import PRIVATE
from page.session import KEPT_MINUTES, own_name

PARTS = Path(__file__).parent / "parts"
PLACES = 64  # events in progress or queued at most; `Lanes` orders them
QUIET: dict[str, Any] = PRIVATE | {
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}  # the page shows progress itself
NOISES = ("air_conditioner", "crackling_fire", "rain")


class SettingsPanel(NamedTuple):
    """The components of run.Settings, in the same order."""

    strength: gr.Slider
    model: gr.Dropdown
    device: gr.Dropdown
    mono: gr.Checkbox
    loudness: gr.Radio


def build(
    models: loading.ModelRegistry, notice: str | None = None, spaces: ModuleType | None = None
) -> gr.Blocks:
    """The page for loaded models, with a notice about its start if there is one."""
    first, lanes = models.get(), Lanes()
    zerogpu_run = server.on_zerogpu(first.model, spaces) if spaces else None
    devices = loading.devices() if not spaces else ["auto", "cpu"]  # ZeroGPU is used automatically

    with gr.Blocks(title="Speech denoiser") as page:
        gr.Markdown(text("title"), elem_id="head")
        if notice:
            _notice(page, notice)
        with gr.Tab(text("one")):
            _one(page, models, devices, handlers.starting(models, lanes, zerogpu_run))
        with gr.Tab(text("several")):
            _several(models, devices, handlers.starting_many(models, lanes))
        if server.SITE.is_dir():
            with gr.Tab(text("live")):
                part("live")
        _endpoints(models, devices, lanes, zerogpu_run)
        gr.Markdown(text("foot"), elem_id="foot")
        if server.SITE.is_dir():
            gr.Markdown(text("foot.live"))
        if first.card:
            with gr.Accordion(text("card"), open=False):
                gr.Markdown(first.card, elem_id="card")
    return page.queue(max_size=PLACES, default_concurrency_limit=PLACES)


def _notice(page: gr.Blocks, sentence: str) -> None:
    """Shows a sentence about the start of the page, translated as soon as the page has loaded."""

    def told(request: gr.Request) -> str:
        return say(request, "notice", notice=translated(request, sentence))

    shown = gr.Markdown(say(None, "notice", notice=sentence), elem_id="notice")
    page.load(told, None, shown, queue=False, **QUIET)


def part(name: str, *scripts: str) -> gr.HTML:
    """A component from page/parts/; the code of `scripts` is inserted before its own."""
    texts = {kind: (PARTS / f"{name}.{kind}").read_text("utf-8") for kind in ("html", "css", "js")}
    before = [(PARTS / f"{script}.js").read_text("utf-8") for script in scripts]
    return gr.HTML(
        None,
        html_template=texts["html"],
        css_template=texts["css"],
        js_on_load="\n".join([*before, texts["js"]]),
        apply_default_css=False,
        elem_id=name,
    )


def _one(
    page: gr.Blocks,
    models: loading.ModelRegistry,
    devices: list[str],
    start: Callable[..., Any],
) -> None:
    """The tab for one recording, with its events."""
    gr.set_static_paths([links.SAMPLES])  # copies in the cache would be deleted
    box, status = part("box"), part("status")
    with gr.Column(elem_id="result"):
        player = part("player", "picture")
        strength = _strength()
        take = part("take")
        form, loudness = _format(), _loudness()
        with gr.Accordion(text("details"), open=False):
            report = gr.HTML(elem_id="report", apply_default_css=False)
            dnsmos = gr.Checkbox(label=text("dnsmos"), container=False, elem_id="dnsmos")
    with gr.Accordion(text("options"), open=False):
        model, device, mono = _machine(models, devices)
        gr.Markdown(text("again.info"))
        again = gr.Button(text("again"), size="md")
        again.click(None, js="() => document.dispatchEvent(new CustomEvent('denoiser:again'))")
    settings = SettingsPanel(strength, model, device, mono, loudness)
    kept: dict[str, Any] = {"time_to_live": 60 * KEPT_MINUTES}
    result, recording = gr.State(None, **kept), gr.State(None, **kept)
    _noise(box, recording)
    _programs(page, settings)

    outputs = [status, player, result, form, recording]
    box.start(start, list(settings), outputs, **QUIET)
    status.stop(handlers.stop, None, None, queue=False, **QUIET)
    take.wanted(
        handlers.prepare, [result, strength, loudness, form, dnsmos], [take, report], **QUIET
    )
    opened = [box, strength, model, mono, loudness]
    page.load(links.opening(models), None, opened, **QUIET)


def _strength() -> gr.Slider:
    return gr.Slider(0, 100, value=100, step=5, label=text("strength"), elem_id="strength")


def _format() -> gr.Radio:
    choices = [(text(f"form.{form}"), form) for form in results.FORMS if form != "video"]
    return gr.Radio(choices, value="wav", label=text("format"), elem_id="form")


def _loudness() -> gr.Radio:
    choices = [(text(f"loudness.{choice}"), choice) for choice in downloads.LOUDNESS]
    return gr.Radio(choices, value="keep", label=text("loudness"), elem_id="loudness")


def _machine(
    models: loading.ModelRegistry, devices: list[str]
) -> tuple[gr.Dropdown, gr.Dropdown, gr.Checkbox]:
    """Model, device and mono: settings that require another run."""
    with gr.Row():
        model = gr.Dropdown(
            models.names,
            value=models.first,
            allow_custom_value=True,
            label=text("model"),
            info=text("model.info"),
        )
        device = gr.Dropdown(
            devices, value="auto", label=text("device"), visible=len(devices) > 2, min_width=120
        )
        mono = gr.Checkbox(label=text("mono"), min_width=120)
    return model, device, mono


def _noise(box: gr.HTML, recording: gr.State) -> None:
    """Adding noise to a clean recording."""
    names = [name for name in NOISES if links.example(name).exists()]
    nothing = gr.State(None)
    with gr.Accordion(text("noise"), open=False):
        gr.Markdown(text("noise.info"))
        with gr.Row(equal_height=True):
            choices = [(text(f"example.{name}"), name) for name in names]
            noise = gr.Dropdown(choices, label=text("noise.kind"), scale=2, min_width=180)
            snr_db = gr.Slider(
                -5, 20, value=5, step=1, label=text("snr"), scale=2, min_width=180, elem_id="snr"
            )
        with gr.Row():
            add = gr.Button(text("add"), min_width=100)
            own = AnyFile(text("your_noise"), min_width=100)  # type: ignore[arg-type]  # as others
    for event, source in ((add.click, [noise, nothing]), (own.upload, [nothing, own])):
        event(handlers.noisier, [recording, *source, snr_db], box, **QUIET)


def _programs(page: gr.Blocks, settings: SettingsPanel) -> None:
    """Code that calls the API with the current settings."""
    with gr.Accordion(text("program"), open=False):
        python = gr.Code(
            language="python", label="Python", interactive=False, wrap_lines=True, elem_id="python"
        )
        shell = gr.Code(
            language="shell", label="Shell", interactive=False, wrap_lines=True, elem_id="shell"
        )
    gr.on(
        [page.load, *(setting.change for setting in settings)],
        endpoints.programs,
        list(settings),
        [python, shell],
        queue=False,
        **PRIVATE | {"show_progress": "hidden", "trigger_mode": "always_last"},
    )


def _several(models: loading.ModelRegistry, devices: list[str], start: Callable[..., Any]) -> None:
    """The tab for many files."""
    many = part("many")
    with gr.Accordion(text("options"), open=False):
        strength = gr.Slider(0, 100, value=100, step=5, label=text("strength"))
        choices = [(text(f"form.{form}"), form) for form in ("wav", "flac", "mp3", "video")]
        form = gr.Radio(choices, value="wav", label=text("format"))
        choices = [(text(f"loudness.{choice}"), choice) for choice in downloads.LOUDNESS]
        loudness = gr.Radio(choices, value="keep", label=text("loudness"))
        model, device, mono = _machine(models, devices)
    many.start(start, [form, strength, model, device, mono, loudness], many, **QUIET)
    many.stop(handlers.stop_many, None, None, queue=False, **QUIET)


def _endpoints(
    models: loading.ModelRegistry, devices: list[str], lanes: Lanes, zerogpu_run: ZeroGpuRun | None
) -> None:
    """The endpoints /denoise, /batch and /report, with hidden components."""
    with gr.Column(visible=False):
        settings = [
            gr.Slider(0, 100, value=100, label="Strength (%)"),
            gr.Dropdown(models.names, value=models.first, allow_custom_value=True, label="Model"),
            gr.Dropdown(devices, value="auto", label="Device"),
            gr.Checkbox(label="Mono"),
            gr.Radio(list(downloads.LOUDNESS), value="keep", label="Loudness (LUFS)"),
        ]
        recording = Recording(type="filepath", format=None, label="Recording")
        denoise = endpoints.denoising(models, lanes, zerogpu_run)
        file = gr.File(label="Denoised recording")
        gr.Button().click(denoise, [recording, *settings], file, api_name="denoise")
        files = AnyFiles(label="Recordings", file_count="multiple")
        batch = endpoints.batching(models, lanes)
        outcome = [gr.File(label="Archive"), gr.Markdown(label="Table")]
        gr.Button().click(batch, [files, *settings], outcome, api_name="batch")
        sides = [Recording(type="filepath", format=None, label=s) for s in ("Before", "After")]
        dnsmos, numbers = gr.Checkbox(label="DNSMOS"), gr.JSON(label="Numbers")
        gr.Button().click(endpoints.report, [*sides, dnsmos], numbers, api_name="report")


# ---- components that accept any file, under the visitor's name for it


class _Component(ComponentMeta):
    """Gradio's metaclass would write a .pyi file beside this module at every import."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> _Component:
        return super(ComponentMeta, cls).__new__(cls, name, bases, attributes)


class Recording(gr.Audio, metaclass=_Component):
    """Keeps the uploaded file unchanged, even if the browser cannot play it."""

    is_template = True  # a gr.Audio in the browser

    def preprocess(self, payload: FileData | None) -> str | None:
        return own_name(payload) if payload else None


class AnyFile(gr.UploadButton, metaclass=_Component):
    """An upload button for any file; the decoder decides whether it contains audio."""

    is_template = True

    def preprocess(self, payload: ListFiles | FileData | None) -> str | None:
        return own_name(payload) if isinstance(payload, FileData) else None


class AnyFiles(gr.File, metaclass=_Component):
    """The same for many files; with `file_types`, one unsupported file would end the batch."""

    is_template = True

    def preprocess(self, payload: ListFiles | FileData | None) -> list[str] | None:
        return [own_name(file) for file in payload] if isinstance(payload, ListFiles) else None
