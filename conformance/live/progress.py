"""Show the progress of a run: the trial in progress, and the trials that stopped the server or ran out of time.

On a terminal, a line shows the trial in progress:

    412 of 1331 tried; 3 s: Range: bytes=-4 of 5 GiB has its bytes
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self, TextIO

_REDRAW_SECONDS = 0.1
_MAX_REPORTED = 5


class Progress:
    """Prints the progress of trials to *stream*. If *stream* is None, it prints nothing.

    If *stream* is not a terminal, it prints only the trials that stop the server or run out of time.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._expected: set[str] = set()
        self._ended: set[str] = set()
        self._running: dict[str, float] = {}
        self._reported: set[str] = set()
        self._line = ""
        self._over = threading.Event()
        self._drawer = threading.Thread(target=self._draw_until_over, daemon=True)

    def __enter__(self) -> Self:
        """If the stream is a terminal, start to draw the progress line."""
        if self._stream is not None and self._stream.isatty():
            self._drawer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Erase the progress line. If some reports were not printed, print how many."""
        self._over.set()
        if self._drawer.is_alive():
            self._drawer.join()
        if (more := len(self._reported) - _MAX_REPORTED) > 0:
            self._print(f"conformance: {more} more cases and checks stop the server or run out of time")

    def expect(self, names: Iterable[str]) -> None:
        """Add *names* to the trials of this run."""
        with self._lock:
            self._expected.update(names)

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """While the block runs, show *name* in the progress line. It is the name of a trial or of another slow step."""
        with self._lock:
            self._running[name] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._running[name]
                self._ended.update({name} & self._expected)

    def report(self, name: str, why: str) -> None:
        """Report a trial that stopped the server or ran out of time. Print the first five, and count the others."""
        with self._lock:
            is_new = name not in self._reported
            self._reported.add(name)
            count = len(self._reported)
        if is_new and count <= _MAX_REPORTED:
            self._print(f"conformance: {name}: {why}")

    def _print(self, text: str) -> None:
        """Print *text* on a line of its own."""
        if self._stream is not None:
            with self._lock, suppress(OSError):
                self._stream.write(f"{self._erased()}{text}\n")
                self._stream.flush()

    def _draw_until_over(self) -> None:
        """Redraw the line when it changes. At the end of the run, erase the line."""
        assert self._stream is not None
        # The terminal may have been closed.
        with suppress(OSError):
            while not self._over.wait(_REDRAW_SECONDS):
                with self._lock:
                    if (line := self._current()) != self._line:
                        self._stream.write(f"{self._erased()}{line}")
                        self._line = line
                        self._stream.flush()
            with self._lock:
                self._stream.write(self._erased())
                self._stream.flush()

    def _erased(self) -> str:
        """Forget the progress line. Return the characters that erase it from the terminal."""
        blank = f"\r{' ' * len(self._line)}\r" if self._line else ""
        self._line = ""
        return blank

    def _current(self) -> str:
        """Return the progress line: the number of trials that have ended, and the trial that has run longest."""
        parts = [f"{len(self._ended)} of {len(self._expected)} tried"] if self._expected else []
        if self._running:
            name, began = next(iter(self._running.items()))
            parts.append(f"{time.monotonic() - began:.0f} s: {name}")
        assert self._stream is not None
        # The width of this terminal: standard output may be a pipe. A terminal without a known width has 0 columns.
        columns = os.get_terminal_size(self._stream.fileno()).columns or 80
        return "; ".join(parts)[: columns - 1]
