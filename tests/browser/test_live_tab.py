"""The tab Live of the page: the site of web/ in a frame, from the page's own server."""

import pytest
from playwright.sync_api import expect

from page import server


@pytest.fixture
def live(page):
    """The frame in the tab."""
    if not server.SITE.is_dir():
        pytest.fail("web/site is missing: make .venv/web.stamp")
    page.get_by_role("tab", name="Live").click()
    return page.frame_locator("iframe.live")


def test_the_microphone_is_cleaned_in_the_tab(page, live):
    """One click, and the picture of what was removed is as wide as the page."""
    live.get_by_role("button", name="Start without sound").click()
    expect(live.get_by_text("Running")).to_be_visible(timeout=30_000)
    picture = live.locator("canvas").first
    expect(picture).to_be_in_viewport()
    assert picture.bounding_box()["width"] > 500


def test_the_frame_is_as_tall_as_what_it_shows(page, live):
    """No bars to scroll in it, and no gap below."""
    expect(live.get_by_role("button", name="Start with headphones")).to_be_visible()
    page.wait_for_function(
        """() => {
          const frame = document.querySelector("iframe.live");
          return Math.abs(frame.clientHeight - frame.contentDocument.body.scrollHeight) < 2;
        }"""
    )


def test_nothing_outside_the_site_is_served_below_its_address(url):
    import requests

    assert requests.get(f"{url}live/model/model.json", timeout=30).json()["format"] == "1"
    assert requests.get(f"{url}live/none", timeout=30).status_code == 404
    assert requests.get(f"{url}live/..%2f..%2fapp.py", timeout=30).status_code == 404
