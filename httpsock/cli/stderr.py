"""Standard error: its own thread writes all lines, so that a blocked reader never blocks the server.

Takes text from any thread, writes it in order, at most 20 times a second. If a paused pager or a full pipe blocks the
thread, lines queue up to a limit. Further lines are dropped, and a line reports how many.
"""

import contextlib
import math
import threading
import time

from httpsock.server.process import start_thread
from httpsock.tracing.output import standard_error, write_whole

# Maximum length of the queue, in characters.
_MAX_QUEUED = 1 << 20
# Minimum interval between two writes, so that many lines take one system call.
_BATCH_SECONDS = 0.05


class StderrWriter:
    """Queues lines for standard error. If the queue is full, drops new lines, and later reports how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._length = 0
        self._dropped = 0
        self._has_some = threading.Event()
        self._is_closing = threading.Event()
        # When to stop retrying a full standard error, on the monotonic clock.
        self._deadline = math.inf
        # The thread starts with the first line, not before a fork: a forked process does not inherit threads.
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Queue the lines of *text* without blocking. If the queue is full, drop the lines, and report this later."""
        with self._lock:
            # After the first dropped line, drop all lines until the report, so that the report takes their place.
            if self._dropped or self._length + len(text) > _MAX_QUEUED:
                self._dropped += text.count("\n")
                return
            self._waiting.append(text)
            self._length += len(text)
            if self._thread is None:
                # If the thread can't start, the lines stay queued for the next attempt, or for ``close``.
                with contextlib.suppress(OSError):
                    self._thread = start_thread(self._run, "httpsock-stderr")
        if not self._has_some.is_set():
            self._has_some.set()

    def write_line(self, text: str) -> None:
        """Queue *text* as a line."""
        self.write(f"{text}\n")

    def close(self, seconds: float) -> None:
        """Write the queued text, and end the thread. After *seconds*, return even if text is left."""
        self._deadline = time.monotonic() + seconds
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
                # Dropped lines can't be reported any more.
                return
            self._is_closing.wait(_BATCH_SECONDS)

    def _take(self) -> str:
        """Empty the queue, and return its text. If lines were dropped, append a line that reports how many."""
        with self._lock:
            if self._dropped:
                self._waiting.append(f"{self._dropped} log lines dropped: standard error is blocked\n")
            text = "".join(self._waiting)
            self._waiting.clear()
            self._length = self._dropped = 0
        return text

    def _write_out(self, text: str) -> bool:
        """Write *text*. Return whether all of *text* was written. Lines that can't be written count as dropped."""
        octets = text.encode("utf-8", "backslashreplace")
        descriptor = standard_error()
        if descriptor < 0:
            return False
        written = write_whole(descriptor, octets, lambda: time.monotonic() < self._deadline)
        lost = octets.count(b"\n", written)
        with self._lock:
            self._dropped += lost
        return not lost
