"""Pictures of the page for the README: python docs/screenshots.py

Starts the page with the embedded weights, denoises a sample in Chromium and photographs the result,
wide, as on a phone, and dark, and its numbers alone, into images/.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shrink import shrink  # noqa: E402

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
VIEWS = {
    "page": {"viewport": {"width": 1000, "height": 900}},
    "page_phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True},
    "page_dark": {"viewport": {"width": 1000, "height": 900}, "color_scheme": "dark"},
}


def photograph(browser, url: str, name: str, settings: dict) -> None:
    """One view of the page with a result."""
    page = browser.new_context(**settings).new_page()
    page.goto(url)
    page.get_by_role("button", name="Rain", exact=True).click()
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    page.get_by_role("button", name="Denoise", exact=True).click()
    page.locator("#report table").wait_for()
    page.wait_for_timeout(1500)  # pictures fade in
    page.screenshot(path=ROOT / "images" / f"{name}.png", full_page=True)
    if name == "page":
        page.get_by_label("With DNSMOS").check()
        page.locator("#report").get_by_text("DNSMOS overall").wait_for()
        page.locator("#report").screenshot(path=ROOT / "images" / "report.png")


def main() -> None:
    from playwright.sync_api import sync_playwright

    from page import layout, registry, server

    page = layout.build(registry.start(None, "auto")[0])
    server.serve(page, prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, settings in VIEWS.items():
            photograph(browser, page.local_url, name, settings)
        browser.close()
    page.close()
    for name in (*VIEWS, "report"):
        shrink(ROOT / "images" / f"{name}.png")


if __name__ == "__main__":
    main()
