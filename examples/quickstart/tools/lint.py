"""Lint Python files: they compile, and hold no tabs, no trailing blanks, no long lines, no missing final newline."""

import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LONGEST = 120


def problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with one file, as ``path:line: message``."""
    with tokenize.open(path) as file:
        text = file.read()
    try:
        compile(text, str(path), "exec")
    except SyntaxError as error:
        yield f"{path}:{error.lineno}: {error.msg}"
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            yield f"{path}:{number}: a tab"
        if line != line.rstrip():
            yield f"{path}:{number}: trailing blanks"
        if len(line) > LONGEST:
            yield f"{path}:{number}: {len(line)} characters, {LONGEST} are allowed"
    if text and not text.endswith("\n"):
        yield f"{path}:{len(text.splitlines())}: no newline at the end"


def main(folders: list[str]) -> int:
    """Lint every Python file below ``folders``; return 1 if there is a problem."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    found = [problem for path in files for problem in problems(path)]
    print("\n".join(found) or f"{len(files)} files, no problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
