"""A link as people write it -> what a server is asked for; what a server says -> a file's name.

Links come with umlauts, spaces and hosts in any script. The host is turned into ASCII before
anything is looked up or checked, so that what is checked is what is connected to.
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

LONGEST = 8000  # characters of a link in ASCII: most servers take no longer line
LONGEST_HOST = 253
LONGEST_ENDING = 16  # bytes; a longer one is no ending
PORTS = {"http": 80, "https": 443}
INVALID = "The link is not valid: copy it again."


def parts(url: str) -> SplitResult:
    """The parts of a link that may be asked for, in ASCII, without port and fragment.

    What is percent-encoded stays as it is. Raises FetchError.
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
    """A host in ASCII, by UTS 46 as browsers do it. Raises ValueError.

    Python's own codec is of IDNA 2003, which makes another host of one with ß.
    """
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host.partition('%')[0])}]"
    if len(host) > LONGEST_HOST:  # what follows takes time
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
    """Percent-encodes what no request may hold; a signed link in ASCII stays as it is."""
    return re.sub(
        r"%(?![0-9A-Fa-f]{2})|[^!#-;=?-~]",
        lambda match: urllib.parse.quote(match[0], safe="", errors="surrogateescape"),
        text,
    )


def moved(asked: SplitResult, location: str) -> str:
    """The link that a redirect leads to; its header, as http.client gives it, is Latin-1.

    Bytes that are not UTF-8 reach the next server as they are.
    """
    text = location.encode("latin-1").decode("utf-8", "surrogateescape")
    return urllib.parse.urljoin(asked.geturl(), text.strip())


def name(disposition: str, asked: SplitResult) -> str:
    """What the server or the link calls a file, without anything that leads out of a folder."""
    given = _file_name(disposition) or _text(urllib.parse.unquote_to_bytes(asked.path))
    given = re.split(r"[/\\]", given)[-1]
    given = "".join(c for c in given if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem, ending = os.path.splitext(given)
    if len(ending.encode()) > LONGEST_ENDING:
        stem, ending = given, ""
    return fitting(stem, ending) or "recording"


def _file_name(disposition: str) -> str:
    """Of a Content-Disposition header in Latin-1; filename* wins, which names its encoding."""
    header = Message()
    header["Content-Disposition"] = _text(disposition.encode("latin-1"))
    values = [v for key, v in header.get_params([], "Content-Disposition") if key == "filename"]
    values.sort(key=lambda value: not isinstance(value, tuple))
    return collapse_rfc2231_value(values[0]).strip() if values else ""


def _text(data: bytes) -> str:
    """UTF-8 where it is that, otherwise Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
