"""Where a recording comes in: a file, the microphone, an example, a link, noise on top."""

from __future__ import annotations

import gradio as gr

from page import incoming
from page.i18n import text
from page.server import KEPT_MINUTES, PRIVATE
from page.uploads import AnyFile, Recording

# Of two files sent one after the other the first may arrive last
LATEST_JS = "(file, now) => isLatest(file) ? file : now"
EXAMPLES = ("air_conditioner", "crackling_fire", "rain")


def entry() -> Recording:
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
    names = [name for name in EXAMPLES if incoming.example(name).exists()]
    if names:
        gr.set_static_paths([incoming.SAMPLES])  # copies in the cache would be deleted in time
        gr.Markdown(text("examples"), elem_id="examples")
    with gr.Row():
        for name in names:
            button = gr.Button(text(f"example.{name}"), size="sm", min_width=100)
            path = str(incoming.example(name))
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
        incoming.fetched,
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
        event(incoming.noisier, inputs, [recording, last], **PRIVATE)
