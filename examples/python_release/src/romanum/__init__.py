"""Roman numerals from I to MMMCMXCIX."""

LARGEST = 3999
_SIGNS = (
    ("M", 1000), ("CM", 900), ("D", 500), ("CD", 400), ("C", 100), ("XC", 90),
    ("L", 50), ("XL", 40), ("X", 10), ("IX", 9), ("V", 5), ("IV", 4), ("I", 1),
)  # fmt: skip


def to_roman(number: int) -> str:
    """Return the numeral of a number from 1 to 3999; raises ``ValueError`` for any other."""
    if not 1 <= number <= LARGEST:
        raise ValueError(f"{number} has no numeral: 1 to {LARGEST} have one")
    numeral = ""
    for sign, value in _SIGNS:
        count, number = divmod(number, value)
        numeral += sign * count
    return numeral


def from_roman(numeral: str) -> int:
    """Return the number of a numeral in capitals; raises ``ValueError`` for what ``to_roman`` would not write."""
    number, rest = 0, numeral
    for sign, value in _SIGNS:
        while rest.startswith(sign):
            number, rest = number + value, rest.removeprefix(sign)
    if rest or not 1 <= number <= LARGEST or to_roman(number) != numeral:
        raise ValueError(f"{numeral!r} is no Roman numeral")
    return number
