"""Lines: writes standard error from its own thread, so that a blocked reader never blocks the server.

Takes text from any thread, writes it in order, at most some dozen times a second. A pager that is not scrolled, a
full pipe or a full disk delays the lines and nothing else: lines beyond a limit are dropped, and their number is told.
"""

import contextlib
import math
import threading
import time

from httpsock.server.process import start_thread
from httpsock.tracing.output import standard_error, write_whole

# At most this many characters wait to be written.
_MOST_WAITING = 1 << 20
# Lines are gathered for this long, so that the thread wakes up, and calls the system, only now and then.
_GATHERING_SECONDS = 0.05


class StderrWriter:
    """Queues text for standard error; drops and counts it when the queue is full."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._length = 0
        self._dropped = 0
        self._has_some = threading.Event()
        self._is_closing = threading.Event()
        # Until when to retry a standard error that is full, on the monotonic clock.
        self._latest = math.inf
        # Started with the first line: until then there may be a fork, which leaves all threads behind.
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Queue *text*, some whole lines, or drop and count them if the queue is full. Never blocks."""
        with self._lock:
            # Once some are dropped, so are all up to the report, which stands where they are missing.
            if self._dropped or self._length + len(text) > _MOST_WAITING:
                self._dropped += text.count("\n")
                return
            self._waiting.append(text)
            self._length += len(text)
            if self._thread is None:
                # Without a thread, lines wait for the next try, or for ``close``.
                with contextlib.suppress(OSError):
                    self._thread = start_thread(self._run, "httpsock-lines")
        if not self._has_some.is_set():
            self._has_some.set()

    def say(self, text: str) -> None:
        """Queue *text* as a line."""
        self.write(f"{text}\n")

    def close(self, seconds: float) -> None:
        """Write what is queued, for at most *seconds*."""
        self._latest = time.monotonic() + seconds
        self._is_closing.set()
        self._has_some.set()
        if self._thread is not None:
            self._thread.join(seconds)
        else:
            self._write_out(self._take())

    def _run(self) -> None:
        while not (self._is_closing.is_set() and not self._waiting and not self._dropped):
            self._has_some.wait()
            self._has_some.clear()
            if not self._write_out(self._take()) and self._is_closing.is_set():
                # What is lost now can't be told any more.
                return
            self._is_closing.wait(_GATHERING_SECONDS)

    def _take(self) -> str:
        """Return all that is queued, and how many lines were dropped since the last time."""
        with self._lock:
            if self._dropped:
                self._waiting.append(f"{self._dropped} log lines dropped: standard error is blocked\n")
            text = "".join(self._waiting)
            self._waiting.clear()
            self._length = self._dropped = 0
        return text

    def _write_out(self, text: str) -> bool:
        """Write *text*; return whether it was written. Lines that can't be written, for good, are counted."""
        octets = text.encode("utf-8", "backslashreplace")
        descriptor = standard_error()
        if descriptor < 0:
            return False
        written = write_whole(descriptor, octets, lambda: time.monotonic() < self._latest)
        lost = octets.count(b"\n", written)
        with self._lock:
            self._dropped += lost
        return not lost
