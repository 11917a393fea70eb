"""Settings of all tests, and the page as those need it that visit it.

Heavy packages are imported where they are used: pytest-xdist's controller, which runs no test,
loads this file before it starts its workers.
"""

import gc
import os
import shutil
import threading
import time

import pytest

# Before anything loads NumPy or torch, here and in the processes that tests start: the tensors are
# small, and threads would only wait for each other, which they do by computing
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
pytest_plugins = ["command", "hub_fixtures", "live_fixtures"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def pytest_collection_finish():
    gc.freeze()  # torch and Gradio are a million objects, which every collection would look at


def pytest_collection_modifyitems(items):
    for item in items:
        if "server" in item.fixturenames and item.path.parent.name == "hub":
            item.add_marker("hub_client")


def until(condition, seconds=60.0):
    """Wait for what must happen; the limit only ends a test that would hang."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def models():
    from page import loading

    return loading.start(None, "auto")[0]


@pytest.fixture(scope="session")
def model(models):
    return models.get().model


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where the server under test keeps what visitors send and get."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def url(models, cache):
    from page import layout, server

    # The first pictures on a new machine take half a minute: caches are built
    server.warm_up(models.get().model)
    page = layout.build(models)
    server.serve(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


@pytest.fixture
def client(url, tmp_path):
    import gradio_client

    return gradio_client.Client(url, verbose=False, download_files=str(tmp_path / "downloads"))


@pytest.fixture
def noisy(tmp_path):
    """Two seconds and a bit of 44.1 kHz stereo in 24 bit."""
    import soundfile as sf
    from sounds import speech_like

    path = tmp_path / "inter.view.wav"
    sf.write(path, speech_like(2.345, 44100, 2), 44100, subtype="PCM_24")
    return path


@pytest.fixture
def slow(monkeypatch):
    """An event: until it is set, a run stays at its first share, and only Stop can end it.

    `steps` counts how often it was told to go on meanwhile, ten times a second.
    """
    from denoiser import mixing

    quick, go_on = mixing.observe, threading.Event()
    go_on.steps = 0

    def observe(*args):
        for done in quick(*args):
            yield done
            while not go_on.wait(0.1):
                go_on.steps += 1
                yield done

    monkeypatch.setattr(mixing, "observe", observe)
    yield go_on
    go_on.set()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("the browser tests must run here: install Debian's chromium")
        pytest.skip("no chromium on PATH")
    import soundfile as sf
    from playwright.sync_api import sync_playwright
    from sounds import speech_like

    voice = tmp_path_factory.mktemp("microphone") / "voice.wav"
    sf.write(voice, speech_like(5.0, 48000), 48000, subtype="PCM_16")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",  # which would be drawn by the processor
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


@pytest.fixture(scope="session")
def profiles(browser):
    """A call with a browser's settings that gives the profile which tests with these share.

    It keeps the page's scripts, which take a second to load; nothing else is stored there.
    """
    made = {}

    def profile(**settings):
        key = repr(sorted(settings.items()))
        if key not in made:
            made[key] = browser.new_context(**settings)
        return made[key]

    yield profile
    for context in made.values():
        assert context.storage_state() == {"cookies": [], "origins": []}
        context.close()


@pytest.fixture
def empty(profiles, request):
    """A tab before it goes to the page; what it asks of other servers fails the test."""
    page = profiles(**getattr(request, "param", {})).new_page()
    elsewhere = []
    page.on("request", lambda r: r.url.startswith(("http", "ws")) and elsewhere.append(r.url))
    yield page
    page.close()
    assert [address for address in elsewhere if "//127.0.0.1:" not in address] == []


@pytest.fixture
def page(empty, url):
    """The page, loaded."""
    empty.goto(url)
    empty.locator("#box .choose").wait_for()
    return empty
