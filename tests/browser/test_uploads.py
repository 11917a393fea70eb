"""What visitors send is denoised as it was sent, under their name for it, whatever it is."""

import sys
import zipfile
from pathlib import Path

import av
import gradio_client
import numpy as np
import pytest
import soundfile as sf
from sounds import encode, noise, speech_like, write_video
from visitor import choose, download, strength, upload, wait_for_result

from denoiser.errors import DenoiserError
from page import addresses, fetch, session

ASKED = "import pathlib; me = pathlib.Path(__file__); me.with_name(f'asked {me.name}').touch()"
FFPROBE = 'print(\'{"format": {}, "streams": [{"codec_name": "unheard_of"}]}\')'
FFMPEG = "import sys, shutil; shutil.copy({silence!r}, sys.argv[-1])"


@pytest.fixture
def path_with(request, tmp_path, monkeypatch):
    """PATH with an ffmpeg that makes silence of all it is given to convert, and is never asked.

    With the parameter "no ffmpeg" there is none.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    if getattr(request, "param", None) != "no ffmpeg":
        silence = tmp_path / "silence.wav"
        sf.write(silence, np.zeros(16000), 16000, subtype="PCM_16")
        texts = {"ffprobe": FFPROBE, "ffmpeg": FFMPEG.format(silence=str(silence))}
        for name, text in texts.items():
            (programs / name).write_text(f"#!{sys.executable}\n{ASKED}\n{text}\n")
            (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    yield
    assert [path.name for path in programs.glob("asked*")] == []


def untouched(page, tmp_path) -> Path:
    """The result at strength 0: the recording itself."""
    wait_for_result(page)
    strength(page).press("Home")
    page.get_by_text("Almost nothing was removed").wait_for()
    return download(page, tmp_path)


def write_two_tracks(path, first: np.ndarray, second: np.ndarray) -> None:
    """A film whose second track (T,) is its default."""
    with av.open(str(path), "w") as film:
        pictures = film.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        tracks = [film.add_stream("pcm_s16le", rate=48000, layout="mono") for _ in range(2)]
        tracks[1].disposition = av.stream.Disposition.default
        for _ in range(10 * len(first) // 48000):
            black = np.zeros((32, 32, 3), np.uint8)
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(black, "rgb24")))
        film.mux(pictures.encode(None))
        for track, wave in zip(tracks, (first, second), strict=True):
            samples = np.round(wave * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = 48000
            film.mux(track.encode(frame))
            film.mux(track.encode(None))


@pytest.mark.parametrize("path_with", ["no ffmpeg", "ffmpeg"], indirect=True)
def test_a_film_is_heard_on_its_default_track_and_stays_a_film(page, path_with, tmp_path):
    voice = speech_like(2.0, 48000)[:, 0]
    write_two_tracks(tmp_path / "two_tracks.mkv", noise(96000)[0], voice)
    upload(page, tmp_path / "two_tracks.mkv")
    wait_for_result(page)
    choose(page, "form", "WAV")
    result = untouched(page, tmp_path)
    assert result.name == "two_tracks_denoised.wav"
    assert np.corrcoef(sf.read(result)[0], voice)[0, 1] > 0.98
    choose(page, "form", "Video with clean sound")
    assert download(page, tmp_path).suffix == ".mkv"


@pytest.mark.parametrize(("ending", "subtype"), [("mov", "PCM_24"), ("caf", "FLOAT")])
def test_bits_and_peak_are_those_of_the_file(page, path_with, tmp_path, ending, subtype):
    path, wave = tmp_path / f"talk.{ending}", speech_like(2.0, 48000)
    if ending == "mov":
        encode(path, "pcm_s24le", wave.T, 48000)
    else:
        wave *= 4 / np.abs(wave).max()
        sf.write(path, wave, 48000, format="CAF", subtype="FLOAT")
    upload(page, path)
    result = untouched(page, tmp_path)
    assert sf.info(result).subtype == subtype
    assert np.abs(sf.read(result)[0]).max() == pytest.approx(np.abs(wave).max(), rel=1e-5)


@pytest.mark.parametrize("way", ["link", "example"])
def test_a_copied_link_names_where_the_recording_came_from(
    empty, url, path_with, tmp_path, monkeypatch, way
):
    def fetched(address: str, folder: Path) -> Path:
        sf.write(folder / "talk.aiff", speech_like(1.0, 16000), 16000)
        return folder / "talk.aiff"

    monkeypatch.setattr(fetch, "fetch", fetched)
    query = {"link": "url=https://example.com/talk.aiff", "example": "example=rain"}[way]
    page = empty
    page.goto(f"{url}?{query}")
    wait_for_result(page)
    page.get_by_role("button", name="Copy link").click()
    page.locator("#player .copied:not(:empty)").wait_for()
    assert f"?{way.replace('link', 'url')}=" in page.locator("#player .copied").inner_text()


def test_noise_on_top_is_in_the_result(page, path_with, cache, tmp_path, request):
    """A noise of the visitor's own, in a format that no browser knows."""
    clean, hiss = speech_like(2.0, 16000), noise(32000).T
    sf.write(tmp_path / "clean.wav", clean, 16000, subtype="FLOAT")
    sf.write(tmp_path / "hiss.caf", hiss, 16000, format="CAF")
    upload(page, tmp_path / "clean.wav")
    wait_for_result(page, "clean.wav")
    slow = request.getfixturevalue("slow")  # or its run may be over before it was seen
    page.get_by_text("Test with added noise").click()
    page.locator("input[data-testid$=upload-button]").set_input_files(str(tmp_path / "hiss.caf"))
    page.locator("#status .stop").wait_for()
    slow.set()
    result, _ = sf.read(untouched(page, tmp_path), always_2d=True)
    assert np.corrcoef((result - clean)[:, 0], hiss[:, 0])[0, 1] > 0.999


