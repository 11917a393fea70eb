"""Links to a result: whoever opens one hears it, and no upload is in it."""

import pytest
from visitor import denoise, download, upload, wait_for_result


def test_a_copied_link_shows_the_same_result_in_a_new_profile(page, browser, url, tmp_path):
    page.goto(f"{url}?example=rain&strength=70&mono=1&loudness=-23&model=classic")
    wait_for_result(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Whoever opens this link gets this result").wait_for()
    said = page.locator("#player .said").inner_text()
    link = said.split()[-1]
    assert link.startswith(url)
    other = browser.new_context().new_page()
    other.goto(link)
    wait_for_result(other)
    assert "by classic, weights" in other.locator("#report").inner_text()
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
        page.get_by_text("Whoever opens this link gets this result").wait_for()
        said = page.locator("#player .said").inner_text()
        assert ("Copied" in said) == has_clipboard
        if has_clipboard:
            assert page.evaluate("navigator.clipboard.readText()") == said.split()[-1]


def test_a_link_leaves_an_upload_out_and_says_so(page, noisy):
    upload(page, noisy)
    denoise(page)
    wait_for_result(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("your own recording stays out of it").wait_for()
    said = page.locator("#player .said").inner_text()
    assert "inter" not in said.split("?")[1]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("example=../secret", "There is no example called"),
        ("example=<img src=//example.com/x.png>", "called <img src=//example.com/x.png> here"),
        ("url=http://127.0.0.1/talk.wav", "127.0.0.1"),
        ("example=rain&strength=900", "The link asks for strength=900"),
    ],
)
def test_a_link_with_something_wrong_in_it_is_answered_in_a_sentence(page, url, query, sentence):
    page.goto(f"{url}?{query}")
    page.locator(".toast-body").get_by_text(sentence).wait_for()
