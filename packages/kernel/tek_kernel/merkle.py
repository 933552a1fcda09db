"""The Merkle tree hash of RFC 9162, section 2.1.1, over SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(leaves: Iterable[bytes]) -> bytes:
    """Return the tree hash of the leaves' data, in memory logarithmic in their number.

    The empty tree's hash is SHA-256 of nothing.
    """
    stack: list[tuple[int, bytes]] = []
    for data in leaves:
        height, current = 0, leaf_hash(data)
        while stack and stack[-1][0] == height:
            current = node_hash(stack.pop()[1], current)
            height += 1
        stack.append((height, current))
    if not stack:
        return hashlib.sha256(b"").digest()
    _, current = stack.pop()
    while stack:
        current = node_hash(stack.pop()[1], current)
    return current
