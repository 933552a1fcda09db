"""Taking secrets out of a stream of bytes, wherever its pieces are cut."""

from __future__ import annotations

from collections.abc import Mapping

SHORTEST = 4
"""Bytes of the shortest secret that is looked for. A shorter one would match ordinary output everywhere."""


class Scrubber:
    """Replaces each secret by ``[secret:NAME]``; secrets that overlap are replaced together.

    It finds a secret as it is, not encoded: a command that prints its secret in Base64 is not stopped. It holds
    back less than the longest secret, however its input repeats.
    """

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._labels = {value: f"[secret:{name}]".encode() for name, value in secrets.items() if len(value) >= SHORTEST}
        self._longest = max(map(len, self._labels), default=1)
        self._held = b""
        self._covered = 0  # how much of what comes next is the rest of a secret that has its label already

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece and return what is certain to hold no part of a secret."""
        data = self._held + piece
        return self._settle(data, max(0, len(data) - self._longest + 1)) if self._labels else piece

    def flush(self) -> bytes:
        """Return what was held back; the stream is at its end."""
        return self._settle(self._held, len(self._held))

    def _settle(self, data: bytes, cut: int) -> bytes:
        """Return ``data[:cut]`` without secrets. No secret that starts before ``cut`` reaches past ``data``."""
        clean: list[bytes] = []
        position = end = self._covered
        for start, stop, label in self._found(data, cut):
            if start >= end:
                clean += (data[position:start], label)
            position = end = max(end, stop)
        clean.append(data[position:cut])
        self._held, self._covered = data[cut:], max(0, end - cut)
        return b"".join(clean)

    def _found(self, data: bytes, cut: int) -> list[tuple[int, int, bytes]]:
        """Return every secret that starts before ``cut``, in order; of two at one place the longer first."""
        found: list[tuple[int, int, bytes]] = []
        for value, label in self._labels.items():
            start = data.find(value)
            while 0 <= start < cut:
                found.append((start, start + len(value), label))
                start = data.find(value, start + 1)
        return sorted(found, key=lambda match: (match[0], -match[1]))
