"""Check that functions say what they take and return, and that public ones say what they do."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def problems(path: Path) -> Iterator[str]:
    """Yield the functions of one file that lack an annotation or a docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        where = f"{path}:{node.lineno}: {node.name}"
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            if argument.annotation is None and argument.arg not in ("self", "cls"):
                yield f"{where}: parameter {argument.arg} has no type"
        if node.returns is None:
            yield f"{where}: the return value has no type"
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield f"{where}: no docstring"


def main(folders: list[str]) -> int:
    """Check every Python file below ``folders``; return 1 if there is a problem."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    found = [problem for path in files for problem in problems(path)]
    print("\n".join(found) or f"{len(files)} files, every function is typed and documented")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
