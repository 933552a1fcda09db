"""The source of the data, for a second terminal: serves a folder beside this file on loopback until it is stopped."""

import argparse
import contextlib
import functools
import itertools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    """Answers with files; the first ``busy`` requests with 503."""

    def __init__(self, *args: object, turns: "itertools.count[int]", busy: int, **kwargs: object) -> None:
        """Count requests by ``turns``, which all handlers share."""
        self._turns, self._busy = turns, busy
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came

    def do_GET(self) -> None:
        """Answer one request."""
        if next(self._turns) < self._busy:
            self.send_error(503, "Busy")
        else:
            super().do_GET()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="good", help="good or bad")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any that is free")
    parser.add_argument("--busy", type=int, default=0, help="how many requests are answered with 503 first")
    options = parser.parse_args()
    folder = Path(__file__).with_name(options.folder)
    handler = functools.partial(Handler, directory=str(folder), turns=itertools.count(), busy=options.busy)
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"serving {options.folder} at http://127.0.0.1:{server.server_port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
