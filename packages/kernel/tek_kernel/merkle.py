"""The Merkle trees of RFC 9162, section 2.1, over SHA-256: tree hashes and inclusion proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class TreeHasher:
    """Hashes a tree leaf by leaf, in memory logarithmic in their number. ``size`` is how many it has."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[tuple[int, bytes]] = []

    def add(self, data: bytes) -> None:
        """Add the data of the next leaf."""
        height, current = 0, leaf_hash(data)
        while self._stack and self._stack[-1][0] == height:
            current = node_hash(self._stack.pop()[1], current)
            height += 1
        self._stack.append((height, current))
        self.size += 1

    def root(self) -> bytes:
        """Return the tree hash of the leaves so far. The empty tree's is SHA-256 of nothing."""
        if not self._stack:
            return hashlib.sha256(b"").digest()
        *rest, (_, current) = self._stack
        for _, left in reversed(rest):
            current = node_hash(left, current)
        return current


def tree_hash(leaves: Iterable[bytes]) -> bytes:
    """Return the tree hash of the leaves' data."""
    hasher = TreeHasher()
    for data in leaves:
        hasher.add(data)
    return hasher.root()


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the inclusion proof of one leaf: the siblings' hashes from the leaf up to the root's child (2.1.3.1).

    Raises ``IndexError`` where the tree has no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise IndexError(index)
    path: list[bytes] = []
    level = list(leaf_hashes)
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        # A last node without a sibling stands as it is one level up.
        level = [node_hash(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
        index >>= 1
    return tuple(path)


def root_of_path(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes | None:
    """Return the tree hash that an inclusion proof leads to from a leaf's hash (2.1.3.2).

    ``None`` where a proof of this length cannot be of leaf ``index`` in a tree of ``size`` leaves.
    """
    if not 0 <= index < size:
        return None
    node, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        node, last = node >> 1, last >> 1
    return current if last == 0 else None
