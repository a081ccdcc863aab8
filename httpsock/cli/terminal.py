"""The terminal: safe text, and a progress bar.

Takes octets from any source, gives text that can't move the cursor, change colours, type input, or reorder letters.
Must not know HTTP or sockets.

ECMA-48 (control functions); UAX #9 (bidirectional controls).
"""

import codecs
import io
import os
import time
from collections.abc import Callable
from typing import TextIO

from httpsock.http.text import visible_character

# A transfer shows no bar before this time; and the minimum interval between two redraws.
_LONG_SECONDS = 0.5
_REDRAW_SECONDS = 0.1
_MAX_BAR_CHARACTERS = 24


class TerminalText:
    """Turns content into text that is safe for a terminal, and passes the text to the function *write*.

    Octets that are not UTF-8 are escaped, and so are unsafe characters.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        # A lone CR would let a line overwrite earlier text.
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def write(self, octets: bytes, *, is_last: bool = False) -> None:
        """Write *octets* as text. Keep the octets of an incomplete character for the next call.

        If *is_last* is true, escape these octets instead.
        """
        text = self._decoder.decode(octets, final=is_last)
        self._write("".join(c if c in "\n\t" else visible_character(c) for c in text))


class Progress:
    """A progress bar on a terminal, which appears when a transfer takes long.

    *octets* is how many octets have already arrived. *total* is the size of the transfer, or None if this size is
    unknown.
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
        """Add *octets* to the count. Redraw the bar if enough time has passed."""
        self._octets += octets
        now = self._clock()
        if now >= self._next:
            self._draw(now)
            self._next = now + _REDRAW_SECONDS

    def finish(self) -> None:
        """Draw the final state. If the bar was never shown, do nothing."""
        if self._is_shown:
            self._draw(self._clock())
            self._stream.write("\n")
            self._stream.flush()

    def _draw(self, now: float) -> None:
        rate = (self._octets - self._first) / max(now - self._began, 1e-9)
        line = f"{_format_octets(self._octets)}  {_format_octets(rate)}/s"
        # Leave the last column free, where some terminals begin a line.
        columns = _columns(self._stream) - 1
        if self._total:
            share = min(1.0, self._octets / self._total)
            left = (self._total - self._octets) / rate if rate else 0.0
            before, after = f"{share:4.0%} [", f"] {line}  {left:.0f} s left"
            # A narrow terminal gets a short bar, so that the numbers fit.
            length = max(0, min(_MAX_BAR_CHARACTERS, columns - len(before + after)))
            line = f"{before}{'#' * int(share * length):.<{length}}{after}"
        # Erase the rest of a longer line (ECMA-48: EL).
        self._stream.write(f"\r{line[:columns]}\x1b[K")
        self._stream.flush()
        self._is_shown = True


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal, or 80 if the width is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _format_octets(octets: float) -> str:
    """Return a number of octets as text for a person, such as "1.5 MiB"."""
    if octets < 1024:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= 1024
        if octets < 1024:
            return f"{octets:.1f} {unit}"
    return f"{octets / 1024:.1f} TiB"
