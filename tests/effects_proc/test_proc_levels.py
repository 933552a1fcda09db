"""What each level refuses because it cannot hold a command to it: the pure part."""

from __future__ import annotations

import pytest

from tek_effects_proc.layout import Bind, Layout
from tek_effects_proc.levels import LEVELS, Bwrap, find_bwrap, unheld
from tek_effects_proc.marked import Marked

OLD, NEW = Bwrap("/usr/bin/bwrap", (0, 8, 0), is_setuid=False), Bwrap("/usr/bin/bwrap", (0, 12, 0), is_setuid=False)


def layout(*binds: Bind) -> Layout:
    return Layout(binds, (), (), Marked())


SYSTEM = Bind("/usr", read=True, write=False)
TREE = Bind("/ws", read=True, write=True)
CLOSED = Bind("/ws/.git", read=True, write=False)
MASKED = Bind("/ws/secret", read=False, write=False, masked=True)
WRITE_ONLY = Bind("/out", read=False, write=True)
UNDER_READ_ONLY = (Bind("/ws", read=True, write=False), Bind("/ws/out", read=True, write=True))


@pytest.mark.parametrize(
    ("binds", "refusing"),
    [
        ((SYSTEM, TREE), set()),
        ((SYSTEM, *UNDER_READ_ONLY), set()),
        ((TREE, CLOSED), {"bwrap", "landlock"}),
        ((TREE, MASKED), {"bwrap", "landlock"}),
        ((UNDER_READ_ONLY[0], MASKED), {"landlock"}),
        ((WRITE_ONLY,), {"bwrap"}),
        ((SYSTEM, MASKED, Bind("/ws/secret/part", read=True, write=False)), {"bwrap", "landlock"}),
        ((TREE, Bind("/ws-evil", read=True, write=False)), set()),
    ],
)
def test_a_level_refuses_what_it_cannot_hold(binds: tuple[Bind, ...], refusing: set[str]) -> None:
    assert {level for level in LEVELS if unheld(level, layout(*binds), False, OLD) is not None} == refusing


def test_a_new_bubblewrap_closes_a_part_of_an_open_tree() -> None:
    assert unheld("bwrap", layout(TREE, CLOSED), False, NEW) is None
    assert "0.12.0" in (unheld("bwrap", layout(TREE, CLOSED), False, OLD) or "")


@pytest.mark.parametrize("level", LEVELS)
def test_hosts_can_be_reached_only_from_a_network_namespace_of_ours(level: str) -> None:
    reason = unheld(level, layout(TREE), True, NEW)
    assert (reason is None) == (level in ("root-idmap", "userns"))


def test_where_there_is_no_bubblewrap_the_reason_names_it(tmp_path: object) -> None:
    assert find_bwrap(str(tmp_path)) == f"there is no bwrap in {tmp_path}"
