"""Pack a package into one executable file that is the same, byte for byte, wherever and whenever it is built."""

import os
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = "import sys\n\nfrom {package}.__main__ import main\n\nsys.exit(main())\n"


def entry(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file with a fixed time, mode and origin, stored as it is: compressors differ between machines."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    archive.writestr(info, data, zipfile.ZIP_STORED)


def main(package: str, target: Path) -> int:
    """Write ``target``; a reader sees the old file or the new one, never half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            entry(archive, "__main__.py", MAIN.format(package=package).encode())
            for path in sorted(Path(package).rglob("*.py")):
                entry(archive, path.as_posix(), path.read_bytes())
    draft.chmod(0o755)
    os.replace(draft, target)
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
