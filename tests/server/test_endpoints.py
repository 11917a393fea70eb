"""The page's endpoints as programs meet them, through gradio_client."""

import gc
import re
import resource
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio_client
import httpx
import numpy as np
import pytest
import soundfile as sf
from conftest import until
from gradio_client.exceptions import AppError
from sounds import BAD_INPUT, reference_loudness, speech_like

import app
from denoiser import offline
from page import endpoints, handlers
from page.results import Result


def denoised(client, path, strength=100.0, **settings) -> Path:
    sent = path and gradio_client.handle_file(str(path))
    return Path(client.predict(sent, strength, api_name="/denoise", **settings))


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
    served, _ = sf.read(denoised(client, noisy, 70))
    np.testing.assert_array_equal(served, direct)


def test_strength_zero_is_the_recording_itself(client, noisy):
    served, _ = sf.read(denoised(client, noisy, 0), dtype="int32")
    sent, _ = sf.read(noisy, dtype="int32")
    np.testing.assert_array_equal(served, sent)


def test_twenty_visitors_get_their_own_results_and_leave_no_memory_behind(client, tmp_path):
    """1.5 s each. The twenty before them warm up what is allocated once."""

    def visit() -> int:
        jobs = {}
        for n in range(20):
            path = tmp_path / f"visitor{n}.wav"
            sf.write(path, speech_like(1 + n / 20, 16000), 16000)
            file = gradio_client.handle_file(str(path))
            jobs[n] = client.submit(file, 100, api_name="/denoise")
        for n, job in jobs.items():
            result = Path(job.result(timeout=120))
            assert result.name == f"visitor{n}_denoised.wav"
            assert sf.info(result).frames == round((1 + n / 20) * 16000)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    first = visit()
    more = (visit() - first) / 2**20
    print(f"memory after 20 more: {more:+.0f} MiB")
    assert more < 40


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
    assert (name or "Choose a file") in sentence
    assert "Traceback" not in capfd.readouterr().err
    assert denoised(client, noisy).exists()


def request_folders(cache) -> set[str]:
    return {path.name for path in cache.iterdir() if path.name.startswith("tmp")}


def test_stop_ends_the_work_and_frees_the_slot(client, cache, slow, monkeypatch, noisy):
    before = request_folders(cache)
    job = client.submit(gradio_client.handle_file(str(noisy)), 100, api_name="/denoise")
    until(lambda: len(job.outputs()) > 1)
    assert request_folders(cache) != before
    job.cancel()
    until(lambda: request_folders(cache) == before)  # the run itself would never end
    monkeypatch.undo()
    assert denoised(client, noisy).exists()


def test_a_batch_goes_on_after_a_bad_file_and_names_it(client, noisy, tmp_path):
    letter, twin = tmp_path / "letter.mp3", tmp_path / "twin" / noisy.name
    letter.write_text("This is a letter, not a sound.")
    twin.parent.mkdir()
    shutil.copy(noisy, twin)
    sent = [gradio_client.handle_file(str(path)) for path in (noisy, letter, twin)]
    archive, table = client.predict(sent, 100, api_name="/batch")
    assert "| letter.mp3 |  |  | letter.mp3 is not a readable audio" in table
    assert table.count("denoised |") == 2
    with zipfile.ZipFile(archive) as bundle:
        assert bundle.namelist() == ["inter.view_denoised.wav", "inter.view_denoised-2.wav"]
        bundle.extractall(tmp_path)
    alone, _ = sf.read(denoised(client, noisy))
    np.testing.assert_array_equal(sf.read(tmp_path / "inter.view_denoised.wav")[0], alone)


def test_a_batch_of_bad_files_only_gives_no_archive(client, tmp_path):
    (tmp_path / "letter.mp3").write_text("This is a letter, not a sound.")
    sent = [gradio_client.handle_file(str(tmp_path / "letter.mp3"))]
    archive, table = client.predict(sent, 100, api_name="/batch")
    assert archive is None
    assert "letter.mp3 is not a readable audio" in table


def test_mono_and_loudness_are_as_asked(client, noisy, tmp_path):
    result = denoised(client, noisy, mono=True, loudness="-23")
    wave, rate = sf.read(result)
    about = sf.info(result)
    assert (about.channels, about.subtype, about.frames) == (1, "PCM_24", sf.info(noisy).frames)
    assert reference_loudness(wave, rate) == pytest.approx(-23, abs=0.1)
    loud, _ = sf.read(denoised(client, noisy, loudness="-16"))
    assert np.abs(loud).max() <= 10 ** (-1 / 20) + 1e-6


