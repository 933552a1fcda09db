"""Build what ``python -m build`` builds, without a network: the source distribution, and from it the wheel."""

import importlib
import os
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any


def backend() -> Any:
    """Return the build backend that ``pyproject.toml`` names; it must be in the tree."""
    system = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    if system["requires"]:
        sys.exit(f"{', '.join(system['requires'])}: nothing is installed here; keep the backend in the tree")
    sys.path[:0] = [str(Path(path).resolve()) for path in system["backend-path"]]
    return importlib.import_module(system["build-backend"])


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a source distribution and return its directory; raises ``ValueError`` for anything but plain files."""
    with tarfile.open(archive) as tar:
        for member in tar:
            data = tar.extractfile(member) if member.isfile() else None
            if data is None or ".." in Path(member.name).parts or member.name.startswith("/"):
                raise ValueError(f"{archive}: {member.name} is no plain file below the archive")
            path = into / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.read())
    return into / archive.name.removesuffix(".tar.gz")


def main(target: Path) -> int:
    """Build into ``target``. What the source distribution lacks, the wheel lacks too, and its trial finds."""
    target.mkdir(parents=True, exist_ok=True)
    target = target.resolve()
    build = backend()
    names = [build.build_sdist(str(target))]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(unpack(target / names[0], Path(scratch)))
        names.append(build.build_wheel(str(target)))
        os.chdir("/")
    for name in names:
        print(f"{name}: {(target / name).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
