"""Strategies for the vocabulary: requests of the built-in effects, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import Request
from tek_abi.vocabulary import core, fs, net, proc
from tek_agents.testing.strategies.authority import VARIABLES
from tek_agents.testing.strategies.values import MAX_INTEGER, Some, blobs, naturals, once, texts, tuples_of


@once
def _pairs() -> Some[tuple[str, str]]:
    return tuples_of(st.tuples(texts(), texts()), 2)


@once
def _modes() -> SearchStrategy[int | None]:
    return st.none() | st.integers(0, 0o777)


@once
def _timeouts() -> SearchStrategy[int | None]:
    return st.none() | st.integers(1, MAX_INTEGER)


REQUESTS: Final[dict[type[Request[Any]], Callable[[], SearchStrategy[Any]]]] = {
    core.Now: lambda: st.builds(core.Now),
    core.RandomBytes: lambda: st.builds(core.RandomBytes, st.integers(1, core.MAX_RANDOM)),
    core.EnvGet: lambda: st.builds(core.EnvGet, st.sampled_from(VARIABLES)),
    core.Note: lambda: st.builds(core.Note, texts(40)),
    fs.Read: lambda: st.builds(fs.Read, texts()),
    fs.Write: lambda: st.builds(fs.Write, texts(), blobs(), _modes()),
    fs.Append: lambda: st.builds(fs.Append, texts(), blobs()),
    fs.Hash: lambda: st.builds(fs.Hash, texts()),
    fs.Glob: lambda: st.builds(fs.Glob, texts()),
    fs.Copy: lambda: st.builds(fs.Copy, texts(), texts()),
    fs.List: lambda: st.builds(fs.List, texts()),
    fs.Stat: lambda: st.builds(fs.Stat, texts()),
    fs.Mkdir: lambda: st.builds(fs.Mkdir, texts()),
    fs.Remove: lambda: st.builds(fs.Remove, texts()),
    fs.Rename: lambda: st.builds(fs.Rename, texts(), texts()),
    net.Http: lambda: st.builds(net.Http, texts(), texts(), _pairs(), st.none() | blobs(), _timeouts()),
    proc.Exec: lambda: st.builds(proc.Exec, tuples_of(texts(), 3, 1), texts(), _pairs(), _timeouts()),
}
"""A strategy for each request of the vocabulary."""


@once
def requests() -> SearchStrategy[Request[Any]]:
    """Requests of every built-in effect."""
    return st.one_of([make() for make in REQUESTS.values()])


@once
def _file_kinds() -> SearchStrategy[Any]:
    return st.sampled_from(["file", "directory", "symlink", "other"])


ANSWERS: Final[dict[type[Any], Callable[[], SearchStrategy[Any]]]] = {
    fs.Entry: lambda: st.builds(fs.Entry, texts(), _file_kinds(), naturals()),
    fs.Digest: lambda: st.builds(fs.Digest, blobs().map(lambda blob: blob.sha256), naturals()),
    fs.Status: lambda: st.builds(fs.Status, _file_kinds(), naturals(), st.integers(0, 0o777)),
    net.Response: lambda: st.builds(net.Response, st.integers(100, 599), _pairs(), blobs()),
    proc.Exit: lambda: st.builds(
        proc.Exit, st.none() | st.integers(0, 255), blobs(), blobs(), st.none() | naturals(64)
    ),
}
"""A strategy for each typed answer of the vocabulary."""
