"""Run the unit tests and print one line a test, without the durations that would differ from run to run."""

import sys
import unittest
from pathlib import Path
from typing import TextIO


class PlainResult(unittest.TestResult):
    """Prints ``ok`` or ``FAILED`` and the test's name."""

    def __init__(self, stream: TextIO) -> None:
        """Print to ``stream``."""
        super().__init__()
        self._stream = stream

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802  # the name is unittest's
        """Print how the test ended."""
        bad = any(test is each for each, _ in [*self.failures, *self.errors])
        print("FAILED" if bad else "ok    ", test.id(), file=self._stream)
        super().stopTest(test)


def main() -> int:
    """Run every test below ``tests/``; return 1 if one fails or there is none."""
    sys.path.insert(0, str(Path.cwd()))
    result = PlainResult(sys.stdout)
    unittest.defaultTestLoader.discover("tests", top_level_dir="tests").run(result)
    for _, traceback in [*result.failures, *result.errors]:
        print(traceback)
    print(f"{result.testsRun} tests, {len(result.failures) + len(result.errors)} failed")
    return 0 if result.testsRun and result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
