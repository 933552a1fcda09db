"""Merkle trees as RFC 9162 has them: the known roots of its reference tests, its own example, its definitions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from tek_kernel.merkle import inclusion_path, leaf_hash, node_hash, root_of_path, tree_hash

LEAVES = [
    bytes.fromhex(data)
    for data in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The roots of the first n of ``LEAVES``, as the reference implementation of Certificate Transparency has them."""


@pytest.mark.parametrize("size", range(9))
def test_the_reference_roots(size: int) -> None:
    assert tree_hash(LEAVES[:size]).hex() == ROOTS[size]


def test_the_example_of_section_2_1_5() -> None:
    """Seven leaves d0 to d6 with hashes a to f and j; g, h, i are pairs, k joins g and h, l joins i and j."""
    a, b, c, d, e, f, j = (leaf_hash(data) for data in LEAVES[:7])
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, last = node_hash(g, h), node_hash(i, j)
    hashes = (a, b, c, d, e, f, j)
    assert inclusion_path(hashes, 0) == (b, h, last)
    assert inclusion_path(hashes, 3) == (c, g, last)
    assert inclusion_path(hashes, 4) == (f, j, k)
    assert inclusion_path(hashes, 6) == (i, k)
    assert node_hash(k, last).hex() == ROOTS[7]


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH of section 2.1.1, as it is defined."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1, as it is defined."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 34))
def test_trees_and_paths_are_those_of_the_definition(size: int) -> None:
    leaves = [bytes([number]) * number for number in range(size)]
    hashes = [leaf_hash(data) for data in leaves]
    root = mth(leaves)
    assert tree_hash(leaves) == root
    for index in range(size):
        found = inclusion_path(hashes, index)
        assert list(found) == path(index, leaves)
        assert root_of_path(hashes[index], index, size, found) == root


def test_a_path_proves_its_leaf_at_its_place_in_its_tree_alone() -> None:
    hashes = [leaf_hash(bytes([number])) for number in range(13)]
    root = tree_hash(bytes([number]) for number in range(13))
    for index in range(13):
        found = inclusion_path(hashes, index)
        for other in range(-1, 15):
            assert (root_of_path(hashes[index], other, 13, found) == root) == (other == index)
            if 0 <= other < 13 and other != index:
                assert root_of_path(hashes[other], index, 13, found) != root
        assert root_of_path(hashes[index], index, 13, found[:-1]) != root
        assert root_of_path(hashes[index], index, 13, (*found, root)) is None
    with pytest.raises(IndexError):
        inclusion_path(hashes, 13)
