"""A public address -> a file: exact, under its name, and never from inside."""

import contextlib
import http.server
import socket
import threading
import time

import pytest

from denoiser import fetch
from denoiser.fetch import FetchError

SOUND = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.host = self.headers["Host"]
        getattr(self, self.path.split("/")[1].split(".")[0].split("?")[0])()

    def answer(self, body=SOUND, status=200, kind="audio/wav", length=True, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def talk(self):
        self.answer()

    def evil(self):
        self.answer(Content_Disposition='attachment; filename="../../etc/.passwd"')

    def missing(self):
        self.answer(b"no", 404)

    def page(self):
        self.answer(b"<html>", kind="text/html; charset=utf-8")

    def moved(self):
        self.answer(b"", 302, Location="/talk.wav")

    def inside(self):
        self.answer(b"", 302, Location="http://10.0.0.1/talk.wav")

    def loop(self):
        self.answer(b"", 302, Location="/loop")

    def endless(self):
        self.answer(b"", length=False)
        with contextlib.suppress(OSError):  # until the other side hangs up
            while True:
                self.wfile.write(SOUND)

    def short(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")

    def drip(self, byte=b"x"):
        self.answer(b"", length=False)
        self.drop(byte)

    def header(self):
        self.drop(b"H")

    def drop(self, byte):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                self.wfile.write(byte)
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server that counts as public, as http://studio.example/."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.names = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port, connect = server.server_port, socket.create_connection

        def getaddrinfo(host, port, *_, **__):
            address = host
            if not host[0].isdigit():
                server.names.append(host)
                address = "93.184.215.14"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def create_connection(address, timeout):
            assert address == ("93.184.215.14", 80)
            return connect(("127.0.0.1", port), timeout)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(fetch.socket, "create_connection", create_connection)
        yield server
        server.shutdown()


def test_the_file_arrives_whole_and_under_its_name(server, tmp_path):
    path = fetch.fetch("http://studio.example/talk.wav?session=3", tmp_path)
    assert path == tmp_path / "talk.wav"
    assert path.read_bytes() == SOUND
    assert server.asked == ["/talk.wav?session=3"]
    assert server.host == "studio.example"


def test_a_redirect_is_followed_and_each_name_looked_up_once(server, tmp_path):
    assert fetch.fetch("http://studio.example/moved", tmp_path).name == "talk.wav"
    assert server.names == ["studio.example", "studio.example"]


def test_a_name_that_leads_out_of_the_folder_does_not(server, tmp_path):
    assert fetch.fetch("http://studio.example/evil", tmp_path) == tmp_path / "passwd"


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("missing", "studio.example answers 404 Not Found: check the link."),
        ("page", "a web page, not to a file"),
        ("inside", "10.0.0.1 is not on the public internet"),
        ("loop", "more than 5 times"),
        ("endless", "larger than 1 MB"),
        ("short", "broke off"),
        ("drip", "took longer than 1 s."),
        ("header", "took longer than 1 s."),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_left(server, tmp_path, what, sentence):
    start = time.monotonic()
    with pytest.raises(FetchError, match=sentence) as refusal:
        fetch.fetch(f"http://studio.example/{what}", tmp_path, most_bytes=1_000_000, seconds=1)
    assert time.monotonic() - start < 2
    assert str(refusal.value).endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_says_it_is_too_large_is_not_read(server, tmp_path):
    with pytest.raises(FetchError, match="larger than 0 MB"):
        fetch.fetch("http://studio.example/talk.wav", tmp_path, most_bytes=len(SOUND) - 1)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_connection(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(fetch.socket, "create_connection", refuse)


INSIDE = [
    *("127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
    *("100.64.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1", "localhost"),
    *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_nothing_inside_is_asked(no_connection, tmp_path, host):
    with pytest.raises(FetchError, match="is not on the public internet|There is no host"):
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
        *("http://studio.example/a b", "http://studio.example/\r\nHost: x"),
        "https://studio.example/" + "b" * 2000,
    ],
)  # fmt: skip
def test_other_addresses_are_refused_in_a_sentence(no_connection, tmp_path, url):
    with pytest.raises(FetchError) as refusal:
        fetch.fetch(url, tmp_path)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)
