"""Converting links as people write them to requests, and responses to file names.

Links contain umlauts, spaces and hosts in any script. The host is converted to ASCII first, so that
all checks apply to the very name that is looked up.
"""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import SplitResult

import idna

from denoiser.errors import FetchError
from denoiser.files import fitting

LONGEST = 8000  # characters of a link in ASCII; most servers accept no longer line
LONGEST_HOST = 253
LONGEST_ENDING = 16  # bytes; anything longer is part of the name
PORTS = {"http": 80, "https": 443}
INVALID = "The link is not valid: copy it again."


def parts(url: str) -> SplitResult:
    """The parts of a permitted link, in ASCII, without port and fragment.

    Percent-encoded characters are kept. Raises FetchError.
    """
    url = url.strip()
    try:
        given = urllib.parse.urlsplit(url)
        port = given.port
    except ValueError:
        raise FetchError(INVALID) from None
    if given.scheme not in PORTS or not given.hostname:
        raise FetchError("A link must begin with https:// or http://.")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise FetchError("The link contains a line break or control character: copy it again.")
    if given.username is not None or given.password is not None:
        raise FetchError("Links with a user name or password are not supported: remove them.")
    if port not in (None, PORTS[given.scheme]):
        raise FetchError(f"Port {port} is not supported: use a link without a port.")
    try:
        host, path, query = _host(given.hostname), _escaped(given.path), _escaped(given.query)
    except ValueError:  # also idna's
        raise FetchError(INVALID) from None
    result = SplitResult(given.scheme, host, path or "/", query, "")
    if len(result.geturl()) > LONGEST:
        raise FetchError(f"The link is longer than {LONGEST} characters: use a shorter one.")
    return result


def _host(host: str) -> str:
    """A host in ASCII, by UTS 46 as in browsers. Raises ValueError.

    Python's own codec implements IDNA 2003, which maps a host with ß to another one.
    """
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host.partition('%')[0])}]"
    if len(host) > LONGEST_HOST:  # the conversion below is slow
        raise UnicodeError("too long a host")
    if not host.isascii():
        host = _text(host.encode("utf-8", "surrogateescape"))
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        host = ".".join(
            label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
            for label in labels
        )
    host = host.removesuffix(".")
    if not re.fullmatch(r"([a-z0-9_-]+\.)*[a-z0-9_-]+", host):
        raise UnicodeError("not a host")
    return host


def _escaped(text: str) -> str:
    """Percent-encodes characters that are invalid in a request; a signed link stays unchanged."""
    return re.sub(
        r"%(?![0-9A-Fa-f]{2})|[^!#-;=?-~]",
        lambda match: urllib.parse.quote(match[0], safe="", errors="surrogateescape"),
        text,
    )


def moved(asked: SplitResult, location: str) -> str:
    """The target of a redirect; http.client decodes its `location` header as Latin-1.

    Bytes that are not UTF-8 are passed on unchanged.
    """
    text = location.encode("latin-1").decode("utf-8", "surrogateescape")
    return urllib.parse.urljoin(asked.geturl(), text.strip())


def name(disposition: str, asked: SplitResult) -> str:
    """The name of a file according to the server, otherwise the link, without any path."""
    given = _file_name(disposition) or _text(urllib.parse.unquote_to_bytes(asked.path))
    given = re.split(r"[/\\]", given)[-1]
    given = "".join(c for c in given if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem, ending = os.path.splitext(given)
    if len(ending.encode()) > LONGEST_ENDING:
        stem, ending = given, ""
    return fitting(stem, ending) or "recording"


def _file_name(disposition: str) -> str:
    """The name in a Content-Disposition header in Latin-1; filename* has priority."""
    header = Message()
    header["Content-Disposition"] = _text(disposition.encode("latin-1"))
    values = [v for key, v in header.get_params([], "Content-Disposition") if key == "filename"]
    values.sort(key=lambda value: not isinstance(value, tuple))
    return collapse_rfc2231_value(values[0]).strip() if values else ""


def _text(data: bytes) -> str:
    """Bytes decoded as UTF-8, or as Latin-1 if they are not valid UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
