"""Strategies for what one request may be answered with, in the form that a script takes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import Blob, Request
from tek_abi.vocabulary import core, fs, net, proc
from tek_agents.testing.strategies.ledger import cancelleds, denieds, faileds
from tek_agents.testing.strategies.values import instants, once, texts, tuples_of
from tek_agents.testing.strategies.vocabulary import ANSWERS


@once
def contents(max_size: int = 64) -> SearchStrategy[Blob]:
    """Blobs with their bytes behind them: files, bodies, output."""
    return st.binary(max_size=max_size).map(Blob.of)


def answers_to(request: Request[Any]) -> SearchStrategy[Any]:
    """Typed answers that ``request`` may get. Those to a third party's request are drawn from its output's type."""
    match request:
        case core.Now():
            return instants()
        case core.RandomBytes(count):
            return st.binary(min_size=count, max_size=count).map(bytes.hex)
        case core.EnvGet():
            return st.none() | texts()
        case fs.Glob():
            return tuples_of(texts()).map(lambda paths: tuple(sorted(paths)))
        case fs.List():
            return tuples_of(ANSWERS[fs.Entry]()).map(lambda entries: tuple(sorted(entries, key=lambda e: e.name)))
        case net.Http():
            headers = tuples_of(st.tuples(texts(), texts()), 2)
            return st.builds(net.Response, st.integers(100, 599), headers, contents())
        case proc.Exec():
            codes = st.builds(proc.Exit, st.integers(0, 255), contents(), contents())
            return codes | st.builds(proc.Exit, st.none(), contents(), contents(), st.integers(1, 64))
        case _:
            return _of(request.output)


def outcomes_to(request: Request[Any]) -> SearchStrategy[Any]:
    """Whatever may come of ``request``: an answer most often, else ``Denied``, ``Failed`` or ``Cancelled``."""
    answers = answers_to(request)
    return st.one_of(answers, answers, denieds(), faileds(), cancelleds())


def _of(output: Any) -> SearchStrategy[Any]:
    if output is Blob:
        return contents()
    if output in ANSWERS:
        return ANSWERS[output]()
    drawn: SearchStrategy[Any] = st.from_type(output)
    return drawn