def test_any_format_is_played_after_the_run_and_another_takes_its_place(page, tmp_path):
    """A file that no browser plays, then an example."""
    sf.write(tmp_path / "first.caf", speech_like(1.0, 16000), 16000, format="CAF")
    upload(page, tmp_path / "first.caf")
    wait_for_result(page, "first.caf")
    assert page.evaluate("denoiser.sound.audio.duration") == pytest.approx(1, abs=0.01)
    page.locator("#box .change").click()
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    assert download(page, tmp_path).name == "rain_denoised.wav"


def test_of_two_uploads_the_last_chosen_stays_though_the_first_was_on_its_way(
    page, noisy, tmp_path
):
    """The first is given up: it cannot arrive later and take the place of the other."""
    held = []
    page.route("**/upload*", lambda route: route.continue_() if held else held.append(route))
    sf.write(tmp_path / "slow.caf", speech_like(1.0, 16000), 16000, format="CAF")
    with page.expect_request("**/upload*") as first:
        upload(page, tmp_path / "slow.caf")
    with page.expect_event("requestfailed", lambda request: request == first.value):
        upload(page, noisy)  # which gives the first up
    wait_for_result(page, "inter.view.wav")
    assert page.locator("#box .name").inner_text() == "inter.view.wav"
    assert download(page, tmp_path).name == "inter.view_denoised.wav"


DROP = """(box, [name, type, data]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(data)], name, { type }));
  const about = { dataTransfer: transfer, bubbles: true, cancelable: true };
  box.dispatchEvent(new DragEvent("drop", about));
}"""


def test_what_is_dropped_on_the_box_may_be_a_video(page, tmp_path):
    write_video(tmp_path / "film.mp4", speech_like(1.0, 48000))
    data = list((tmp_path / "film.mp4").read_bytes())
    page.get_by_text("Drop audio or video here").evaluate(DROP, ["film.mp4", "video/mp4", data])
    wait_for_result(page, "film.mp4")
    assert download(page, tmp_path).name == "film_denoised.mp4"


def test_a_browser_is_given_no_file_that_it_did_not_upload(models, cache, tmp_path):
    sf.write(tmp_path / "secret.wav", np.zeros(100), 16000)
    for path in (tmp_path / "secret.wav", cache / ".." / "secret.wav", "/etc/passwd"):
        with pytest.raises(DenoiserError, match="was not uploaded"):
            session.received(str(path), "secret.wav")


def test_any_length_of_address_is_answered_by_the_sentence(page):
    page.get_by_role("button", name="Paste a link").click()
    address = page.get_by_label("Link to an audio or video file")
    address.fill(f"https://example.com/{'x' * addresses.LONGEST}")
    page.get_by_role("button", name="Open", exact=True).click()
    page.locator("#box .warning").get_by_text(f"{addresses.LONGEST} characters").wait_for()
    assert address.input_value().endswith("xxx")  # what was entered stays


def test_every_file_of_a_batch_has_its_row(client, tmp_path):
    """Formats that browsers have no name for, a text that has the name of one, and a picture."""
    wave, kinds = speech_like(1.0, 16000), ("CAF", "W64", "AU", "AIFF")
    for kind in kinds:
        sf.write(tmp_path / f"talk.{kind.lower()}", wave, 16000, format=kind)
    encode(tmp_path / "talk.spx.ogg", "libopus", noise(48000), 48000)
    (tmp_path / "text.caf").write_text("This is a letter, not a sound.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    sent = sorted(path for path in tmp_path.iterdir() if path.is_file())
    archive, table = client.predict(
        [gradio_client.handle_file(str(path)) for path in sent], 100, api_name="/batch"
    )
    rows = table.splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [path.name for path in sent]
    bad = [row for row in rows if not row.endswith("denoised |")]
    assert [row.split(" | ")[0] for row in bad] == ["| picture.png", "| text.caf"]
    assert all(row.endswith(". |") for row in bad)
    with zipfile.ZipFile(archive) as bundle:
        assert len(set(bundle.namelist())) == len(sent) - 2
