"""The terminal: what may be written to one, and a bar for what takes long.

Takes octets from anybody, gives text that moves no cursor, changes no colour, types nothing, and reads in the order
in which it is written. Knows nothing of HTTP or sockets.

ECMA-48 (control functions); UAX #9 (marks of direction).
"""

import codecs
import io
import os
import time
from collections.abc import Callable
from typing import TextIO

from httpsock.http.text import visible_character

# A transfer that is done sooner needs no bar; the bar is not drawn more often than that.
_LONG_SECONDS = 0.5
_REDRAW_SECONDS = 0.1
_BAR_CHARACTERS = 24


class TerminalText:
    """Content on its way to a terminal: UTF-8, however it is cut; what is not, and what is not printable, escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        # A lone CR would let a line overwrite what stands there.
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def write(self, octets: bytes, *, is_last: bool = False) -> None:
        """Write *octets* as far as they make whole characters."""
        text = self._decoder.decode(octets, final=is_last)
        self._stream.write("".join(c if c in "\n\t" else visible_character(c) for c in text))
        self._stream.flush()


class Progress:
    """One line on a terminal that says how far a transfer is, once it takes long.

    *octets* of *total* (or None, if nobody knows) are there already.
    """

    def __init__(
        self, stream: TextIO, octets: int, total: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._octets = self._first = octets
        self._total = total
        self._began = clock()
        self._next = self._began + _LONG_SECONDS
        self._is_shown = False

    def advance(self, octets: int) -> None:
        """Note that so many more octets have come."""
        self._octets += octets
        now = self._clock()
        if now >= self._next:
            self._draw(now)
            self._next = now + _REDRAW_SECONDS

    def finish(self) -> None:
        """Leave the last state standing, if any was shown."""
        if self._is_shown:
            self._draw(self._clock())
            self._stream.write("\n")
            self._stream.flush()

    def _draw(self, now: float) -> None:
        rate = (self._octets - self._first) / max(now - self._began, 1e-9)
        line = f"{_amount(self._octets)}  {_amount(rate)}/s"
        if self._total:
            share = min(1.0, self._octets / self._total)
            bar = "#" * int(share * _BAR_CHARACTERS)
            left = (self._total - self._octets) / rate if rate else 0.0
            line = f"{share:4.0%} [{bar:.<{_BAR_CHARACTERS}}] {line}  {left:.0f} s left"
        # What was longer before is wiped out (ECMA-48: EL). In the last column a terminal might begin a new line.
        self._stream.write(f"\r{line[: _columns(self._stream) - 1]}\x1b[K")
        self._stream.flush()
        self._is_shown = True


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal, or what terminals used to have."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _amount(octets: float) -> str:
    """Return a number of octets for a person: 512 B, 1.5 MiB."""
    if octets < 1024:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= 1024
        if octets < 1024:
            return f"{octets:.1f} {unit}"
    return f"{octets / 1024:.1f} TiB"
