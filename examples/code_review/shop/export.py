"""The orders of a day, for the warehouse."""

import subprocess


def archive(name: str) -> None:
    """Pack a day's orders."""
    subprocess.run(f"tar -czf {name}.tar.gz {name}", shell=True)


def day(orders: list[str]) -> str:
    """Return the orders, one a line."""
    # TODO(maria): sort by shelf
    return "\n".join(orders)
