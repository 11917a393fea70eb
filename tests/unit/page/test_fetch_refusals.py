"""Addresses that are refused before anything is asked: what lies inside, and what is none."""

import socket

import pytest

from page import fetch
from page.fetch import FetchError


@pytest.fixture
def no_connection(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(fetch.socket, "create_connection", refuse)


INSIDE = [
    *("127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
    *("100.64.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1", "localhost"),
    *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1%25lo]"),
    # what becomes one of these only when its script is normalised
    *("１２７.０.０.１", "127。0。0。1", "①②⑦.0.0.1", "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "127.0.0.1.", "localhost."),
    *("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ＬＯＣＡＬＨＯＳＴ", "local\u00adhost", "localhost。", "١٢٧.0.0.1"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_nothing_inside_is_asked(no_connection, tmp_path, host):
    with pytest.raises(FetchError, match="is not on the public internet|does not exist|not valid"):
        fetch.fetch(f"http://{host}/talk.wav", tmp_path)


def test_one_private_address_among_public_ones_is_enough(no_connection, tmp_path, monkeypatch):
    found = [(2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(FetchError, match="not on the public internet"):
        fetch.fetch("https://studio.example/talk.wav", tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://studio.example/talk.wav", "data:audio/wav;base64,AAAA"),
        *("javascript:alert(1)", "talk.wav", "http://", "http://[", "//studio.example/a"),
        *("http://me:secret@studio.example/a", "http://studio.example:8080/a"),
        *("http://studio.example/\r\nHost: x", "http://studio.example/a\tb", "http://a b.example/"),
        *("http://studio.example＠10.0.0.1/a", "http://10.0.0.1\\@studio.example/a"),
        *("http://%6c%6f%63alhost/a", "http://studio.example／a", "http://\ud800.example/a"),
        *("http://" + "ä" * 300 + ".example/a", "http://studio.example:８０８０/a", "http://../a"),
        "https://studio.example/" + "b" * 8000,
        "https://studio.example/" + "ä" * 1500,
    ],
)  # fmt: skip
def test_other_addresses_are_refused_in_a_sentence(no_connection, tmp_path, monkeypatch, url):
    monkeypatch.setattr(socket, "getaddrinfo", None)  # before anything is looked up
    with pytest.raises(FetchError) as refusal:
        fetch.fetch(url, tmp_path)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)
