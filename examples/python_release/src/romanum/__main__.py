"""``romanum 2026`` prints MMXXVI, ``romanum MMXXVI`` prints 2026."""

import sys

from romanum import from_roman, to_roman


def main() -> int:
    """Convert each argument; return 1 if one cannot be converted, 2 if there is none."""
    if not sys.argv[1:]:
        print("usage: romanum NUMBER|NUMERAL ...", file=sys.stderr)
        return 2
    try:
        for word in sys.argv[1:]:
            print(to_roman(int(word)) if word.isdecimal() else from_roman(word))
    except ValueError as error:
        print(f"romanum: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
