"""Install a wheel of pure Python into a new virtual environment, without pip: not every Python has it.

A wheel is a zip file whose ``RECORD`` has the digest of every member; each is checked before anything is written.
"""

import base64
import configparser
import csv
import hashlib
import shutil
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

# A first line of Python cannot name an interpreter whose path has a blank; as sh reads this, it can.
SCRIPT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from {module} import {function}

sys.exit({function}())
"""


def checked(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the members by their names; ends where one is not what ``RECORD`` says."""
    members = {name: wheel.read(name) for name in wheel.namelist()}
    (record,) = [name for name in members if name.endswith(".dist-info/RECORD")]
    digests = {name: digest for name, digest, _ in csv.reader(members[record].decode().splitlines())}
    for name, data in members.items():
        found = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if (name != record and digests.get(name) != found) or ".." in Path(name).parts or name.startswith("/"):
            sys.exit(f"{name} is not what RECORD says")
    return members


def scripts(members: dict[str, bytes], programs: Path) -> list[str]:
    """Write a program for each console script; return their names."""
    points = configparser.ConfigParser()
    points.read_string(next(data for name, data in members.items() if name.endswith("/entry_points.txt")).decode())
    for name, place in points["console_scripts"].items():
        module, _, function = place.partition(":")
        program = programs / name
        program.write_text(SCRIPT.format(python=programs / "python3", module=module, function=function))
        program.chmod(0o755)
    return list(points["console_scripts"])


def main(wheel: Path, target: Path) -> int:
    """Make ``target`` anew and install ``wheel`` there."""
    shutil.rmtree(target, ignore_errors=True)
    venv.create(target, symlinks=True)
    target = target.resolve()
    with zipfile.ZipFile(wheel) as archive:
        members = checked(archive)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(target)}))
    for name, data in members.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{wheel.name}: {len(members)} files, and the programs {', '.join(scripts(members, target / 'bin'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
