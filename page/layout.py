"""The components of the page, and which of them calls what."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import gradio as gr

from page import handlers, links, registry, results, server
from page.i18n import text
from page.server import PRIVATE
from page.session import KEPT_MINUTES
from page.snippet import program
from page.uploads import AnyFile, AnyFiles, Recording

PARTS = Path(__file__).parent
QUEUE_PLACES = 32
ON_MODEL = {"concurrency_id": "model", "concurrency_limit": 1}
# The player follows at once; files and pictures are made when the slider has come to rest
STRENGTH_JS = """s => {
  document.dispatchEvent(new CustomEvent('denoiser:strength', {detail: s}));
  clearTimeout(window.settling);
  const rest = () => document.querySelectorAll('.settled').forEach((button) => button.click());
  window.settling = setTimeout(rest, 300);
}"""
# What comes while one is at work waits. Gradio then repeats the click for all who listen to it: two
# such listeners to one button would call each other for ever.
LATEST = PRIVATE | {"trigger_mode": "always_last"}


class SettingsPanel(NamedTuple):
    """What a visitor may choose before the run: components in the order of run.Settings."""

    strength: gr.Slider
    model: gr.Dropdown
    device: gr.Dropdown
    mono: gr.Checkbox
    loudness: gr.Radio


class ResultPanel(NamedTuple):
    """Where a result is heard, seen, measured and taken away."""

    player: gr.HTML
    pictures: gr.ImageSlider
    report: gr.Markdown
    dnsmos: gr.Checkbox
    form: gr.Dropdown
    download: gr.DownloadButton


def build(models: registry.ModelRegistry, notice: str | None = None, spaces=None) -> gr.Blocks:
    """The page around loaded models, which all visitors share and nobody changes."""
    first = models.get()
    zerogpu_run = server.on_zerogpu(first.model, spaces) if spaces else None

    with gr.Blocks(title="Speech denoiser") as page:
        gr.Markdown(text("title"), elem_id="head")
        if notice:
            gr.Markdown(f"**Please note.** {notice}", elem_id="notice")
        with gr.Tab(text("one")):
            _one(page, models, spaces is None, handlers.denoising(models, zerogpu_run))
        with gr.Tab(text("several")):
            _several(models, spaces is None, handlers.batching(models))
        _report_endpoint()
        gr.Markdown(text("foot"), elem_id="foot")
        if first.card:
            with gr.Accordion(text("card"), open=False):
                gr.Markdown(first.card, elem_id="card")
    return page.queue(max_size=QUEUE_PLACES)


def _one(page: gr.Blocks, models: registry.ModelRegistry, own_gpu: bool, denoise) -> None:
    """One recording: from the entry to the result, and what happens when."""
    recording = _input_panel()
    settings, run, stop = _settings(models, own_gpu, text("denoise"))
    with gr.Column(visible=False, elem_id="result") as panel:
        leave = _exit()
    with gr.Accordion(text("program"), open=False):
        snippet = gr.Textbox(
            label=text("program"), show_label=False, lines=12, buttons=["copy"], elem_id="program"
        )
    result = gr.State(None, time_to_live=60 * KEPT_MINUTES)
    link_trigger = gr.State(None)  # changes when a link wants the run to begin

    start = [run.click, link_trigger.change]
    gr.on(start, handlers.cleared, None, [panel, leave.player, leave.form], queue=False, **PRIVATE)
    running = gr.on(
        start,
        denoise,
        [recording, *settings],
        [leave.download, result],
        api_name="denoise",
        **ON_MODEL,
    )
    stop.click(None, cancels=[running], **PRIVATE)
    _present(running, result, settings, panel, leave)

    linked = [recording, settings.strength, settings.model, settings.mono, settings.loudness]
    page.load(links.opening(models), None, [*linked, link_trigger], concurrency_limit=8, **PRIVATE)
    gr.on(
        [page.load, *(setting.change for setting in settings)],
        program,
        list(settings),
        snippet,
        queue=False,
        show_progress="hidden",
        **LATEST,
    )


def _present(
    running, result: gr.State, settings: SettingsPanel, panel: gr.Column, leave: ResultPanel
) -> None:
    """After a run, and when strength, loudness or form are changed during it or later."""
    strength, loudness = settings.strength, settings.loudness
    shown = running.success(
        handlers.shown, [result, strength], [leave.player, leave.form, panel], **PRIVATE
    )
    for_file, for_pictures = (gr.Button(visible="hidden", elem_classes="settled") for _ in range(2))
    strength.input(None, strength, js=STRENGTH_JS, **PRIVATE)
    take = [handlers.taken, [result, strength, loudness, leave.form], leave.download]
    judge = [handlers.judged, [result, strength, leave.dnsmos], [leave.pictures, leave.report]]
    shown.success(*take, **PRIVATE)
    shown.success(*judge, **PRIVATE)
    gr.on([for_file.click, loudness.input, leave.form.input], *take, **LATEST)
    gr.on([for_pictures.click, leave.dnsmos.input], *judge, **LATEST)


def _settings(
    models: registry.ModelRegistry, own_gpu: bool, verb
) -> tuple[SettingsPanel, gr.Button, gr.Button]:
    """Strength, Run and Stop; the rest folded away."""
    with gr.Row(elem_classes="run"):
        strength = gr.Slider(
            0, 100, value=100, step=5, label=text("strength"), scale=3, min_width=220
        )
        run = gr.Button(verb, variant="primary", scale=3, min_width=120)
        stop = gr.Button(text("stop"), scale=1, min_width=90)
    with gr.Accordion(text("options"), open=False), gr.Row():
        model = gr.Dropdown(
            models.names,
            value=models.first,
            allow_custom_value=True,
            label=text("model"),
            info=text("model.info"),
        )
        devices = registry.devices() if own_gpu else ["auto", "cpu"]  # a lent GPU is not chosen
        device = gr.Dropdown(
            devices, value="auto", label=text("device"), visible=len(devices) > 2, min_width=120
        )
        loudness = gr.Radio(
            [(text(f"loudness.{choice}"), choice) for choice in results.LOUDNESS],
            value="keep",
            label=text("loudness"),
        )
        mono = gr.Checkbox(label=text("mono"), min_width=120)
    return SettingsPanel(strength, model, device, mono, loudness), run, stop


def _exit() -> ResultPanel:
    parts = {name: (PARTS / f"player.{name}").read_text() for name in ("html", "css", "js")}
    player = gr.HTML(
        None,
        html_template=parts["html"],
        css_template=parts["css"],
        js_on_load=parts["js"],
        elem_id="player",
        padding=False,
    )
    pictures = gr.ImageSlider(
        label=text("pictures.label"),
        type="filepath",
        show_label=False,
        buttons=["fullscreen"],
        elem_id="pictures",
    )
    report = gr.Markdown(elem_id="report")
    dnsmos = gr.Checkbox(label=text("dnsmos"), container=False)
    with gr.Row():
        form = gr.Dropdown(
            [(text(f"form.{form}"), form) for form in results.FORMS],
            value="wav",
            label=text("format"),
            min_width=240,  # the longest fits
        )
        download = gr.DownloadButton(
            text("download"), variant="primary", scale=1, elem_id="download"
        )
    return ResultPanel(player, pictures, report, dnsmos, form, download)


def _several(models: registry.ModelRegistry, own_gpu: bool, batch) -> None:
    """Many files in, one archive out."""
    files = AnyFiles(label=text("files"), file_count="multiple", elem_id="files")
    settings, run, stop = _settings(models, own_gpu, text("all"))
    table = gr.Markdown(elem_id="table")
    archive = gr.File(label=text("zip"), interactive=False, elem_id="archive")
    running = run.click(batch, [files, *settings], [archive, table], api_name="batch", **ON_MODEL)
    stop.click(None, cancels=[running], **PRIVATE)


def _report_endpoint() -> None:
    """/report, for programs: its parts are not shown."""
    with gr.Column(visible=False):
        sides = [Recording(type="filepath", format=None, label=s) for s in ("before", "after")]
        dnsmos, numbers = gr.Checkbox(label="dnsmos"), gr.JSON()
        gr.Button().click(handlers.report, [*sides, dnsmos], numbers, api_name="report")


# Of two files sent one after the other the first may arrive last
LATEST_JS = "(file, now) => isLatest(file) ? file : now"
EXAMPLES = ("air_conditioner", "crackling_fire", "rain")


def _input_panel() -> Recording:
    """The components; the one that holds the recording is returned."""
    recording = Recording(
        label=text("recording"),
        sources=["upload", "microphone"],
        type="filepath",
        format=None,
        buttons=[],
        editable=False,  # its scissors would resample to 48 kHz and 16 bit, and clip
        waveform_options=gr.WaveformOptions(sample_rate=48000),
        elem_id="recording",
    )
    gr.Markdown(text("unplayable"), elem_id="unplayable")  # shown by page/head.html
    names = [name for name in EXAMPLES if links.example(name).exists()]
    if names:
        gr.set_static_paths([links.SAMPLES])  # copies in the cache would be deleted in time
        gr.Markdown(text("examples"), elem_id="examples")
    with gr.Row():
        for name in names:
            button = gr.Button(text(f"example.{name}"), size="sm", min_width=100)
            path = str(links.example(name))
            button.click(lambda path=path: path, None, recording, **PRIVATE)
        # The browser's part of the component above refuses video and rare formats; set from here,
        # it takes them. page/head.html sends here what is dropped there.
        other = AnyFile(text("video"), size="sm", elem_id="other")
        other.upload(None, other, recording, js=LATEST_JS, **PRIVATE)
    with gr.Accordion(text("more"), open=False):
        _link(recording)
        _noise(recording, names)
    return recording


def _link(recording: Recording) -> None:
    with gr.Row(equal_height=True):
        address = gr.Textbox(label=text("link"), placeholder="https://", scale=3, elem_id="address")
        button = gr.Button(text("open"), scale=1, min_width=100)
    gr.on(
        [button.click, address.submit],
        links.fetched,
        address,
        recording,
        concurrency_limit=8,
        **PRIVATE,
    )


def _noise(recording: Recording, names: list[str]) -> None:
    """For those who have a clean recording only."""
    last = gr.State((), time_to_live=60 * KEPT_MINUTES)
    nothing = gr.State(None)
    with gr.Row(equal_height=True):
        choices = [(text(f"example.{name}"), name) for name in names]
        noise = gr.Dropdown(choices, label=text("noise"), scale=2, min_width=180, elem_id="noise")
        snr_db = gr.Slider(-5, 20, value=5, step=1, label=text("snr"), scale=2, min_width=180)
        add = gr.Button(text("add"), scale=1, min_width=100)
        own = AnyFile(text("your_noise"), min_width=100)
    for event, source in ((add.click, [noise, nothing]), (own.upload, [nothing, own])):
        inputs = [recording, *source, snr_db, last]
        event(links.noisier, inputs, [recording, last], **PRIVATE)
