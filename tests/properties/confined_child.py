"""What a confined command tries: everything, on every path of a list. Prints what could be done, as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable


class Child:
    """Tries and notes. ``can`` holds by path what was possible, ``listed`` what directories show."""

    def __init__(self, places: list[str]) -> None:
        self.can: dict[str, set[str]] = {place: set() for place in places}
        self.listed: dict[str, list[str]] = {}
        self._directories = [place for place in places if os.path.isdir(place) and not os.path.islink(place)]
        self._files = [place for place in places if place not in self._directories]
        self._own = [file for file in self._files if os.path.realpath(file) == os.path.abspath(file)]

    def attempt(self, place: str, word: str, act: Callable[..., object], *arguments: object) -> bool:
        """Note that something could be done; an error of the system says that it could not."""
        try:
            act(*arguments)
        except OSError:
            return False
        self.can[place].add(word)
        return True

    def look(self) -> None:
        """Do what changes nothing."""
        for place in self.can:
            self.attempt(place, "stat", os.lstat, place)
            self.attempt(place, "readlink", os.readlink, place)
            self.attempt(place, "list", self._list, place)
        for file in self._files:
            self.attempt(file, "read", _read, file)
            self.attempt(file, "execute", _execute, file)

    def _list(self, place: str) -> None:
        self.listed[place] = os.listdir(place)

    def make(self) -> None:
        """Make a file, a symlink and a directory in each directory."""
        for place in self._directories:
            self.attempt(place, "create", _open, f"{place}/.probe", os.O_CREAT | os.O_EXCL)
            self.attempt(place, "link", os.symlink, "x", f"{place}/.probe-link")
            self.attempt(place, "nest", os.mkdir, f"{place}/.probe-nest")

    def change(self) -> None:
        """Open each file in each way of writing."""
        for file in self._files:
            self.attempt(file, "write", _open, file)
            self.attempt(file, "append", _open, file, os.O_APPEND)
            self.attempt(file, "truncate", os.truncate, file, 0)

    def move(self) -> None:
        """Try what a file gives in another place, and put it back."""
        for file in self._own:
            self._take(file, "move", os.rename, f"{file}.moved")
            for directory in self._directories:
                self._take(file, "take", os.rename, f"{directory}/.taken")
                self._take(file, "link", os.link, f"{directory}/.linked")
        for directory in reversed(self._directories):
            moved = f"{directory}.moved"
            if self.attempt(directory, "move", os.rename, directory, moved):
                for file in self._own:
                    if file.startswith(directory + "/"):
                        self._use(file, moved + file[len(directory) :])
                os.rename(moved, directory)

    def _take(self, file: str, word: str, act: Callable[[str, str], object], other: str) -> None:
        if self.attempt(file, word, act, file, other):
            self._use(file, other)
            # Of two names of one file, a rename leaves both.
            os.unlink(other) if os.path.lexists(file) else os.rename(other, file)

    def _use(self, file: str, other: str) -> None:
        self.attempt(file, "read elsewhere", _read, other)
        self.attempt(file, "write elsewhere", _open, other)

    def remove(self) -> None:
        """Unlink each file."""
        for file in self._own:
            self.attempt(file, "unlink", os.unlink, file)


def _read(file: str) -> None:
    with open(file, "rb") as opened:
        opened.read()


def _open(file: str, flags: int = 0) -> None:
    os.close(os.open(file, os.O_WRONLY | flags))


def _execute(file: str) -> None:
    _, status = os.waitpid(os.posix_spawn(file, [file], {}), 0)
    if status:
        raise PermissionError(file)


if __name__ == "__main__":
    child = Child(json.loads(sys.argv[1]))
    child.look()
    if sys.argv[2] == "making":
        child.make()
    child.change()
    child.move()
    child.remove()
    print(json.dumps({"can": {place: sorted(words) for place, words in child.can.items()}, "listed": child.listed}))
