"""A public address -> a file: exact, under its name, and never from inside."""

import contextlib
import http.server
import socket
import threading
from types import SimpleNamespace

import pytest

from page import addresses, fetch
from page.fetch import FetchError

SOUND = bytes(range(256)) * 1000


def as_sent(text: str) -> str:
    """A header that goes out as UTF-8, though the server writes Latin-1."""
    return text.encode().decode("latin-1")


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

    def inside_by_script(self):
        self.answer(b"", 302, Location=as_sent("http://１０.０.０.１/talk.wav"))

    def moved_utf8(self):
        self.answer(b"", 302, Location=as_sent("http://exämple.org/talk/ä b.wav"))

    def moved_latin1(self):
        self.answer(b"", 302, Location="http://exämple.org/talk/ä b.wav")

    def named(self):
        self.answer(Content_Disposition=as_sent(self.server.disposition))

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
        with contextlib.suppress(OSError):  # until the other side hangs up
            while not self.server.ended.wait(0.05):
                self.wfile.write(byte)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server that counts as public, as http://studio.example/."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.names, server.ended = [], [], threading.Event()
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
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
        server.ended.set()
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
        ("missing", "studio.example responds with 404 Not Found: check the link."),
        ("page", "leads to a web page: use the link of the file"),
        ("inside", "10.0.0.1 is not on the public internet"),
        ("inside_by_script", "10.0.0.1 is not on the public internet"),
        ("loop", "more than 5 times"),
        ("endless", "larger than 1 MB"),
        ("short", "broke off"),
        ("drip", "took longer than 1 s."),  # either would never end by itself
        ("header", "took longer than 1 s."),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_left(server, tmp_path, what, sentence):
    seconds = 1 if "1 s" in sentence else 60
    url = f"http://studio.example/{what}"
    with pytest.raises(FetchError, match=sentence) as refusal:
        fetch.fetch(url, tmp_path, most_bytes=1_000_000, seconds=seconds)
    assert str(refusal.value).endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_says_it_is_too_large_is_not_read(server, tmp_path):
    with pytest.raises(FetchError, match="larger than 0 MB"):
        fetch.fetch("http://studio.example/talk.wav", tmp_path, most_bytes=len(SOUND) - 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "asked", "saved"),
    [("moved_utf8", "/talk/%C3%A4%20b.wav", "ä b.wav"),
     ("moved_latin1", "/talk/%E4%20b.wav", "ä b.wav")],
)  # fmt: skip
def test_a_redirect_in_any_script_is_followed(server, tmp_path, path, asked, saved):
    assert fetch.fetch(f"http://studio.example/{path}", tmp_path).name == saved
    assert server.asked[1] == asked
    assert server.host == "xn--exmple-cua.org"
    assert server.names == ["studio.example", "xn--exmple-cua.org"]


def test_a_file_keeps_the_name_that_the_server_gives_it(server, tmp_path):
    server.disposition = f'attachment; filename="{"語" * 100} 🙊.mp3"'
    path = fetch.fetch("http://studio.example/named", tmp_path)
    assert path == tmp_path / ("語" * 83 + ".mp3")
    assert path.read_bytes() == SOUND


def resolve(monkeypatch, *addresses) -> None:
    """Names, but not addresses, have these from now on."""
    known = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        if host[0].isdigit():
            return known(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still at 1000 s."""
    monkeypatch.setattr(fetch, "time", SimpleNamespace(monotonic=lambda: 1000.0))


@pytest.fixture
def two_addresses(server, clock, monkeypatch):
    """studio.example has two addresses, of which the first is dead; how long each was given."""
    given, connect = [], fetch.socket.create_connection

    def create_connection(address, timeout):
        given.append(timeout)
        if address[0] == "93.184.215.13":
            raise TimeoutError("timed out")
        return connect(address, timeout)

    resolve(monkeypatch, "93.184.215.13", "93.184.215.14")
    monkeypatch.setattr(fetch.socket, "create_connection", create_connection)
    return given


def test_a_dead_address_leaves_time_for_the_next(two_addresses, tmp_path):
    assert fetch.fetch("http://studio.example/talk.wav", tmp_path).read_bytes() == SOUND
    dead, alive = two_addresses
    assert (dead, alive) == (5, 60)


def test_many_dead_addresses_share_the_time(two_addresses, monkeypatch, tmp_path):
    resolve(monkeypatch, *(f"93.184.215.{number}" for number in range(20, 60)))

    def create_connection(address, timeout):
        two_addresses.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(fetch.socket, "create_connection", create_connection)
    with pytest.raises(FetchError, match="studio.example cannot be reached: timed out"):
        fetch.fetch("http://studio.example/talk.wav", tmp_path)
    assert len(two_addresses) == 40
    assert two_addresses[0] == 60 / 40


def test_an_answer_may_take_longer_than_a_connection(server, clock, monkeypatch):
    """The time for an address that is not the last is not that for its answer."""
    resolve(monkeypatch, "93.184.215.14", "93.184.215.13")
    parts = addresses.parts("http://studio.example/talk.wav")
    connection = fetch._connected(parts, 1060)
    assert connection.sock.gettimeout() == 60
    connection.close()


def test_a_first_address_that_hangs_in_its_handshake_leaves_time_for_the_next(
    server, clock, monkeypatch
):
    resolve(monkeypatch, "93.184.215.13", "93.184.215.14")
    monkeypatch.setattr(fetch.socket, "create_connection", lambda *_, **__: socket.socket())
    given = []

    def secured(sock, host, seconds):
        given.append(seconds)
        if len(given) == 1:
            raise TimeoutError("timed out")
        return sock

    monkeypatch.setattr(fetch, "_secured", secured)
    fetch._connected(addresses.parts("https://studio.example/a"), 1060).close()
    assert given == [5, 60]
