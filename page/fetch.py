"""Downloading a file from a public link that a visitor enters.

Visitors could use the server to reach its own network. Therefore only http and https on their
default ports are permitted; all addresses of the host must be public, and the connection uses the
address that was checked; this applies to every redirect. No proxies, no credentials; limits for
size and time.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path

from denoiser.errors import FetchError
from denoiser.files import replacing
from page.addresses import PORTS, moved, name
from page.addresses import parts as _parts

MOST_BYTES = 200_000_000
MOST_SECONDS = 60.0
MOST_REDIRECTS = 5
DEAD_SECONDS = 5.0  # without an answer, before the next address is tried
REDIRECTS = (301, 302, 303, 307, 308)
PIECE = 1 << 16  # bytes
HEADERS = {"User-Agent": "speech-denoiser", "Accept": "*/*", "Accept-Encoding": "identity"}
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def fetch(
    url: str, folder: Path, *, most_bytes: int = MOST_BYTES, seconds: float = MOST_SECONDS
) -> Path:
    """Downloads the file at a public http or https link to `folder`, under its own name.

    Raises FetchError and leaves no partial file.
    """
    end = time.monotonic() + seconds
    for _ in range(MOST_REDIRECTS + 1):
        parts = _parts(url)
        host = _host(parts)
        connection = _connected(parts, end)
        # A slow trickle of data never exceeds a socket's timeout; the timer ends it
        watch = threading.Timer(end - time.monotonic(), _cut, [connection.sock])
        watch.daemon = True
        watch.start()
        try:
            answer = _asked(connection, parts)
            if answer.status not in REDIRECTS:
                _refuse(answer, host, most_bytes)
                path = Path(folder) / name(answer.getheader("Content-Disposition", ""), parts)
                return _saved(answer, path, most_bytes, end)
            url = moved(parts, answer.getheader("Location", ""))
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, FetchError):
                raise
            if time.monotonic() >= end:
                raise FetchError(f"{host} took longer than {seconds:.0f} s.") from None
            raise FetchError(f"The connection to {host} broke off: {_line(error)}.") from None
        finally:
            watch.cancel()
            connection.close()
    raise FetchError(f"The link redirects more than {MOST_REDIRECTS} times: use the last one.")


def _host(parts: urllib.parse.SplitResult) -> str:
    """The host of a link that `addresses.parts` has checked."""
    assert parts.hostname
    return parts.hostname


def _connected(parts: urllib.parse.SplitResult, end: float) -> http.client.HTTPConnection:
    """A connection to the host, all of whose addresses must be public. Raises FetchError."""
    host, port = _host(parts), PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(f"The host {host} does not exist: check the link.") from None
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    for address in addresses:
        if not _is_public(address):
            raise FetchError(f"{host} is not on the public internet: use a public link.")
    error = None
    for others, address in zip(range(len(addresses))[::-1], addresses, strict=True):
        try:
            sock = _opened(address, parts, end, others)
        except OSError as problem:
            error = problem
            continue
        connection = http.client.HTTPConnection(parts.netloc)  # the Host header omits the port
        connection.sock = sock  # otherwise it would open one
        return connection
    raise FetchError(f"{host} cannot be reached: {_line(error)}.")


def _opened(
    address: str, parts: urllib.parse.SplitResult, end: float, others: int
) -> socket.socket:
    """A socket to one address; leaves time for the `others`, a number of further addresses."""
    left = max(0.001, end - time.monotonic())
    share = min(DEAD_SECONDS, left / (others + 1)) if others else left
    until = time.monotonic() + share
    sock = socket.create_connection((address, PORTS[parts.scheme]), timeout=share)
    if parts.scheme == "https":
        sock = _secured(sock, _host(parts), max(0.001, until - time.monotonic()))
    sock.settimeout(max(0.001, end - time.monotonic()))  # for the response
    return sock


def _secured(sock: socket.socket, host: str, seconds: float) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    watch = threading.Timer(seconds, _cut, [sock])
    watch.start()
    try:
        sock.do_handshake()
    except OSError:
        sock.close()
        raise
    finally:
        watch.cancel()
    return sock


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _is_public(address: str) -> bool:
    """Whether an address is public, as must be those embedded in it."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if ip.version == 4:
        return True
    wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in NAT64:
        wrapped.append(ipaddress.ip_address(int(ip) & 0xFFFFFFFF))
    return all(_is_public(str(each)) for each in wrapped if each is not None)


def _asked(
    connection: http.client.HTTPConnection, parts: urllib.parse.SplitResult
) -> http.client.HTTPResponse:
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection.request("GET", target, headers=HEADERS)
    return connection.getresponse()


def _refuse(answer: http.client.HTTPResponse, host: str, most_bytes: int) -> None:
    """Raises FetchError for a response without a usable body."""
    if answer.status != 200:
        reason = http.client.responses.get(answer.status, "")
        raise FetchError(f"{host} responds with {answer.status} {reason}: check the link.")
    if answer.headers.get_content_type() == "text/html":
        raise FetchError("The link leads to a web page: use the link of the file itself.")
    if answer.length is not None and answer.length > most_bytes:
        raise _too_large(most_bytes)


def _saved(answer: http.client.HTTPResponse, path: Path, most_bytes: int, end: float) -> Path:
    """Writes the body to a file, which exists only when it is complete."""
    size = 0
    with replacing(path) as temporary, open(temporary, "xb") as file:
        while piece := answer.read1(PIECE):
            size += len(piece)
            if size > most_bytes:
                raise _too_large(most_bytes)
            file.write(piece)
        if answer.length or time.monotonic() >= end:
            raise http.client.IncompleteRead(b"", answer.length)
    return path


def _too_large(most_bytes: int) -> FetchError:
    return FetchError(f"The file is larger than {most_bytes / 1e6:.0f} MB: choose a smaller one.")


def _line(error: Exception | None) -> str:
    return " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__
