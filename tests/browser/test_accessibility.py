"""The page on a phone, by keys alone, for screen readers, and in the visitor's language."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from visitor import denoise, download, upload, wait_for_result


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 740}, "is_mobile": True}], indirect=True
)
def test_phone_width_has_no_sideways_scroll(page, noisy, tmp_path):
    upload(page, noisy)
    denoise(page)
    wait_for_result(page)
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    assert download(page, tmp_path).name == "inter.view_denoised.wav"


def test_keys_alone_are_enough(page):
    def go_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()") == name:
                return
        pytest.fail(f"Tab never came to {name}")

    go_to("Rain")
    page.keyboard.press("Enter")
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    go_to("Denoise")
    page.keyboard.press("Enter")
    wait_for_result(page)
    page.keyboard.press("1")
    before = page.get_by_role("button", name="Before", exact=True)
    assert before.get_attribute("aria-pressed") == "true"
    go_to("Copy link")
    page.keyboard.press("Enter")
    page.get_by_text("Whoever opens this link").wait_for()


@pytest.mark.parametrize("page", [{}, {"color_scheme": "dark"}], indirect=True)
def test_axe_finds_nothing_serious(page):
    page.get_by_role("button", name="Rain").click()
    page.locator("#recording").get_by_role("button", name="Play", exact=True).wait_for()
    for name in ("A link, or noise", "Options", "Use it from a program", "Model card"):
        page.get_by_text(name).first.click()
    denoise(page)
    wait_for_result(page)
    page.wait_for_timeout(1000)  # what fades in has too little contrast for a moment
    found = Axe().run(page).response["violations"]
    serious = {
        (finding["id"], node["html"][:160], node["failureSummary"][:200])
        for finding in found
        for node in finding["nodes"]
        if finding["impact"] in ("serious", "critical")
    }
    assert serious == set()


@pytest.mark.parametrize("page", [{"locale": "de-DE"}, {"locale": "es-ES"}], indirect=True)
def test_the_page_speaks_the_visitors_language(page, url):
    spoken = {"de": ("Entrauschen", "Nachher", "Grundrauschen", "Herunterladen")}
    spoken["es"] = ("Quitar el ruido", "Después", "Ruido de fondo", "Descargar")
    page.goto(f"{url}?example=rain")
    wait_for_result(page)
    text = page.locator("body").inner_text()
    assert [
        word for word in spoken[page.evaluate("navigator.language")[:2]] if word not in text
    ] == []
    assert "denoiser_" not in text
