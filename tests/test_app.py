"""The page as its users meet it: through gradio_client, and in a real browser with a microphone."""

import os
import shutil
import time
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio_client
from gradio_client.exceptions import AppError

import app
import denoiser
from denoiser import offline
from denoiser.checkpoint import DEFAULT
from denoiser.unet import BandUNet, BandUNetConfig

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail("the browser tests must run here: install Debian's chromium", pytrace=False)
browser_test = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")


def speech_like(seconds: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """Bursts of harmonics in noise, (T, C), peak about 0.4."""
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = sum(np.sin(2 * np.pi * 150 * k * time_s) / k for k in range(1, 12))
    wave = 0.15 * tone * (np.sin(2 * np.pi * 1.5 * time_s) > 0)
    noise = np.random.default_rng(0).normal(0, 0.03, (len(time_s), channels))
    return (wave[:, None] + noise).astype(np.float32)


def hiss(seconds: float, channels: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((round(seconds * 48000), channels))


@pytest.fixture(scope="module")
def model():
    return denoiser.load() if DEFAULT.is_dir() else BandUNet(BandUNetConfig()).eval()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the server under test keeps what visitors send and get."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def url(model, cache):
    app._warm_up(model)  # the first pictures on a new machine take half a minute: caches are built
    page = app.build(model)
    app.serve(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


@pytest.fixture
def client(url, tmp_path):
    return gradio_client.Client(url, verbose=False, download_files=str(tmp_path / "downloads"))


@pytest.fixture
def noisy(tmp_path):
    """Two seconds and a bit of 44.1 kHz stereo in 24 bit."""
    path = tmp_path / "inter.view.wav"
    sf.write(path, speech_like(2.345, 44100, 2), 44100, subtype="PCM_24")
    return path


def denoised(client, path, strength=1.0) -> Path:
    sent = path and gradio_client.handle_file(str(path))
    return Path(client.predict(sent, strength, api_name="/denoise"))


def test_result_keeps_name_rate_channels_bits_and_length(client, noisy):
    result = denoised(client, noisy)
    assert result.name == "inter.view_denoised.wav"
    before, after = sf.info(noisy), sf.info(result)
    assert (after.samplerate, after.channels, after.frames, after.subtype) == (
        (before.samplerate, before.channels, before.frames, before.subtype)
    )


def test_result_is_what_the_package_gives(client, model, noisy, tmp_path):
    for _ in offline.denoise_file(model, str(noisy), str(tmp_path / "direct.wav"), strength=0.7):
        pass
    direct, _ = sf.read(tmp_path / "direct.wav")
    served, _ = sf.read(denoised(client, noisy, 0.7))
    np.testing.assert_array_equal(served, direct)


def test_strength_zero_is_the_recording_itself(client, noisy):
    served, _ = sf.read(denoised(client, noisy, 0.0), dtype="int32")
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(served, sent)


def test_two_visitors_get_their_own_results(client, tmp_path):
    jobs = {}
    for seconds in (1.0, 1.5, 2.0):
        path = tmp_path / f"visitor{seconds}.wav"
        sf.write(path, speech_like(seconds, 16000), 16000)
        file = gradio_client.handle_file(str(path))
        jobs[seconds] = client.submit(file, 1.0, api_name="/denoise")
    for seconds, job in jobs.items():
        result = Path(job.result(timeout=30))
        assert result.name == f"visitor{seconds}_denoised.wav"
        assert sf.info(result).frames == seconds * 16000


def write_silent_video(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(picture), *stream.encode(None)]:
            container.mux(packet)


def write_nan(path):
    wave = speech_like(1.0, 16000)
    wave[5000] = np.nan
    sf.write(path, wave, 16000, subtype="FLOAT")


BAD_INPUT = {
    "text.wav": lambda path: path.write_text("This is a letter, not a sound."),
    "empty.mp3": lambda path: path.touch(),
    "nan.wav": write_nan,
    "zero.wav": lambda path: sf.write(path, np.zeros((0, 1)), 16000),
    "video.mp4": write_silent_video,
}


@pytest.mark.parametrize("name", [None, *BAD_INPUT])
def test_bad_input_gets_one_sentence_and_the_page_goes_on(client, noisy, tmp_path, capfd, name):
    path = name and tmp_path / name
    if path:
        BAD_INPUT[name](path)
    with pytest.raises(AppError) as refusal:
        denoised(client, path)
    sentence = refusal.value.message
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert (name or "nothing to denoise") in sentence
    assert "Traceback" not in capfd.readouterr().err
    assert denoised(client, noisy).exists()


@pytest.fixture
def slow(monkeypatch):
    """Half a minute more for every chunk, in steps of a tenth: time to see it and to stop it."""
    quick = offline.denoise_file

    def denoise_file(*args, **settings):
        for fraction in quick(*args, **settings):
            for _ in range(300):
                time.sleep(0.1)
                yield fraction

    monkeypatch.setattr(offline, "denoise_file", denoise_file)


def request_folders(cache) -> set[str]:
    return {path.name for path in cache.iterdir() if path.name.startswith("tmp")}


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_stop_ends_the_work_and_frees_the_slot(client, cache, slow, monkeypatch, noisy):
    before = request_folders(cache)
    job = client.submit(gradio_client.handle_file(str(noisy)), 1.0, api_name="/denoise")
    until(lambda: len(job.outputs()) > 1)
    assert request_folders(cache) != before
    job.cancel()
    until(lambda: request_folders(cache) == before, seconds=2.0)
    monkeypatch.undo()
    start = time.monotonic()
    assert denoised(client, noisy).exists()
    assert time.monotonic() - start < 5.0


def test_a_batch_goes_on_after_a_bad_file_and_names_it(client, noisy, tmp_path):
    letter, twin = tmp_path / "letter.mp3", tmp_path / "twin" / noisy.name
    letter.write_text("This is a letter, not a sound.")
    twin.parent.mkdir()
    shutil.copy(noisy, twin)
    sent = [gradio_client.handle_file(str(path)) for path in (noisy, letter, twin)]
    archive, table = client.predict(sent, 1.0, api_name="/batch")
    assert "| letter.mp3 | letter.mp3 is not audio" in table
    assert table.count("denoised |") == 2
    with zipfile.ZipFile(archive) as bundle:
        assert bundle.namelist() == ["inter.view_denoised.wav", "inter.view_denoised-2.wav"]
        bundle.extractall(tmp_path)
    alone, _ = sf.read(denoised(client, noisy))
    np.testing.assert_array_equal(sf.read(tmp_path / "inter.view_denoised.wav")[0], alone)


def test_a_batch_of_bad_files_only_gives_no_archive(client, tmp_path):
    (tmp_path / "letter.mp3").write_text("This is a letter, not a sound.")
    sent = [gradio_client.handle_file(str(tmp_path / "letter.mp3"))]
    archive, table = client.predict(sent, 1.0, api_name="/batch")
    assert archive is None
    assert "letter.mp3 is not audio" in table


def test_denoise_and_batch_are_the_endpoints(client):
    endpoints = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/denoise", "/batch"}
    parameters = endpoints["/denoise"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["recording", "strength"]
    assert parameters[1]["parameter_default"] == 1
    assert "noise" in endpoints["/denoise"]["description"]


def test_main_says_what_is_wrong_with_the_checkpoint(capsys, tmp_path):
    assert app.main(["--model", str(tmp_path / "none")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("app.py: ")
    assert str(tmp_path / "none") in line


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit) as end:
        app.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for option in ("--host", "--port", "--share", "--model FOLDER", "--device"):
        assert option in text


# ---- in a real browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    voice = tmp_path_factory.mktemp("microphone") / "voice.wav"
    sf.write(voice, speech_like(5.0, 48000), 48000, subtype="PCM_16")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={voice}",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def quickly_forgetting(model, cache, monkeypatch, tmp_path):
    """The address of a server that deletes after 4 seconds, and has one example."""
    sf.write(tmp_path / "fan_noise.flac", speech_like(1.0, 16000), 16000)
    monkeypatch.setattr(app, "SAMPLES", tmp_path)
    monkeypatch.setattr(app, "KEPT_SECONDS", 4)
    monkeypatch.setattr(app, "SWEEP_SECONDS", 1)
    page = app.build(model)
    app.serve(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


@pytest.fixture
def page(browser, url, request):
    """The page in a fresh profile; what it asks of other servers fails the test."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    elsewhere = []
    page.on("request", lambda r: r.url.startswith(("http", "ws")) and elsewhere.append(r.url))
    page.goto(url)
    page.get_by_role("button", name="Denoise").wait_for()
    yield page
    context.close()
    assert [address for address in elsewhere if "//127.0.0.1:" not in address] == []


def download(page, tmp_path) -> Path:
    with page.expect_download() as waiting:
        page.locator("#download").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def upload(page, path):
    page.locator("#recording input[type=file]").set_input_files(str(path))
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()


def wait_for_result(page):
    page.locator("#player .play").wait_for()
    for index in range(2):
        picture = page.locator("#pictures img").nth(index)
        picture.wait_for()
        until(lambda picture=picture: picture.evaluate("image => image.naturalWidth") > 1000)


@browser_test
def test_record_denoise_listen_and_download(page, cache, tmp_path):
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2000)
    page.locator("#recording").get_by_role("button", name="Stop").click()
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    (sent,) = cache.glob("*/audio.wav")
    result = download(page, tmp_path)
    assert result.name == "audio_denoised.wav"
    before, after = sf.info(sent), sf.info(result)
    assert after.frames == before.frames > 1.5 * 48000
    assert (after.samplerate, after.channels) == (48000, before.channels)
    heard = sf.read(sent, always_2d=True)[0][:, 0]
    assert np.abs(heard).max() > 0.1, "the fake microphone was silent"
    stretches = heard[len(heard) // 960 * -480 :].reshape(-1, 480)  # the second half, by 10 ms
    pauses = np.quantile(np.sqrt(np.square(stretches).mean(1)), 0.1)
    assert pauses > 0.02, "the browser took some of the noise (0.03) before us"


@browser_test
@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 740}, "is_mobile": True}], indirect=True
)
def test_phone_width_has_no_sideways_scroll(page, noisy, tmp_path):
    upload(page, noisy)
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    assert download(page, tmp_path).name == "inter.view_denoised.wav"


LISTEN = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination) {  // hear what the loudspeakers get
    window.ears = this.context.createAnalyser();
    window.ears.fftSize = 32768;
    connect.call(this, window.ears);
  }
  return connect.call(this, target, ...rest);
};
window.level = () => {  // RMS of the last two thirds of a second
  const wave = new Float32Array(32768);
  window.ears.getFloatTimeDomainData(wave);
  return Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length);
};
"""


@browser_test
def test_before_after_and_removed_are_heard_in_step(page, tmp_path):
    """The strength's slider is heard at once; a stereo recording, keys, and the mouse."""
    page.add_init_script(LISTEN)
    page.reload()
    sf.write(tmp_path / "hiss.wav", 0.1 * hiss(8.0, 2), 48000)
    upload(page, tmp_path / "hiss.wav")
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    page.locator("h1").click()
    page.keyboard.press("1")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()

    def level() -> float:
        page.wait_for_timeout(1000)
        return page.evaluate("level()")

    before = level()
    assert before == pytest.approx(0.1 / np.sqrt(2), rel=0.15)  # both sides mixed to one
    page.keyboard.press("3")
    assert page.get_by_role("button", name="Removed").get_attribute("aria-pressed") == "true"
    removed = level()
    assert removed == pytest.approx(before, rel=0.1)  # hiss alone is nearly all removed
    page.get_by_role("button", name="After", exact=True).click()
    after = level()
    assert after < 0.1 * before
    strength = page.locator("#run input[type=range]")
    strength.fill("0")
    start = time.monotonic()
    page.wait_for_function("() => level() > 0.01")
    assert time.monotonic() - start < 1.0  # of which the level looks back two thirds
    assert level() == pytest.approx(before, rel=0.1)


@browser_test
def test_strength_and_format_change_the_download_without_the_model(page, noisy, tmp_path):
    upload(page, noisy)
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    slider = page.locator("#run input[type=range]")
    slider.fill("0")
    slider.dispatch_event("pointerup")
    page.get_by_text("Almost nothing was removed").wait_for()
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)
    page.get_by_label("Format").click()
    page.get_by_role("option", name="FLAC").click()
    until(lambda: download(page, tmp_path).suffix == ".flac")
    np.testing.assert_array_equal(sf.read(download(page, tmp_path), dtype="int32")[0], sent)


@browser_test
def test_stop_leaves_the_page_ready(page, slow, noisy, monkeypatch):
    upload(page, noisy)
    page.get_by_role("button", name="Denoise").click()
    page.get_by_text("s left").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("s left").wait_for(state="detached", timeout=2000)
    assert not page.locator("#player").is_visible()
    monkeypatch.undo()
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)


@browser_test
def test_a_minute_is_ready_to_play_within_eight_seconds(page, tmp_path):
    sf.write(tmp_path / "minute.wav", speech_like(60.0, 48000), 48000)
    upload(page, tmp_path / "minute.wav")
    start = time.monotonic()
    page.get_by_role("button", name="Denoise").click()
    page.locator("#player .play").wait_for()
    seconds = time.monotonic() - start
    print(f"60 s of audio, from click to player: {seconds:.1f} s")
    assert seconds < 8


@browser_test
def test_video_is_opened_and_a_bad_file_named(page, tmp_path):
    movie, letter = tmp_path / "movie.mp4", tmp_path / "letter.mp3"
    with av.open(str(movie), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech_like(1.0, 48000).T, "fltp", "mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    other = page.locator("input[type=file]").last
    other.set_input_files(str(movie))
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    assert download(page, tmp_path).name == "movie_denoised.wav"

    letter.write_text("This is a letter, not a sound.")
    other.set_input_files(str(letter))
    page.locator("#recording audio[src*=letter]").wait_for(state="attached")
    page.get_by_role("button", name="Denoise").click()
    page.get_by_text("letter.mp3 is not audio").wait_for()
    assert not page.locator("#pictures").is_visible()


@browser_test
def test_files_are_deleted_in_time_but_examples_stay(page, quickly_forgetting, cache, tmp_path):
    before = {path for path in cache.rglob("*") if path.is_file()}

    def kept():
        files = {path for path in cache.rglob("*") if path.is_file()} - before
        return {path.name for path in files}

    page.goto(quickly_forgetting)
    sf.write(tmp_path / "fleeting.wav", speech_like(1.2, 16000), 16000)
    upload(page, tmp_path / "fleeting.wav")
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    made = {"estimate.wav", "preview.flac", "fleeting_denoised.wav", "before.png", "after.png"}
    assert kept() == {"fleeting.wav"} | made
    until(lambda: not kept())
    with page.expect_response(lambda response: "fan_noise.flac" in response.url and response.ok):
        page.get_by_text("fan noise").click()
    page.get_by_role("button", name="Denoise").click()
    wait_for_result(page)
    assert download(page, tmp_path).name == "fan_noise_denoised.wav"
