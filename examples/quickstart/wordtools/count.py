"""Words and how often they occur."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


class Count(NamedTuple):
    """A word in lower case and how often it occurs."""

    word: str
    times: int


def words(text: str) -> Iterator[str]:
    """Yield the words of ``text`` in lower case, in order. An apostrophe inside a word belongs to it."""
    for match in _WORD.finditer(text):
        yield match[0].lower().replace("’", "'")


def count_words(text: str) -> list[Count]:
    """Return every word of ``text`` with its count, the most frequent first, equals in alphabetical order."""
    counts = Counter(words(text))
    return [Count(*item) for item in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
