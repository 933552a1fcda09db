"""Comparisons, side by side in one run: ``make bench`` runs all of them and writes RESULTS.md.

Each module is one comparison and runs alone: ``.venv/bin/python -m benchmarks.noop --quick --json``. The kinds of a
comparison take turns, round by round, so that whatever else the machine does falls on all alike; what counts are the
medians and their ratios. ``harness`` measures, ``inputs`` writes plans, ``peers`` installs what tek is held against.
"""
