"""The rules: from the bytes of a source to findings. Nothing here asks for anything."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator

import attrs

LONGEST = 40
"""The most lines that a function may have."""

_UNOWNED = re.compile(r"#\s*TODO\b(?!\(\w)")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen(order=True)
class Finding:
    """Something to look at. ``line`` counts from 1."""

    path: str
    line: int
    rule: str
    message: str


def review(path: str, data: bytes) -> list[Finding]:
    """Return what the rules find in one source, by its lines; one finding if it cannot be read as Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
        comments = list(_comments(data))
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError) as error:
        return [Finding(path, getattr(error, "lineno", None) or 1, "unreadable", f"this is no Python: {error}")]
    found = [*comments, *(found for node in ast.walk(tree) for found in _node(node))]
    return sorted(Finding(path, line, rule, message) for line, rule, message in found)


_Found = tuple[int, str, str]


def _comments(data: bytes) -> Iterator[_Found]:
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        if token.type == tokenize.COMMENT and _UNOWNED.search(token.string):
            yield token.start[0], "todo-without-owner", "say who does it: TODO(name)"


def _node(node: ast.AST) -> Iterator[_Found]:
    match node:
        case ast.ExceptHandler(type=None, lineno=line):
            yield line, "bare-except", "this catches KeyboardInterrupt too; name the errors that are meant"
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                if keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
                    yield keyword.value.lineno, "shell", "a shell reads what stands in the words; pass a list of them"
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _function(node)
        case _:
            pass


def _function(node: _Function) -> Iterator[_Found]:
    for default in [*node.args.defaults, *node.args.kw_defaults]:
        if isinstance(default, ast.List | ast.Dict | ast.Set):
            yield default.lineno, "mutable-default", f"every call of {node.name} shares this value; use None"
    if not node.name.startswith("_") and ast.get_docstring(node) is None:
        yield node.lineno, "no-docstring", f"say what {node.name} is for"
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > LONGEST:
        yield node.lineno, "too-long", f"{node.name} has {lines} lines, {LONGEST} are readable"
