"""What a visitor of the page does in every test."""

from pathlib import Path

from conftest import until


def download(page, tmp_path) -> Path:
    with page.expect_download() as waiting:
        page.locator("#download").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def upload(page, path):
    page.locator("#recording input[type=file]").set_input_files(str(path))
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()


def denoise(page):
    page.get_by_role("button", name="Denoise", exact=True).click()


def wait_for_result(page):
    page.locator("#player .play").wait_for()
    for index in range(2):
        picture = page.locator("#pictures img").nth(index)
        picture.wait_for()
        until(lambda picture=picture: picture.evaluate("image => image.naturalWidth") > 1000)


def choose(page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option).click()
