"""Lines for standard error, written by a thread of their own, so that nobody waits for whoever reads them.

Takes text from any thread, writes it in order, some dozen times a second at most. A pager that is not scrolled, a
full pipe or a full disk stops the lines and nothing else: what there is no room for is dropped, counted, and told of.
"""

import contextlib
import os
import sys
import threading

from .process import start_thread

# What waits to be written may take up so many characters.
_MOST_WAITING = 1 << 20
# POSIX promises at least this of PIPE_BUF on the systems in use.
_MOST_AT_ONCE = 4096
# Lines are gathered for so long, so that the thread is awakened, and the system called, now and then only.
_GATHERING_SECONDS = 0.05


class LineWriter:
    """What is given to ``write`` stands on standard error soon, or never, if that takes no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._length = 0
        self._dropped = 0
        self._has_some = threading.Event()
        self._is_closing = threading.Event()
        # Started with the first line: until then there may be a fork, which leaves all threads behind.
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Have *text*, some whole lines, written; or count them, where too much waits already. Waits for nothing."""
        with self._lock:
            if self._length + len(text) > _MOST_WAITING:
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
        """Have *text* written as a line."""
        self.write(f"{text}\n")

    def close(self, seconds: float) -> None:
        """Write what waits, for at most so many *seconds*."""
        self._is_closing.set()
        self._has_some.set()
        if self._thread is not None:
            self._thread.join(seconds)
        else:
            _write_all(self._take())

    def _run(self) -> None:
        while not (self._is_closing.is_set() and not self._waiting):
            self._has_some.wait()
            self._has_some.clear()
            _write_all(self._take())
            self._is_closing.wait(_GATHERING_SECONDS)

    def _take(self) -> str:
        """Return all that waits, and how much was dropped since the last time."""
        with self._lock:
            if self._dropped:
                self._waiting.append(f"lines dropped, since standard error took no more: {self._dropped}\n")
            text = "".join(self._waiting)
            self._waiting.clear()
            self._length = self._dropped = 0
        return text


def _write_all(text: str) -> None:
    """Write *text*; drop it where standard error is closed, was never there, or is full."""
    octets = text.encode("utf-8", "backslashreplace")
    start = 0
    try:
        while start < len(octets):
            # Whole lines, and no more than a pipe takes at once, so that those of several processes stay apart.
            stop = octets.rfind(b"\n", start, start + _MOST_AT_ONCE) + 1 or start + _MOST_AT_ONCE
            # Not by sys.stderr itself: a thread that waits within it would keep the interpreter from ending.
            start += os.write(sys.stderr.fileno(), octets[start:stop])
    except (OSError, ValueError, AttributeError):
        pass
