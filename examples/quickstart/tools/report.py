"""Write a release's report in Markdown: its files with their sizes and digests."""

import sys
from pathlib import Path


def main(release: Path) -> int:
    """Write ``report.md`` into ``release`` from the ``SHA256SUMS`` and ``sizes.txt`` beside it, and print it."""
    sums = dict(reversed(line.split()) for line in (release / "SHA256SUMS").read_text().splitlines())
    sizes = dict(reversed(line.split()) for line in (release / "sizes.txt").read_text().splitlines())
    rows = [f"| `{name}` | {sizes[name]} | `{digest}` |" for name, digest in sorted(sums.items())]
    report = "\n".join(["# Release", "", "| File | Bytes | SHA-256 |", "| --- | ---: | --- |", *rows, ""])
    (release / "report.md").write_text(report)
    print(report, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
