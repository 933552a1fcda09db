"""Add the numbers of the day to the verdict."""

import csv
import sys
from pathlib import Path

from summary import Summary


def main(daily: Path, report: Path) -> int:
    """Complete the files in ``report`` and print the page."""
    summary = Summary.read(report)
    with daily.open(encoding="utf-8", newline="") as file:
        summary.stations = list(csv.DictReader(file))
    summary.status = "done"
    summary.write(report)
    print(summary.page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
