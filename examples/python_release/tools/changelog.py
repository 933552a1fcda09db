"""Cut the notes of this release out of the changelog, and check that they are what is being released."""

import re
import sys
import tomllib
from pathlib import Path

HEADING = re.compile(r"^## (?P<version>\d+\.\d+\.\d+) — (?P<day>\d{4}-\d\d-\d\d)$", re.M)


def main(target: Path) -> int:
    """Write the newest section to ``target``; return 1 if it is not about the version in ``pyproject.toml``."""
    version = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    text = Path("CHANGELOG.md").read_text(encoding="utf-8")
    headings = list(HEADING.finditer(text))
    if not headings or headings[0]["version"] != version:
        newest = headings[0]["version"] if headings else "no version"
        print(f"pyproject.toml: version {version} is to be released; CHANGELOG.md starts with {newest}")
        return 1
    end = headings[1].start() if len(headings) > 1 else len(text)
    notes = text[headings[0].end() : end].strip()
    if not notes:
        print(f"CHANGELOG.md: nothing is said about {version}")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"# {version}, {headings[0]['day']}\n\n{notes}\n", encoding="utf-8")
    print(f"{version} of {headings[0]['day']}: {len(notes.splitlines())} lines of notes")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
