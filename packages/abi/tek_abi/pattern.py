"""Patterns of permits, one matcher a namespace: names, paths, argument vectors, URLs.

Every matcher is total and takes at most O(pattern x subject) steps, so no pattern can stall the broker.
Patterns are compared with whole resources, never with each other: attenuation is conjunction (DESIGN section 3).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import attrs

from tek_abi.errors import PatternError

WORKSPACE = "$WORKSPACE"
SYSTEM = "$SYSTEM"
_SYSTEM_BIN = ("/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/")
_DEFAULT_PORT = {"http": 80, "https": 443}
_Item = TypeVar("_Item")


def _wild(pattern: Sequence[str], items: Sequence[_Item], star: str, same: Callable[[str, _Item], bool]) -> bool:
    """Match ``items`` where ``star`` stands for any run of them. Backtracks to the last star only."""
    p = i = 0
    star_at, resume_at = -1, 0
    while i < len(items):
        if p < len(pattern) and pattern[p] == star:
            star_at, resume_at = p, i
            p += 1
        elif p < len(pattern) and same(pattern[p], items[i]):
            p += 1
            i += 1
        elif star_at >= 0:
            resume_at += 1
            p, i = star_at + 1, resume_at
        else:
            return False
    return all(rest == star for rest in pattern[p:])


def _same_char(pattern: str, char: str) -> bool:
    return pattern == "?" or pattern == char


@lru_cache(maxsize=4096)
def match_name(pattern: str, name: str) -> bool:
    """Match a name: ``*`` is any run of characters, ``?`` any one, all else itself."""
    if pattern == "*" or pattern == name:
        return True
    if "*" not in pattern and "?" not in pattern:
        return False
    return _wild(pattern, name, "*", _same_char)


def check_text(text: str, what: str) -> None:
    """Raise ``PatternError`` where ``text`` is empty or holds characters that no resource may hold."""
    if not text:
        raise PatternError(text, f"an empty {what}")
    if not text.isprintable() or any("\ud800" <= c <= "\udfff" for c in text):
        raise PatternError(text, f"a {what} holds no control, invisible or surrogate characters")


def canonical_path(path: str) -> str:
    """Return a path as permits see it: ``src/a`` is ``$WORKSPACE/src/a``, ``/etc/x`` is ``$SYSTEM/etc/x``.

    Raises ``PatternError`` for ``..``, NUL and other control characters, and lone surrogates. ``.`` and empty
    segments are dropped. This names the resource only; the real file is found by the OS beneath a granted root.
    """
    if path in (WORKSPACE, SYSTEM) or path.startswith((WORKSPACE + "/", SYSTEM + "/")):
        root, rest = path.split("/", 1)[0], path.partition("/")[2]
    elif path.startswith("/"):
        root, rest = SYSTEM, path
    else:
        root, rest = WORKSPACE, path
    if not path:
        raise PatternError(path, "an empty path; write . for the workspace")
    if any(ord(c) < 32 or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in path):
        raise PatternError(path, "a path holds no NUL, control or surrogate characters")
    segments = [segment for segment in rest.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise PatternError(path, "a path holds no '..'; name it from the workspace or from /")
    return "/".join((root, *segments))


def match_path(pattern: str, path: str) -> bool:
    """Match canonical paths: ``**`` is any number of segments (none too), ``*`` and ``?`` stay within one."""
    if pattern == path:
        return True
    return _wild(pattern.split("/"), path.split("/"), "**", match_name)


def static_prefix(pattern: str) -> str:
    """Return the part of a canonical path pattern before its first wildcard segment."""
    fixed: list[str] = []
    for segment in pattern.split("/"):
        if "*" in segment or "?" in segment:
            break
        fixed.append(segment)
    return "/".join(fixed)


@lru_cache(maxsize=1024)
def argv_words(pattern: str) -> tuple[str, ...]:
    """Split an argv pattern into words as a POSIX shell would. Raises ``PatternError`` on open quotes."""
    try:
        return tuple(shlex.split(pattern))
    except ValueError as error:
        raise PatternError(pattern, f"cannot be split into words: {error}") from None


def _same_program(pattern: str, program: str) -> bool:
    if pattern == "**":
        return True
    if "/" in pattern:
        return match_path(pattern, program)
    if "/" not in program:
        return match_name(pattern, program)
    directory, _, name = program.rpartition("/")
    return directory + "/" in _SYSTEM_BIN and match_name(pattern, name)


def match_argv(pattern: str, argv: Sequence[str]) -> bool:
    """Match an argument vector word by word.

    ``git`` is that program with any arguments; ``git status`` exactly those words; ``git log **`` any rest.
    ``*`` is any program found on the search path, ``**`` any program at all. A word without a slash covers the
    program of that name in the system's own directories too, but not a file of that name elsewhere.
    """
    words = argv_words(pattern)
    if not words or not argv or not _same_program(words[0], argv[0]):
        return False
    if len(words) == 1:
        return True
    return _wild(words[1:], argv[1:], "**", match_name)


@attrs.frozen
class UrlPattern:
    """A read URL pattern. ``port`` ``None`` is any port; ``path`` starts with a slash."""

    method: str
    scheme: str
    host: str
    port: int | None
    path: str


@lru_cache(maxsize=1024)
def parse_url_pattern(pattern: str) -> UrlPattern:
    """Read ``[METHOD ]scheme://host[:port][/path]``. Raises ``PatternError``.

    No method means GET and HEAD; ``*`` means any. No port means the scheme's own; ``:*`` means any.
    No path means every path. A host may start with ``*.`` for all names below it.
    """
    head, blank, rest = pattern.rpartition(" ")
    method = head.strip() if blank else "GET|HEAD"
    if "://" not in rest:
        raise PatternError(pattern, "write a URL with its scheme, such as https://example.org/**")
    scheme, _, location = rest.partition("://")
    authority, slash, path = location.partition("/")
    if authority.startswith("["):
        host, _, tail = authority.partition("]")
        host, port_text = host + "]", tail.removeprefix(":") if tail else ""
    else:
        host, _, port_text = authority.partition(":")
    if scheme not in _DEFAULT_PORT:
        raise PatternError(pattern, "the scheme is http or https")
    if not host or "@" in authority or any(c in authority for c in "\\#?") or not authority.isascii():
        raise PatternError(pattern, "the host is an ASCII name or an address, without user names")
    if "*" in host and not (host == "*" or (host.startswith("*.") and "*" not in host[2:] and len(host) > 2)):
        raise PatternError(pattern, "a wildcard host is * or *.name")
    port: int | None
    if port_text == "*":
        port = None
    elif not port_text:
        port = _DEFAULT_PORT[scheme]
    elif port_text.isdecimal() and port_text.isascii() and 0 < int(port_text) < 65536:
        port = int(port_text)
    else:
        raise PatternError(pattern, "the port is a number from 1 to 65535 or *")
    return UrlPattern(method.upper(), scheme, host.lower(), port, "/" + path if slash else "/**")


@attrs.frozen
class UrlResource:
    """A request's target as permits see it: method, scheme, host in lower case, port, path without query."""

    method: str
    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://{self.host}:{self.port}{self.path}"


