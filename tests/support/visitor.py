"""What a visitor of the page does in every test."""

from pathlib import Path

from conftest import until

READY = "#download[href]"


def download(page, tmp_path) -> Path:
    """The file to take away, once it is ready."""
    with page.expect_download() as waiting:
        page.locator(READY).click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def upload(page, path) -> None:
    """Choose a file, which is worked on at once."""
    change = page.locator("#box .change")
    if change.is_visible():
        change.click()
    page.locator("#box .file").set_input_files(str(path))


def wait_for_result(page, name: str | None = None) -> None:
    """The player of the last recording, its pictures and its file are there."""
    page.locator("body[data-result=here] #player .play").wait_for()
    if name:
        until(lambda: page.locator("#player .title").inner_text() == name, seconds=30)
    page.locator(READY).wait_for()
    page.locator("#status .status").wait_for(state="hidden")


def choose(page, group: str, option: str) -> None:
    """One of the formats or loudnesses."""
    page.locator(f"#{group}").get_by_text(option, exact=True).click()


def strength(page):
    return page.locator("#strength input[type=range]")


def ten_looks(look, slow) -> None:
    """`look` at a run that is held by `slow`, and again after each of its next steps."""
    for _ in range(10):
        before = slow.steps
        look()
        until(lambda before=before: slow.steps > before)


def is_seen(page, selector: str, least: float = 100) -> bool:
    """Whether something `least` pixels wide lies in what a person sees of the page."""
    box = page.locator(selector).bounding_box()
    size = page.viewport_size
    return bool(
        box
        and box["width"] > least
        and box["height"] > 4
        and box["x"] >= 0
        and box["x"] + box["width"] <= size["width"]
        and box["y"] >= 0
        and box["y"] + box["height"] <= size["height"]
    )
