"""Where ``tek-runner`` starts: before anything is imported that takes time in which somebody may press Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys


def _fill_standard_streams() -> None:
    """Give a closed stdin, stdout or stderr /dev/null: else the next file that is opened would stand in its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # it stays open


def entry() -> None:
    """Start from the shell. An interrupt ends the process at once until there is something to end in order."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _fill_standard_streams()
    from tek_runner.main import entry as main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