def test_another_model_is_used_and_named_by_its_name_only(client, noisy, tmp_path):
    band, classic = (
        sf.read(denoised(client, noisy, model=name))[0] for name in ("band", "classic")
    )
    assert np.abs(band - classic).max() > 0.01
    for stranger in (str(tmp_path), "/etc", "../checkpoints/band", "nobody"):
        with pytest.raises(AppError, match="is not available: choose"):
            denoised(client, noisy, model=stranger)


@pytest.mark.parametrize(
    "settings", [{"strength": 900}, {"strength": -1}, {"loudness": "-1"}, {"device": "cuda:7"}]
)
def test_settings_that_do_not_exist_are_refused_in_a_sentence(client, noisy, settings):
    with pytest.raises(AppError) as refusal:
        client.predict(gradio_client.handle_file(str(noisy)), **settings, api_name="/denoise")
    assert str(next(iter(settings.values()))) in refusal.value.message


def test_report_compares_two_files(client, noisy):
    sides = [gradio_client.handle_file(str(path)) for path in (noisy, denoised(client, noisy))]
    numbers = client.predict(*sides, False, api_name="/report")
    assert numbers["before"]["noise_floor_db"] == pytest.approx(-30.5, abs=1)  # of 0.03
    assert numbers["after"]["noise_floor_db"] < -50
    assert numbers["seconds"] == pytest.approx(2.345, abs=0.001)
    with_opinions = client.predict(*sides, True, api_name="/report")
    assert with_opinions["after"]["dnsmos"]["bak"] > with_opinions["before"]["dnsmos"]["bak"]


def test_denoise_batch_and_report_are_the_endpoints(client):
    endpoints = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/denoise", "/batch", "/report"}
    for name in ("/denoise", "/batch"):
        parameters = {p["parameter_name"]: p for p in endpoints[name]["parameters"]}
        assert parameters["strength"]["parameter_default"] == 100
        assert list(parameters)[1:] == ["strength", "model", "device", "mono", "loudness"]
    assert "noise" in endpoints["/denoise"]["description"]


@pytest.fixture
def programs(client, url, noisy, tmp_path, monkeypatch):
    """The two programs that the page shows, for a talk.wav in the working folder."""
    shutil.copy(noisy, tmp_path / "talk.wav")
    monkeypatch.chdir(tmp_path)
    request = SimpleNamespace(request=SimpleNamespace(base_url=f"{url}"), headers={})
    return endpoints.programs(request, 60, "classic", "auto", True, "keep")


def test_the_programs_on_the_page_give_what_the_page_gives(client, programs, noisy, tmp_path):
    expected, _ = sf.read(denoised(client, noisy, 60, model="classic", mono=True))
    python, shell = programs
    found = {}
    exec(python, found)
    np.testing.assert_array_equal(sf.read(found["path"])[0], expected)
    if not shutil.which("curl"):
        pytest.skip("no curl on PATH")
    subprocess.run(["bash", "-c", shell], check=True, timeout=60)
    np.testing.assert_array_equal(sf.read(tmp_path / "talk_denoised.wav")[0], expected)


def test_what_programs_read_of_the_endpoints_is_plain_text(client):
    endpoints = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    labels = [p["label"] for each in endpoints.values() for p in each["parameters"]]
    assert labels[:3] == ["Recording", "Strength (%)", "Model"]
    assert "object" not in str(labels)


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


def test_mp3_is_offered_for_what_it_can_hold(tmp_path):
    """Six channels are too many, unless they were mixed to one."""
    for name, channels in (("six", 6), ("mono", 1)):
        sf.write(tmp_path / f"{name}.wav", np.zeros((100, channels)), 48000)
    for recording, offered in (("six", False), ("mono", True)):
        paths = (str(tmp_path / f"{name}.wav") for name in ("six", recording))
        forms = handlers.forms(Result(*paths, "", 1.0, "band", ""), None)
        assert (("MP3", "mp3") in forms.choices) == offered


def test_a_link_to_the_page_is_shown_with_title_sentence_and_picture(url):
    page = httpx.get(url, headers={"x-forwarded-proto": "https", "x-forwarded-host": "a.example"})
    tags = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)"', page.text))
    assert tags == {
        "title": "Remove background noise from speech",
        "description": "Free and private: no sign-up, and everything is deleted after 60 minutes.",
        "type": "website",
        "url": "https://a.example/",
        "image": "https://a.example/preview.png",
    }
    picture = httpx.get(f"{url}preview.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert "svg" in httpx.get(f"{url}favicon.ico").text
