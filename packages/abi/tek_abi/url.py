"""URLs as permits see them: method, scheme, host, port and path of a request, and patterns over these.

Whatever two readers of a URL could read differently is refused here, since the permit would judge one reading and
the connection follow the other: user names, odd ports, hosts that some resolvers take for a number, dot segments in
any encoding, empty segments, encoded slashes.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import attrs

from tek_abi.errors import PatternError
from tek_abi.glob import joined, segments_glob

MAX_URL: Final = 16_384
"""How long a URL may be, in characters, with its query."""

MAX_PATH: Final = 4096
"""How long a URL's path may be, in characters."""

_DEFAULT_PORT = {"http": 80, "https": 443}
_METHOD = re.compile(r"[A-Za-z]{1,32}")
_METHODS = re.compile(r"\*|[A-Z]{1,32}(?:\|[A-Z]{1,32})*")
_VISIBLE = re.compile(r"[!#-;=?-\[\]_a-z~]*")
_URL = re.compile(r"([A-Za-z]+)://([^/?#]*)(/[^?#]*)?(?:[?#].*)?")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_AUTHORITY_PATTERN = re.compile(r"(\[[0-9a-f:.]+\]|\*|(?:\*\.)?[a-z0-9._-]+)(?::(\*|[1-9][0-9]{0,4}))?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@attrs.frozen
class UrlPattern:
    """A read URL pattern. ``port`` ``None`` is any port; ``path`` starts with a slash."""

    method: str
    scheme: str
    host: str
    port: int | None
    path: str


@attrs.frozen
class UrlResource:
    """A request's target as permits see it: method, scheme, host in lower case, port, path without query.

    In the path escapes of letters, digits and ``-._~`` are decoded, the others in upper case (RFC 3986, 6.2.2).
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://{self.host}:{self.port}{self.path}"


@lru_cache(maxsize=1024)
def parse_url_pattern(pattern: str) -> UrlPattern:
    """Read ``[METHOD ]scheme://host[:port][/path]``. Raises ``PatternError``.

    No method means GET and HEAD, ``GET|POST`` either, ``*`` any. No port means the scheme's own; ``:*`` means any.
    No path means every path. A host may start with ``*.`` for all names below it; ``*`` is any host.
    """
    head, blank, rest = pattern.rpartition(" ")
    method = head.strip().upper() if blank else "GET|HEAD"
    if not _METHODS.fullmatch(method):
        raise PatternError(pattern, "write methods as GET, GET|POST or * before the URL")
    scheme, colon, location = rest.partition("://")
    if not colon:
        raise PatternError(pattern, "write a URL with its scheme, such as https://example.org/**")
    if scheme not in _DEFAULT_PORT:
        raise PatternError(pattern, "the scheme is http or https")
    authority, slash, path = location.partition("/")
    match = _AUTHORITY_PATTERN.fullmatch(authority.lower())
    if match is None:
        raise PatternError(
            pattern, "the host is an ASCII name, an address, * or *.name; the port a number from 1 to 65535 or *"
        )
    host = match[1]
    if host != "*":
        _check_host(host.removeprefix("*."), pattern)
    if not _VISIBLE.fullmatch(path) or "#" in path:
        raise PatternError(pattern, "a path is ASCII without blanks and backslashes; percent-encode")
    if any("**" in segment and segment != "**" for segment in path.split("/")):
        raise PatternError(pattern, "** stands alone between slashes")
    path = _normal_escapes(path, pattern)
    if "%2A" in path or "%3F" in path:
        raise PatternError(pattern, "write ? for one character that would be a wildcard")
    any_port = match[2] == "*"
    port = None if any_port else _port(match[2], scheme, pattern)
    return UrlPattern(method, scheme, host, port, "/" + path if slash else "/**")


def parse_url(method: str, url: str) -> UrlResource:
    """Read a request's target. Raises ``PatternError`` for whatever two readers of it could read differently.

    A host is a plain DNS name, or an IPv4 or IPv6 address in its canonical form. Query and fragment are dropped.
    """
    if len(url) > MAX_URL:
        raise PatternError(url[:40] + "...", f"a URL has at most {MAX_URL} characters")
    if not _VISIBLE.fullmatch(url):
        raise PatternError(url, "a URL is ASCII without blanks, control characters and backslashes; percent-encode")
    if not _METHOD.fullmatch(method):
        raise PatternError(method, "a method is ASCII letters")
    parts = _URL.fullmatch(url)
    scheme = parts[1].lower() if parts else ""
    if parts is None or scheme not in _DEFAULT_PORT or not parts[2]:
        raise PatternError(url, "write http:// or https:// and a host")
    authority = _AUTHORITY.fullmatch(parts[2].lower())
    if authority is None:
        raise PatternError(url, "after the scheme stands a host and perhaps a port from 1 to 65535, and nothing else")
    _check_host(authority[1], url)
    path = _normal_escapes(parts[3] or "/", url)
    _check_path(path, url)
    return UrlResource(method.upper(), scheme, authority[1], _port(authority[2], scheme, url), path)


def match_url(pattern: str, resource: str) -> bool:
    """Match a resource written by ``str(UrlResource)`` against a URL pattern. Raises ``PatternError`` for either."""
    wanted, target = parse_url_pattern(pattern), read_resource(resource)
    if wanted.scheme != target.scheme or wanted.port not in (None, target.port):
        return False
    if wanted.method != "*" and target.method not in wanted.method.split("|"):
        return False
    if wanted.host.startswith("*."):
        if not target.host.endswith(wanted.host[1:]):
            return False
    elif wanted.host not in ("*", target.host):
        return False
    return _path_glob(wanted.path).fullmatch(joined(target.path.split("/"), "/")) is not None


@lru_cache(maxsize=256)
def read_resource(resource: str) -> UrlResource:
    """Read what ``str(UrlResource)`` wrote. Raises ``PatternError`` for any other text."""
    method, _, url = resource.partition(" ")
    target = parse_url(method, url)
    if str(target) != resource:
        raise PatternError(resource, f"not in its normal form {target}")
    return target


@lru_cache(maxsize=1024)
def _path_glob(path: str) -> re.Pattern[str]:
    return segments_glob(path.split("/"), "/")


def _port(text: str | None, scheme: str, whole: str) -> int:
    port = int(text) if text else _DEFAULT_PORT[scheme]
    if port > 65535:
        raise PatternError(whole, "the port is a number from 1 to 65535")
    return port


def _check_host(host: str, whole: str) -> None:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise PatternError(whole, f"{host} is not an IPv6 address") from None
        if address.ipv4_mapped is not None:
            raise PatternError(whole, f"{host} stands for an IPv4 address; write {address.ipv4_mapped}")
        if str(address) != host[1:-1]:
            raise PatternError(whole, f"write the address as [{address}]")
        return
    labels = host.split(".")
    if len(host) > 253 or not all(0 < len(label) <= 63 for label in labels):
        raise PatternError(whole, f"{host!r} is not a host's name: labels of 1 to 63 characters, 253 in all")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # Resolvers read 127.1, 0x7f.1 and 010.0.0.1 as addresses, each in its own way.
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise PatternError(whole, f"{host!r} looks like an address; write four decimal numbers") from None


def _normal_escapes(path: str, whole: str) -> str:
    if "%" not in path:
        return path

    def normal(match: re.Match[str]) -> str:
        if match[1] is None:
            raise PatternError(whole, "a % stands before two hex digits; write %25 for itself")
        char = chr(int(match[1], 16))
        return char if _UNRESERVED.fullmatch(char) else match[0].upper()

    return _ESCAPE.sub(normal, path)


def _check_path(path: str, whole: str) -> None:
    if len(path) > MAX_PATH:
        raise PatternError(whole[:40] + "...", f"a path has at most {MAX_PATH} characters")
    plain = path
    if "%" in path:
        if re.search(r"%(?:2F|5C|7F|[01][0-9A-F])", path):
            raise PatternError(whole, "a path holds no encoded slash, backslash or control character")
        while (decoded := unquote(plain, "latin-1")) != plain:
            plain = decoded
    segments = re.split(r"[/\\]", plain)
    if any(segment.partition(";")[0] in (".", "..") for segment in segments):
        raise PatternError(whole, "a path holds no '.' or '..' segment, however it is encoded")
    if "//" in path:
        raise PatternError(whole, "a path holds no empty segment")
