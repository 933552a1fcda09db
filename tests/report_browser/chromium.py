"""A headless Chromium of one's own, spoken to over two pipes: of DevTools' protocol what looking at pages needs."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

_SECONDS: Final = 120
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@attrs.define
class Chromium:
    """A browser. Messages are JSON, each ended by a NUL. ``events`` are those that came and were not asked for."""

    reader: int
    writer: int
    events: list[dict[str, Any]] = attrs.field(factory=list)
    _data: bytes = b""
    _count: int = 0

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        while data:
            data = data[os.write(self.writer, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, method: str, session: str) -> None:
        while not any(one.get("method") == method and one.get("sessionId") == session for one in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._data:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser says nothing any more"
            more = os.read(self.reader, 1 << 20)
            assert more, "the browser has gone"
            self._data += more
        first, _, self._data = self._data.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@attrs.define
class Tab:
    """A page in a browser. Scripts run in a world of their own, which the page's policy does not reach."""

    browser: Chromium
    session: str
    world: int

    @classmethod
    def open(cls, browser: Chromium, page: Path, width: int, scheme: str) -> Tab:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable", session)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.call("Emulation.setDeviceMetricsOverride", session, **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", session, features=features)
        browser.call("Page.navigate", session, url=page.as_uri())
        browser.wait_for("Page.loadEventFired", session)
        frame = browser.call("Page.getFrameTree", session)["frameTree"]["frame"]["id"]
        world = browser.call("Page.createIsolatedWorld", session, frameId=frame, worldName="look")
        return cls(browser, session, world["executionContextId"])

    def evaluate(self, script: str) -> Any:
        answer = self.browser.call(
            "Runtime.evaluate",
            self.session,
            expression=script,
            contextId=self.world,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path, height: int = 3000) -> None:
        width, whole = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(whole, height), "scale": 1}
        shot = self.browser.call("Page.captureScreenshot", self.session, clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[Any]:
        """Return what the page made the browser say or ask for: messages, exceptions, other addresses than its own."""
        found: list[Any] = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            method, params = event["method"], event["params"]
            if method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                found.append(params)
            if method == "Network.requestWillBeSent" and params["type"] != "Document":
                found.append(params["request"]["url"])
        return found


@contextmanager
def chromium(program: str, home: Path) -> Iterator[Chromium]:
    """Start a browser with its profile in ``home``, and end it with all that it started."""
    (their_in, writer), (reader, their_out) = os.pipe(), os.pipe()
    words = [program, "--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
    words += [f"--user-data-dir={home}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    quiet = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2)]
    # A pipe that has the number 3 or 4 itself would be closed by the other's move.
    actions += [(os.POSIX_SPAWN_DUP2, their_in, 63), (os.POSIX_SPAWN_DUP2, their_out, 64)]
    actions += [(os.POSIX_SPAWN_DUP2, 63, 3), (os.POSIX_SPAWN_DUP2, 64, 4)]
    pid = os.posix_spawn(program, words, os.environ, file_actions=actions, setsid=True)
    for fd in (their_in, their_out, quiet):
        os.close(fd)
    try:
        yield Chromium(reader, writer)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
