"""Links and headers in any script -> what is asked for, and names of files."""

import pytest

from page import addresses


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://exämple.org/ä b.mp3", "https://xn--exmple-cua.org/%C3%A4%20b.mp3"),
        ("HTTPS://EXÄMPLE.ORG./A.mp3", "https://xn--exmple-cua.org/A.mp3"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),  # not strasse.example
        ("https://例え。テスト/a", "https://xn--r8jz45g.xn--zckzah/a"),
        ("https://i❤.ws", "https://xn--i-7iq.ws/"),
        ("https://my_bucket.example/%C3%A4%20b.mp3", "https://my_bucket.example/%C3%A4%20b.mp3"),
        ("https://a.example/100%.mp3?n=5%zz", "https://a.example/100%25.mp3?n=5%25zz"),
        ("https://a.example/a?q=é&b=c+d e#t=5", "https://a.example/a?q=%C3%A9&b=c+d%20e"),
        ("https://a.example/a?s=A%2FB~!$'()*,;:@[]|", "https://a.example/a?s=A%2FB~!$'()*,;:@[]|"),
        ("  https://a.example:443/a\n", "https://a.example/a"),
        ("http://[2606:4700::1111]/a", "http://[2606:4700::1111]/a"),
        ("https://a.example/" + "b" * 7000, "https://a.example/" + "b" * 7000),
    ],
)
def test_a_link_as_people_write_it_is_asked_for_as_servers_know_it(url, asked):
    assert addresses.parts(url).geturl() == asked


@pytest.mark.parametrize(
    ("disposition", "saved"),
    [
        ('attachment; filename="Gespräch 🙊.mp3"', "Gespräch 🙊.mp3"),
        ("attachment; filename=Gespräch.mp3", "Gespräch.mp3"),
        ("attachment; filename*=UTF-8''Gespr%C3%A4ch%20%F0%9F%99%8A.mp3", "Gespräch 🙊.mp3"),
        ("attachment; filename=\"a.mp3\"; filename*=UTF-8''%C3%A4.mp3", "ä.mp3"),
        ("attachment; filename*=iso-8859-1'de'%E4.mp3; filename=a.mp3", "ä.mp3"),
        ("attachment; filename*=no-such-set''a.mp3", "a.mp3"),
        ('attachment; filename="..\\\\..\\\\a.mp3"', "a.mp3"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fa.mp3", "a.mp3"),
        (f'attachment; filename="{"語" * 100}.mp3"', "語" * 83 + ".mp3"),
        (f'attachment; filename="{"x" * 300}"', "x" * 255),
        ('attachment; filename="talk.recording of monday"', "talk.recording of monday"),
        ('attachment; filename="Gespr\xe4ch.mp3"', "Gespräch.mp3"),
        ("attachment", "named"),
        ('attachment; filename=""', "named"),
        ('attachment; filename="..."', "recording"),
    ],
)
def test_a_file_keeps_the_name_that_the_server_gives_it(disposition, saved):
    header = disposition.encode().decode("latin-1")  # as http.client gives it
    assert addresses.name(header, addresses.parts("http://studio.example/named")) == saved


@pytest.mark.parametrize(
    ("path", "saved"),
    [("/talk/Gespr%C3%A4ch.mp3", "Gespräch.mp3"), ("/talk/Gespr%E4ch.mp3", "Gespräch.mp3"),
     ("/talk/" + "%E8%AA%9E" * 100 + ".flac", "語" * 83 + ".flac")],
)  # fmt: skip
def test_a_name_in_the_link_is_read_and_fits_a_disk(path, saved):
    assert addresses.name("", addresses.parts(f"http://studio.example{path}")) == saved
