"""A build backend for packages in pure Python (PEP 517) that needs nothing but Python.

What it builds depends on the sources alone: the same order, times, modes and owners wherever and whenever it is built.
"""

import base64
import gzip
import hashlib
import io
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

EPOCH = 315532800  # 1980-01-01, the first day that a zip file can name
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
SOURCES = ("CHANGELOG.md", "backend/**/*.py", "pyproject.toml", "src/**/*.py", "tests/**/*.py")


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:  # noqa: ARG001  # PEP 517 names them
    """Write the source distribution of the current directory; return its name."""
    stem = _stem()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in [("PKG-INFO", _metadata()), *_files(Path(), SOURCES)]:
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size, member.mtime, member.mode = len(data), EPOCH, 0o644
            archive.addfile(member, io.BytesIO(data))
    name = f"{stem}.tar.gz"
    (Path(sdist_directory) / name).write_bytes(gzip.compress(packed.getvalue(), mtime=EPOCH))
    return name


def build_wheel(
    wheel_directory: str,
    config_settings: Any = None,  # noqa: ARG001
    metadata_directory: str | None = None,  # noqa: ARG001
) -> str:
    """Write the wheel of the current directory; return its name."""
    stem = _stem()
    information = f"{stem}.dist-info"
    members = [
        *_files(Path("src"), ["**/*.py"]),
        (f"{information}/METADATA", _metadata()),
        (f"{information}/WHEEL", b"Wheel-Version: 1.0\nGenerator: plain\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{information}/entry_points.txt", _entry_points()),
    ]
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in members)
    members.append((f"{information}/RECORD", f"{record}{information}/RECORD,,\n".encode()))
    name = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as archive:
        for path, data in members:
            member = zipfile.ZipInfo(path, ZIP_EPOCH)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, data, zipfile.ZIP_STORED)
    return name


def _files(root: Path, patterns: list[str] | tuple[str, ...]) -> list[tuple[str, bytes]]:
    paths = sorted(path for pattern in patterns for path in root.glob(pattern) if path.is_file())
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in paths]


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _stem() -> str:
    project = _project()
    return f"{project['name'].replace('-', '_')}-{project['version']}"


def _metadata() -> bytes:
    about = _project()
    fields = {
        "Metadata-Version": "2.1", "Name": about["name"], "Version": about["version"],
        "Summary": about["description"], "Requires-Python": about["requires-python"],
    }  # fmt: skip
    return "".join(f"{key}: {value}\n" for key, value in fields.items()).encode()


def _entry_points() -> bytes:
    scripts = _project().get("scripts", {})
    return ("[console_scripts]\n" + "".join(f"{name} = {place}\n" for name, place in scripts.items())).encode()


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
