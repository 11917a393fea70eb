"""The page on a phone, by keys alone, for screen readers, and in the visitor's language."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from visitor import download, upload, wait_for_result

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True}


@pytest.mark.parametrize("empty", [PHONE], indirect=True)
def test_phone_width_has_no_sideways_scroll(page, noisy, tmp_path):
    upload(page, noisy)
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
    wait_for_result(page, "rain.flac")
    page.locator("#player .play:focus").wait_for()
    page.keyboard.press("1")
    before = page.get_by_role("button", name="Before", exact=True)
    assert before.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Shift+Tab")  # from Play, where the focus is, to the picture
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    page.keyboard.press("End")
    assert page.evaluate("denoiser.sound.audio.currentTime") > 5
    go_to("Copy link")
    page.keyboard.press("Enter")
    page.locator("#player .copied:not(:empty)").wait_for()


def test_what_has_the_focus_shows_it(page):
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(({outlineStyle, outlineWidth, boxShadow}) => [outlineStyle, outlineWidth, boxShadow])"
            "(getComputedStyle(document.activeElement))"
        )
        assert style[0] != "none" or style[2] != "none", page.evaluate(
            "document.activeElement.outerHTML.slice(0, 200)"
        )


@pytest.mark.parametrize("empty", [PHONE], indirect=True)
def test_a_thumb_hits_every_button_of_ours(page):
    """44 px in both directions, before and after a run."""
    small = """() => [...document.querySelectorAll(
      ".box button, .status button, .player button, .player select, .take a")]
      .filter((node) => node.offsetParent)
      .map((node) => [node.className || node.textContent, node.getBoundingClientRect()])
      .filter(([_, { width, height }]) => width < 43.5 || height < 43.5)
      .map(([name]) => name)"""
    assert page.evaluate(small) == []
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    assert page.evaluate(small) == []


PHONE = {"width": 390, "height": 844}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
AT_REST = """() => document.getAnimations().every((each) =>
  each.playState !== "running" || each.effect.getComputedTiming().endTime === Infinity)"""


def test_axe_finds_nothing_serious_by_day_nor_by_night(page):
    page.get_by_role("button", name="Rain").click()
    wait_for_result(page, "rain.flac")
    for name in ("Measurements", "Settings", "Test with added noise", "API", "About the model"):
        page.get_by_text(name, exact=True).first.click()
    backgrounds = [""]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"(before) => {BACKGROUND} !== before", arg=backgrounds[-1])
        page.wait_for_function(AT_REST)  # what fades in has too little contrast for a moment
        backgrounds.append(page.evaluate(BACKGROUND))
        found = Axe().run(page).response["violations"]
        serious = {
            (finding["id"], node["html"][:160], node["failureSummary"][:200])
            for finding in found
            for node in finding["nodes"]
            if finding["impact"] in ("serious", "critical")
        }
        assert serious == set(), scheme
    assert len(set(backgrounds)) == 3


@pytest.mark.parametrize(
    "empty",
    [{"locale": f"{tag}-XX", "viewport": PHONE} for tag in ("de", "es", "fr", "pt")],
    indirect=True,
)
def test_the_page_speaks_the_visitors_language(empty, url):
    """On a phone, where all tabs are in sight, too."""
    spoken = {"de": ("Hintergrundgeräusche", "Nachher", "dB leiser", "WAV herunterladen")}
    spoken["es"] = ("Quite el ruido", "Después", "Ruido de fondo", "Descargar WAV")
    spoken["fr"] = ("Supprimer le bruit", "Après", "Bruit de fond", "Télécharger WAV")
    spoken["pt"] = ("Remove background noise", "After", "dB quieter", "Download WAV")
    page = empty
    page.goto(f"{url}?example=rain")
    wait_for_result(page)
    language = page.evaluate("document.documentElement.lang")
    assert language == page.evaluate("navigator.language")
    text = page.locator("body").inner_text()
    assert [
        word for word in spoken[language if language != "en" else "pt"] if word not in text
    ] == []
    assert "denoiser_" not in text
    tabs = page.get_by_role("tab")
    assert tabs.count() == 3
    boxes = [tab.bounding_box() for tab in tabs.all()]
    assert all(box and 0 <= box["x"] <= PHONE["width"] - box["width"] for box in boxes)
