"""Links to a result: whoever opens one hears it, and no upload is in it."""

import re

import pytest
from visitor import download, upload, wait_for_result


def test_a_copied_link_shows_the_same_result_in_a_new_profile(empty, browser, url, tmp_path):
    page = empty
    page.goto(f"{url}?example=rain&strength=70&mono=1&loudness=-23&model=classic")
    wait_for_result(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("makes this result again").or_(page.get_by_text("makes the result")).wait_for()
    link = page.locator("#player .copied").inner_text().split()[-1]
    assert link.startswith(url)
    assert re.search("model=classic&weights=[0-9a-f]{8}&mono=1&loudness=-23&strength=70", link)
    other = browser.new_context().new_page()
    other.goto(link)
    wait_for_result(other)
    other.get_by_text("Measurements").click()
    other.locator("#report").get_by_text("model classic, weights").wait_for()
    mine, theirs = (download(each, tmp_path).read_bytes() for each in (page, other))
    assert mine == theirs
    other.context.close()


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_link_is_called_copied_only_where_it_was(browser, url, has_clipboard):
    with browser.new_context() as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        if not has_clipboard:  # as on a page without https
            nothing = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
            context.add_init_script(nothing)
        page = context.new_page()
        page.goto(f"{url}?example=rain")
        wait_for_result(page)
        page.get_by_role("button", name="Copy link").click()
        page.locator("#player .copied:not(:empty)").wait_for()
        said = page.locator("#player .copied").inner_text()
        assert said.startswith("Link copied") == has_clipboard
        if has_clipboard:
            assert page.evaluate("navigator.clipboard.readText()") == said.split()[-1]


def test_a_link_is_offered_only_where_it_can_make_the_result_again(page, noisy):
    upload(page, noisy)
    wait_for_result(page)
    assert not page.get_by_role("button", name="Copy link").is_visible()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("example=../secret", "There is no example called"),
        ("example=<img src=//example.com/x.png>", "called <img src=//example.com/x.png> here"),
        ("url=http://127.0.0.1/talk.wav", "127.0.0.1"),
        ("example=rain&strength=900", "The link asks for strength=900"),
        ("example=rain&model=band&weights=01234567", "made with band, weights 01234567; this"),
    ],
)
def test_a_link_with_something_wrong_in_it_is_answered_in_a_sentence(empty, url, query, sentence):
    """Beside its cause: nothing is painted over, and the box is there for another try."""
    page = empty
    page.goto(f"{url}?{query}")
    page.locator("#box .warning").get_by_text(sentence).wait_for()
    assert page.get_by_text("Error", exact=True).count() == 0
    if "rain" in query:
        wait_for_result(page, "rain.flac")
    else:
        assert page.locator("#box .choose").is_visible()
