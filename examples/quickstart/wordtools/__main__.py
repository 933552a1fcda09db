"""The command line: ``python3 -m wordtools [--top N] FILE``."""

import argparse
import sys
from pathlib import Path

from wordtools.count import count_words


def main(argv: list[str] | None = None) -> int:
    """Print the most frequent words of a file and return the exit code."""
    parser = argparse.ArgumentParser(prog="wordtools", description="Show the most frequent words of a text file.")
    parser.add_argument("file", type=Path, help="a text file in UTF-8")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many words to show (default: 10)")
    options = parser.parse_args(argv)
    try:
        text = options.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"wordtools: {options.file}: {error}", file=sys.stderr)
        return 1
    for word, times in count_words(text)[: max(options.top, 0)]:
        print(f"{times:5} {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