def parse_url(method: str, url: str) -> UrlResource:
    """Read a request's target. Raises ``PatternError`` for user info, odd characters, dots in the path, bad ports."""
    if not url.isascii() or any(ord(c) <= 32 or c in '\\"<>^`{|}' or c == "\x7f" for c in url):
        raise PatternError(url, "a URL is ASCII without blanks, control characters and backslashes; percent-encode")
    if not method.isascii() or not method.isalpha():
        raise PatternError(method, "a method is ASCII letters")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise PatternError(url, str(error)) from None
    if parts.scheme not in _DEFAULT_PORT or not host:
        raise PatternError(url, "write http:// or https:// and a host")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise PatternError(url, "a URL carries no user name and no encoded host")
    path = parts.path or "/"
    plain = unquote(path)
    if any(segment in (".", "..") for segment in plain.split("/")) or plain.count("/") != path.count("/"):
        raise PatternError(url, "a path holds no '.' or '..' segment and no encoded slash")
    if ":" in host:
        host = f"[{host}]"
    return UrlResource(method.upper(), parts.scheme, host, port or _DEFAULT_PORT[parts.scheme], path)


def match_url(pattern: str, resource: str) -> bool:
    """Match a resource written by ``str(UrlResource)`` against a URL pattern."""
    method, _, url = resource.partition(" ")
    wanted, target = parse_url_pattern(pattern), parse_url(method, url)
    if wanted.scheme != target.scheme or wanted.port not in (None, target.port):
        return False
    if wanted.method != "*" and target.method not in wanted.method.split("|"):
        return False
    if wanted.host.startswith("*."):
        if not target.host.endswith(wanted.host[1:]) or target.host[0] == "[":
            return False
    elif wanted.host not in ("*", target.host):
        return False
    return match_path(wanted.path, target.path)
