"""Headless Chromium, controlled through pipes. Some pages never stop loading, such as those with an event stream."""

import base64
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
from typing import Any, Self

from tests.support import TIMEOUT_SECONDS
from tests.support.tools import tool

OPTIONS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
    --disable-background-networking --disable-component-update --disable-default-apps --disable-extensions
    --disable-sync --no-proxy-server --mute-audio --hide-scrollbars --remote-debugging-pipe""".split()
# This program starts a browser that reads commands from descriptor 3 and writes answers to 4: JSON, then a NUL.
_WITH_PIPES = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10) for pipe in sys.argv[1:3]]
for pipe, number in zip(pipes, (3, 4)): os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
_UNTIL = """new Promise((resolve) => {
  const look = () => {
    let value = null;
    // What it looks for may not be there yet.
    try { value = CONDITION; } catch {}
    if (value) resolve(value); else setTimeout(look, 20);
  };
  look();
})"""


class Browser:
    """A browser with one page. It runs until the block ends. *faults* has the errors from the page's console."""

    def __init__(self, folder: pathlib.Path) -> None:
        program = tool("chromium", "chromium-browser", "google-chrome")
        for_browser, self._commands = os.pipe()
        self._answers, from_browser = os.pipe()
        start = [sys.executable, "-c", _WITH_PIPES, str(for_browser), str(from_browser)]
        self._process = subprocess.Popen(
            [*start, program, *OPTIONS, f"--user-data-dir={folder / 'profile'}"],
            pass_fds=(for_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(for_browser)
        os.close(from_browser)
        self._watchdog = threading.Timer(4 * TIMEOUT_SECONDS, self._process.kill)
        self._watchdog.start()
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session: str | None = None
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._watchdog.cancel()
        self._watchdog.join()
        os.close(self._commands)
        os.close(self._answers)

    def command(self, method: str, **parameters: Any) -> Any:
        """Send a DevTools command to the browser. Return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(json.dumps(answer["params"]))
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page and return its value. If the value is a promise, wait for its result."""
        done = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true in the page. Return its value."""
        return self.evaluate(_UNTIL.replace("CONDITION", condition))

    def picture(self) -> bytes:
        """Return a screenshot of the page as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _next(self) -> Any:
        while b"\0" not in self._unread:
            octets = os.read(self._answers, 1 << 20)
            assert octets, "the browser has ended"
            self._unread += octets
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)
