"""What the command line prints and returns."""

import contextlib
import io
import unittest

from wordtools.__main__ import main


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(argv))
    return code, out.getvalue(), err.getvalue()


class CommandLine(unittest.TestCase):
    def test_the_top_words_are_printed_with_their_counts(self) -> None:
        self.assertEqual(run("--top", "1", "data/plan.txt"), (0, "    8 the\n", ""))

    def test_a_missing_file_is_named_on_stderr(self) -> None:
        code, out, err = run("data/no-such-file.txt")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("data/no-such-file.txt", err)
