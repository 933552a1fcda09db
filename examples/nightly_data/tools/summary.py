"""The verdict on a night and its numbers: ``summary.json`` for programs, ``report.md`` for people."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Summary:
    """``status`` is refused, accepted (checked, not yet summed up) or done. ``stations`` are rows of ``daily.csv``."""

    status: str
    readings: int
    problems: list[str]
    unusual: list[str]
    stations: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "Summary":
        """Read what ``write`` wrote."""
        return cls(**json.loads((folder / "summary.json").read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """Return the report."""
        lines = ["# The night's readings", "", f"**{self.status}**: {self.readings} good readings", ""]
        for title, found in (("Problems", self.problems), ("Unusual", self.unusual)):
            if found:
                lines += [f"## {title}", "", *(f"- {one}" for one in found), ""]
        if self.stations:
            names = list(self.stations[0])
            lines += [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
            lines += [f"| {' | '.join(row.values())} |" for row in self.stations] + [""]
        return "\n".join(lines)
