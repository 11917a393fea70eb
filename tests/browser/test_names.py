"""Names of recordings: as the visitor wrote them, on the page, in archives and on disks."""

import json
import unicodedata
import zipfile
from pathlib import Path

import httpx
import pytest
import soundfile as sf
from sounds import speech_like, write_video
from visitor import download, upload, wait_for_result

from denoiser import offline
from page import downloads, many, results, session
from page.run import finished

NAMES = (
    *("Wow!.wav", "WOW!.wav", "caf\u00e9.wav", "cafe\u0301.wav", "a|b.wav", "100% #1?.wav"),
    *("<script>alert(1)<script>.wav", "*b* _x_ [l](u) `c` ~~s~~ $$x$$.wav", "&lt;amp&amp;.wav"),
    *("www.example.com.wav", f"{'x' * 251}.wav", f"{'日' * 83}.wav", f"{'日' * 83}!.wav"),
)


def test_rows_and_archive_have_the_visitors_names(page, tmp_path):
    page.get_by_role("tab", name="Many files").click()
    for name in NAMES:
        sf.write(tmp_path / name, speech_like(0.5, 16000), 16000)
    page.locator("#many .file").set_input_files([str(tmp_path / n) for n in NAMES])
    page.get_by_role("button", name="Denoise all").click()
    with page.expect_download(timeout=60000) as waiting:
        page.locator("#many .zip").click(timeout=60000)
    waiting.value.save_as(tmp_path / "denoised.zip")
    assert page.locator("#many .name").all_text_contents() == list(NAMES)
    outputs = page.locator("#many .output").all_text_contents()
    assert page.locator("#many :is(em, code, script, img)").count() == 0
    with zipfile.ZipFile(tmp_path / "denoised.zip") as bundle:
        names = bundle.namelist()
    assert [f"→ {name}" for name in names] == outputs
    assert names[:4] == [
        *("Wow!_denoised.wav", "WOW!_denoised-2.wav"),
        *("caf\u00e9_denoised.wav", "cafe\u0301_denoised-2.wav"),
    ]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(NAMES)
    assert max(len(name.encode()) for name in names) <= 255


def test_one_recording_keeps_its_name_too(page, tmp_path):
    sf.write(tmp_path / "Wow! #2.wav", speech_like(1.0, 16000), 16000)
    upload(page, tmp_path / "Wow! #2.wav")
    wait_for_result(page, "Wow! #2.wav")
    assert download(page, tmp_path).name == "Wow! #2_denoised.wav"


def posted(url, file: dict) -> str:
    """What /denoise says, asked by a program that is not gradio_client."""
    call, settings = f"{url}gradio_api/call/denoise", [100, "band", "auto", False, "keep"]
    data = json.dumps({"data": [file, *settings]})  # as ASCII, which holds any character
    asked = httpx.post(call, content=data, headers={"Content-Type": "application/json"})
    return httpx.get(f"{call}/{asked.json()['event_id']}", timeout=60).text


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("../../x.wav", "x_denoised.wav"),
        ("..\\..\\x.wav", "x_denoised.wav"),
        ("/etc/x.wav", "x_denoised.wav"),
        ("a\x00b\nc.wav", "a_b_c_denoised.wav"),
        ("\ud800.wav", "__denoised.wav"),
        ("..", "recording_denoised.wav"),
        ("CON.wav", "_CON_denoised.wav"),
        ("y" * 4000, f"{'y' * 242}_denoised.wav"),
    ],
)
def test_a_name_that_a_client_claims_leads_out_of_no_folder(url, cache, noisy, claimed, name):
    files = {"files": ("talk.wav", noisy.read_bytes())}
    (path,) = httpx.post(f"{url}gradio_api/upload", files=files).json()
    before = {other.name for other in cache.iterdir()}
    file = {"path": path, "orig_name": claimed, "meta": {"_type": "gradio.FileData"}}
    said = posted(url, file)
    assert "event: complete" in said, said
    new = [folder for folder in cache.iterdir() if folder.name not in before]
    (result,) = (path for folder in new for path in folder.glob("100-keep/*_denoised.wav"))
    assert result.name == name


@pytest.mark.parametrize("stem", ["n" * 251, "日" * 83, "🙊" * 62], ids=["1", "3", "4 bytes"])
def test_the_longest_name_fits_every_form(model, tmp_path, stem):
    original, enhanced = tmp_path / f"{stem}.mp4", tmp_path / "enhanced.wav"
    write_video(original, speech_like(1.0, 48000))
    for _ in offline.denoise_file(model, str(original), str(enhanced), subtype="FLOAT"):
        pass
    result = results.Result(str(original), str(original), str(enhanced), 1.0, "band", "")
    for form, (name, ending) in results.FORMS.items():
        path = Path(finished(downloads.take(result, 1.0, "keep", form)).path)
        assert path.stat().st_size > 500
        assert path.name.endswith(name + (ending or ".mp4"))
        assert len(path.name.encode()) > 250


def test_an_archive_takes_two_names_that_a_disk_may_take_for_one():
    assert many.unused("talk_denoised.wav", ["Talk_denoised.wav"]) == "talk_denoised-2.wav"
    longest = f"{'n' * 242}_denoised.wav"
    assert many.unused(longest, [longest]) == f"{'n' * 240}_denoised-2.wav"


def test_an_upload_that_has_gone_is_said_to_be(url, client, cache, noisy):
    """Under a name of its own there is only a link to it."""
    files = {"files": ("talk.wav", noisy.read_bytes())}
    (path,) = httpx.post(f"{url}gradio_api/upload", files=files).json()
    named = session.own_name(session.FileData(path=path, orig_name="talk!.wav"))
    assert Path(named).name == "talk!.wav"
    assert Path(named).read_bytes() == noisy.read_bytes()
    Path(path).unlink()
    file = {"path": path, "orig_name": "talk!.wav", "meta": {"_type": "gradio.FileData"}}
    assert "has been deleted in the meantime" in posted(url, file)
