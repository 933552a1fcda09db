"""Patterns of permits, one matcher a namespace: names, paths, argument vectors, URLs.

Every matcher is total and takes at most O(pattern x subject) steps, so no pattern can stall the broker; what it
cannot read it refuses with ``PatternError``. Patterns are compared with whole resources, never with each other:
attenuation is conjunction (DESIGN section 3).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tek_abi.errors import PatternError
from tek_abi.glob import MAX_PATTERN, is_wild, joined, match_name, segments_glob
from tek_abi.url import UrlPattern, UrlResource, match_url, parse_url, parse_url_pattern

__all__ = [
    "MAX_PATH", "MAX_PATTERN", "SYSTEM", "WORKSPACE", "UrlPattern", "UrlResource", "argv_words", "canonical_path",
    "check_text", "is_wild", "match_argv", "match_name", "match_path", "match_url", "parse_url", "parse_url_pattern",
    "path_pattern", "static_prefix",
]  # fmt: skip

WORKSPACE: Final = "$WORKSPACE"
SYSTEM: Final = "$SYSTEM"
MAX_PATH: Final = 4096
"""How long a path may be, in characters; the OS takes no longer one at once (PATH_MAX)."""

_SYSTEM_BIN = frozenset(
    f"{SYSTEM}/{directory}" for directory in ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_text(text: str, what: str) -> None:
    """Raise ``PatternError`` where ``text`` is empty, over-long or holds characters that no resource may hold."""
    if not text:
        raise PatternError(text, f"an empty {what}")
    if len(text) > MAX_PATTERN:
        raise PatternError(text[:40] + "...", f"a {what} has at most {MAX_PATTERN} characters")
    if not text.isprintable():
        raise PatternError(text, f"a {what} holds no control, invisible or surrogate characters")


@lru_cache(maxsize=4096)
def canonical_path(path: str) -> str:
    """Return a path as permits see it: ``src/a`` is ``$WORKSPACE/src/a``, ``/etc/x`` is ``$SYSTEM/etc/x``.

    Raises ``PatternError`` for ``..``, NUL and other control characters, lone surrogates, and more than
    ``MAX_PATH`` characters. ``.`` and empty segments are dropped; a canonical path is its own canonical form, so a
    directory that is really called ``$WORKSPACE`` is written ``./$WORKSPACE``. This names the resource only; the
    real file is found by the OS beneath a granted root.
    """
    if not path:
        raise PatternError(path, "an empty path; write . for the workspace")
    if _UNSAFE.search(path):
        raise PatternError(path, "a path holds no NUL, control or surrogate characters")
    if path.startswith("/"):
        root, rest = SYSTEM, path
    elif path in (WORKSPACE, SYSTEM) or path.startswith((WORKSPACE + "/", SYSTEM + "/")):
        root, _, rest = path.partition("/")
    else:
        root, rest = WORKSPACE, path
    segments = [segment for segment in rest.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise PatternError(path, "a path holds no '..'; name it from the workspace or from /")
    canonical = "/".join((root, *segments))
    if len(canonical) > MAX_PATH:
        raise PatternError(path[:40] + "...", f"a path has at most {MAX_PATH} characters")
    return canonical


@lru_cache(maxsize=4096)
def path_pattern(pattern: str) -> str:
    """Return a path pattern in canonical form. Raises ``PatternError`` as ``canonical_path`` does, and for ``**``
    that does not stand alone between slashes: it would look as if it crossed them.
    """
    canonical = canonical_path(pattern)
    if any("**" in segment and segment != "**" for segment in canonical.split("/")):
        raise PatternError(pattern, "** stands alone between slashes; write * within a name")
    return canonical


def match_path(pattern: str, path: str) -> bool:
    """Match canonical paths: ``**`` is any number of segments (none too), ``*`` and ``?`` stay within one.

    Raises ``PatternError`` for a pattern of more than ``MAX_PATTERN`` characters.
    """
    if pattern == path:
        return True
    return is_wild(pattern) and _path_glob(pattern).fullmatch(f"/{path}/") is not None


@lru_cache(maxsize=4096)
def _path_glob(pattern: str) -> re.Pattern[str]:
    return segments_glob(pattern.split("/"), "/")


def static_prefix(pattern: str) -> str:
    """Return the part of a canonical path pattern before its first wildcard segment."""
    fixed: list[str] = []
    for segment in pattern.split("/"):
        if is_wild(segment):
            break
        fixed.append(segment)
    return "/".join(fixed)


def may_meet(one: str, other: str) -> bool:
    """Whether a path may match both patterns, as far as the parts before their wildcards tell."""
    shorter, longer = sorted(map(static_prefix, (one, other)), key=len)
    return (longer + "/").startswith(shorter + "/")


@lru_cache(maxsize=1024)
def argv_words(pattern: str) -> tuple[str, ...]:
    """Split an argv pattern into words as a POSIX shell would. Raises ``PatternError`` on open quotes."""
    try:
        return tuple(shlex.split(pattern))
    except ValueError as error:
        raise PatternError(pattern, f"cannot be split into words: {error}") from None


def match_argv(pattern: str, argv: Sequence[str]) -> bool:
    """Match an argument vector word by word.

    ``git`` is that program with any arguments; ``git status`` exactly those words; ``git log **`` any rest.
    ``*`` is any program found on the search path, ``**`` any program at all. A word without a slash covers the
    program of that name in the system's own directories too, but not a file of that name elsewhere; one with a
    slash is a path pattern. Raises ``PatternError`` where either cannot be read.
    """
    words = argv_words(pattern)
    if not words or not argv or not _same_program(words[0], argv[0]):
        return False
    if len(words) == 1:
        return True
    if any("\0" in word for word in argv):
        raise PatternError(argv[0], "no argument holds NUL")
    return _words_glob(words[1:]).fullmatch(joined(argv[1:], "\0")) is not None


@lru_cache(maxsize=1024)
def _words_glob(words: tuple[str, ...]) -> re.Pattern[str]:
    return segments_glob(words, "\0")


def _same_program(pattern: str, program: str) -> bool:
    if not program:
        return False
    if pattern in ("**", program):
        return True
    if "/" not in program:
        return "/" not in pattern and match_name(pattern, program)
    # The OS takes argv[0] as it stands: there, $SYSTEM/bin/git is a file in the directory it is started from.
    path = canonical_path(program if program.startswith("/") else f"./{program}")
    if "/" in pattern:
        return match_path(path_pattern(pattern), path)
    directory, _, name = path.rpartition("/")
    return directory in _SYSTEM_BIN and match_name(pattern, name)
