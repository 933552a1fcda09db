"""Request headers: which of them a task may set, and the secrets that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from tek_kernel.effect import EffectError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"([\x21-\x7e]+([ \t]+[\x21-\x7e]+)*)?", re.ASCII)
_SECRET = re.compile(r"(Bearer )?secret:([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_NAMES_A_SECRET = re.compile(r"(^|[ \t])secret:", re.ASCII)
_LIMIT = 64 * 1024

# They say where a message ends and who handles it. Two readings of that are request smuggling.
_RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def check_headers(headers: Sequence[tuple[str, str]]) -> None:
    """Raise ``ValueError`` for a header that a request may not carry. Names no secret's value."""
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if name.lower() in _RESERVED or name.lower().startswith("proxy-"):
            raise ValueError(f"the header {name} belongs to the connection; a request cannot set it")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} holds other than visible ASCII, or blanks around it")
        if _NAMES_A_SECRET.search(value) and not _SECRET.fullmatch(value):
            raise ValueError(f"the value of {name} names a secret; write secret:NAME or Bearer secret:NAME alone")
    if sum(len(name) + len(value) + 4 for name, value in headers) > _LIMIT:
        raise ValueError(f"the headers hold more than {_LIMIT} bytes")


def secret_names(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the operator's variables that a request takes as secrets, in its order."""
    return [match[2] for _, value in headers if (match := _SECRET.fullmatch(value))]


@attrs.frozen
class Revealed:
    """Headers as sent, and the values that must not come back: each with the name that stands for it."""

    headers: tuple[tuple[str, str], ...]
    secrets: Mapping[bytes, bytes] = attrs.field(repr=False)

    def scrub(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what a server answered with the secrets replaced by their names, also across chunks."""
        if not self.secrets:
            yield from chunks
            return
        longest_first = sorted(self.secrets, key=len, reverse=True)
        found = re.compile(b"|".join(map(re.escape, longest_first)))
        held, keep = b"", len(longest_first[0]) - 1
        for chunk in chunks:
            held = found.sub(lambda match: self.secrets[match[0]], held + chunk)
            settled = max(0, len(held) - keep)
            yield held[:settled]
            held = held[settled:]
        yield held


def reveal(headers: Sequence[tuple[str, str]], lookup: Callable[[str], str | None]) -> Revealed:
    """Put the secrets that checked headers name in their place.

    Raises ``EffectError`` with code bad-request for one that is not set or that no header can carry.
    """
    revealed: list[tuple[str, str]] = []
    secrets: dict[bytes, bytes] = {}
    for header, value in headers:
        match = _SECRET.fullmatch(value)
        if match is None:
            revealed.append((header, value))
            continue
        scheme, name = match[1] or "", match[2]
        secret = lookup(name)
        if not secret:
            raise EffectError("bad-request", f"the secret {name} is not set in the operator's environment")
        if not _VALUE.fullmatch(secret):
            raise EffectError("bad-request", f"the secret {name} holds characters that no header can carry")
        secrets[secret.encode()] = b"secret:" + name.encode()
        revealed.append((header, scheme + secret))
    return Revealed(tuple(revealed), secrets)
