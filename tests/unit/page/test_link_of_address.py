"""A link to the result of a fetched recording names where it was fetched from."""

from page import links
from page.loading import Entry
from page.run import Settings


def test_a_link_names_the_address_that_a_recording_came_from(tmp_path):
    address = "https://studio.example/talk.wav"
    (tmp_path / ".address").write_text(address)
    settings = Settings(1.0, "band", "auto", False, "keep")
    assert links.link(str(tmp_path / "talk.wav"), Entry(None, "band"), settings)["url"] == address
    (tmp_path / ".address").unlink()  # an upload
    assert links.link(str(tmp_path / "talk.wav"), Entry(None, "band"), settings) is None
