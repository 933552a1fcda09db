"""What romanum promises."""

import unittest

from romanum import LARGEST, from_roman, to_roman


class Numerals(unittest.TestCase):
    def test_numbers_that_everybody_knows(self) -> None:
        known = {1: "I", 4: "IV", 9: "IX", 40: "XL", 1987: "MCMLXXXVII", 2026: "MMXXVI", 3999: "MMMCMXCIX"}
        self.assertEqual({number: to_roman(number) for number in known}, known)

    def test_every_numeral_leads_back_to_its_number(self) -> None:
        for number in range(1, LARGEST + 1):
            self.assertEqual(from_roman(to_roman(number)), number)

    def test_what_has_no_numeral_is_refused(self) -> None:
        for number in (-1, 0, LARGEST + 1):
            with self.assertRaises(ValueError):
                to_roman(number)

    def test_what_romans_would_not_have_written_is_refused(self) -> None:
        for numeral in ("", "IIII", "IC", "VX", "MMMM", "mm", "X I"):
            with self.assertRaises(ValueError):
                from_roman(numeral)


if __name__ == "__main__":
    unittest.main()
