"""``python -m tools.reference [--check]``."""

from __future__ import annotations

import sys

from tools.reference.files import stale, write


def main(arguments: list[str]) -> int:
    """Write every generated file, or with ``--check`` name those that are not what the code says; then exit with 1."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m tools.reference [--check]", file=sys.stderr)
        return 2
    if arguments:
        names = stale()
        for name in names:
            print(f"{name} is stale: say make reference")
        return 1 if names else 0
    for name in write():
        print(f"{name} written anew")
    return 0


sys.exit(main(sys.argv[1:]))
