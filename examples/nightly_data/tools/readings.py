"""The two files that come in, row by row."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

STATIONS = ["id", "name", "elevation_m"]
READINGS = ["station", "time", "temperature_c", "humidity_pct"]
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):00Z")


class BadRow(ValueError):
    """A row that is not what the file should hold."""


@dataclass(frozen=True)
class Reading:
    """What a station measured at an hour: degrees Celsius and per cent."""

    station: str
    time: str
    temperature: Decimal
    humidity: Decimal

    @classmethod
    def of(cls, row: list[str]) -> "Reading":
        """Read one row; raises ``BadRow``."""
        if len(row) != len(READINGS):
            raise BadRow(f"{len(row)} fields, there should be {len(READINGS)}")
        station, time, temperature, humidity = row
        if not _HOUR.fullmatch(time):
            raise BadRow(f"time {time!r} is no full hour in UTC")
        return cls(
            station,
            time,
            _within("temperature_c", temperature, -60, 60),
            _within("humidity_pct", humidity, 0, 100),
        )


def _within(name: str, text: str, low: int, high: int) -> Decimal:
    try:
        if low <= (value := Decimal(text)) <= high:
            return value
    except InvalidOperation:
        raise BadRow(f"{name} {text!r} is no number") from None
    raise BadRow(f"{name} {text} is outside {low} to {high}")


def rows(path: Path, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with its line; raises ``BadRow`` where the file is no table with ``header`` as its first row."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            if next(reader, []) != header:
                raise BadRow(f"{path.name}: the columns should be {', '.join(header)}")
            for row in reader:
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadRow(f"{path.name}: line {reader.line_num + 1} cannot be read: {error}") from None


def stations(folder: Path) -> dict[str, str]:
    """Return the names of the stations by their ids; raises ``BadRow``."""
    names = {}
    for line, row in rows(folder / "stations.csv", STATIONS):
        if len(row) != len(STATIONS):
            raise BadRow(f"stations.csv:{line}: {len(row)} fields, there should be {len(STATIONS)}")
        names[row[0]] = row[1]
    return names


def readings(folder: Path) -> list[Reading]:
    """Return the readings; raises ``BadRow`` at the first row that is not one."""
    return [Reading.of(row) for _, row in rows(folder / "readings.csv", READINGS)]
