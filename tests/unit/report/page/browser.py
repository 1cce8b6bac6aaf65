"""A headless Chromium, driven through its own pipe: no driver program, no port, no package.

The protocol is https://chromedevtools.github.io/devtools-protocol/: JSON messages, a zero byte after each.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INSTALL = "apt-get install --no-install-recommends chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60


def find() -> str | None:
    """Where a Chromium is."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One page of a browser: what it asked the network for and what went wrong is kept."""

    def __init__(self, to: int, came: int) -> None:
        self._to, self._from, self._number, self._rest = to, came, 0, b""
        self._session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._seen: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return dict(found["result"])

    def wait(self, method: str) -> dict[str, Any]:
        """The next event of a kind, or one that has come since it was last waited for."""
        while not (found := [event for event in self._seen if event["method"] == method]):
            self._read()
        self._seen.remove(found[0])
        return dict(found[0]["params"])

    def open(self, file: Path, lang: str = "en-US") -> None:
        self.call("Emulation.setUserAgentOverride", userAgent="test", acceptLanguage=lang)
        self._seen.clear()
        self.call("Page.navigate", url=file.as_uri())
        self.wait("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width: int, height: int, scale: float = 1.0) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def media(self, kind: str = "", **features: str) -> None:
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=named)

    def press(self, key: str, text: str = "") -> None:
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def screenshot(self, file: Path, top: int = 0, height: int = 0) -> None:
        """The whole page, or a strip of it."""
        width = self.evaluate("document.documentElement.clientWidth")
        strip = {"clip": {"x": 0, "y": top, "width": width, "height": height, "scale": 1}} if height else {}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png", **strip)
        file.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser went away"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        found = dict(json.loads(line))
        self._note(found)
        return found

    def _note(self, found: dict[str, Any]) -> None:
        method, about = found.get("method"), found.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"][:100])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(about["args"])[:500])
        elif method == "Log.entryAdded":
            self.errors.append(about["entry"]["text"][:500])
        if method and method.startswith(("Page.", "Browser.")):
            self._seen.append(found)


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser whose profile is in a folder of the test's; it ends with the pipe."""
    program = find()
    assert program, INSTALL
    command = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}", "--no-first-run"]
    command += ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    # The network is refused to it: what a page asks for it asks for in vain, and is seen asking.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]
    commands, answers = os.pipe(), os.pipe()
    # It reads commands from file descriptor 3 and answers on 4; copies from 10 on are out of the way of both.
    copies = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands[0], answers[1])]
    actions = [(os.POSIX_SPAWN_DUP2, copy, wanted) for copy, wanted in zip(copies, (3, 4), strict=True)]
    actions += [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (1, 2)]
    process = os.posix_spawn(program, command, os.environ, file_actions=actions)
    for end in (*copies, commands[0], answers[1]):
        os.close(end)
    try:
        yield Browser(commands[1], answers[0])
    finally:
        os.close(commands[1])
        _drain(answers[0], process)
        os.close(answers[0])
        os.waitpid(process, 0)


def _drain(answers: int, process: int) -> None:
    """Read until all that held the other end have gone; what does not go is ended."""
    deadline = time.monotonic() + _SECONDS
    while select.select([answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not os.read(answers, 1 << 20):
            return
    os.kill(process, signal.SIGKILL)
