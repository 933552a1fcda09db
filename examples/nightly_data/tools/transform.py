"""From readings to one row a station and day."""

import csv
import sys
from decimal import Decimal
from pathlib import Path

from readings import readings, stations

TENTH = Decimal("0.1")


def main(raw: Path, target: Path) -> int:
    """Write the rows to ``target``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    measured = readings(raw)
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["station", "name", "readings", "lowest_c", "mean_c", "highest_c"])
        for station, name in sorted(stations(raw).items()):
            values = [reading.temperature for reading in measured if reading.station == station]
            mean = (sum(values, Decimal()) / len(values)).quantize(TENTH)
            table.writerow([station, name, len(values), min(values), mean, max(values)])
    print(f"{target.name}: {len(measured)} readings")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
