"""Decide whether the night's readings can be used: columns, values, stations, one reading an hour, one day."""

import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from statistics import median

from readings import READINGS, BadRow, Reading, rows, stations
from summary import Summary

HOURS = 24
FAR, HALF = 6, Decimal("0.5")
SHOWN = 20


def check(folder: Path) -> tuple[list[Reading], list[str]]:
    """Return the good readings, and what is wrong with the file, with its lines."""
    known, good, problems = stations(folder), [], []
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows(folder / "readings.csv", READINGS):
        try:
            reading = Reading.of(row)
            if reading.station not in known:
                raise BadRow(f"there is no station {reading.station!r}")
            first = seen.setdefault((reading.station, reading.time), line)
            if first != line:
                raise BadRow(f"{reading.station} at {reading.time} stands in line {first} already")
        except BadRow as error:
            problems.append(f"readings.csv:{line}: {error}")
        else:
            good.append(reading)
    counts = Counter(reading.station for reading in good)
    missing = [f"readings.csv: {station} has {counts[station]} good readings of {HOURS}" for station in known
               if counts[station] != HOURS]  # fmt: skip
    days = sorted({reading.time[:10] for reading in good})
    mixed = [f"readings.csv: holds {len(days)} days: {', '.join(days)}"] if len(days) > 1 else []
    return good, problems + missing + mixed


def unusual(good: list[Reading]) -> list[str]:
    """Return the temperatures that are possible and far from what else their station measured."""
    found = []
    for station in sorted({reading.station for reading in good}):
        own = [reading for reading in good if reading.station == station]
        middle = median(reading.temperature for reading in own)
        spread = max(median(abs(reading.temperature - middle) for reading in own), HALF)
        found += [
            f"{station} at {reading.time}: {reading.temperature} °C, where {middle} is usual"
            for reading in own
            if abs(reading.temperature - middle) > FAR * spread
        ]
    return found


def main(raw: Path, report: Path) -> int:
    """Write what was found into ``report``; return 1 if the readings cannot be used."""
    try:
        good, problems = check(raw)
    except BadRow as error:
        good, problems = [], [str(error)]
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"and {len(problems) - SHOWN} more"]
    odd = unusual(good)
    Summary("refused" if problems else "accepted", len(good), problems, odd).write(report)
    for line in problems:
        print(line)
    print(f"{len(good)} good readings, {len(odd)} of them unusual")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
