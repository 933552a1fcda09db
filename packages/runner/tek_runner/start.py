"""Where ``tek-runner`` starts: before anything is imported that takes time in which somebody may press Ctrl-C."""

from __future__ import annotations

import signal


def entry() -> None:
    """Start from the shell. An interrupt ends the process at once until there is something to end in order."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tek_runner.main import entry as main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
