"""Output: write all of a text, even if the output is full or non-blocking, and check the terminal's features.

The output may be a pipe that another program made non-blocking. While the pipe is full, a write is retried, to complete
the line. ``write_whole`` also retries if a disk is full.
"""

import errno
import os
import select
import sys
import time
from collections.abc import Callable
from typing import BinaryIO, TextIO

# PIPE_BUF on common systems: a write of up to this size to a pipe is atomic.
_MAX_WRITE_OCTETS = 4096
# A disk, a quota or memory that is full now may have room later.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.ENOBUFS)
_RETRY_SECONDS = 0.1
# Pause this long, since select() may report a pipe as writable although it has too little room for the octets.
_PAUSE_SECONDS = 0.005


def write_whole(descriptor: int, octets: bytes, may_retry: Callable[[], bool]) -> int:
    """Write *octets*, and return how many octets were written. Write whole lines at a time if possible.

    If *descriptor* is full, retry while *may_retry* returns true. If *descriptor* is closed or broken, return early.
    """
    start = 0
    while start < len(octets):
        stop = octets.rfind(b"\n", start, start + _MAX_WRITE_OCTETS) + 1 or start + _MAX_WRITE_OCTETS
        try:
            # Not through sys.stderr: a thread blocked there would keep the interpreter from exiting.
            start += os.write(descriptor, octets[start:stop])
        except OSError as error:
            is_full = isinstance(error, BlockingIOError) or error.errno in _FULL
            if not is_full or not may_retry():
                break
            _wait(descriptor, is_disk=error.errno in _FULL)
    return start


def write_all(stream: BinaryIO, octets: bytes) -> None:
    """Write *octets* to *stream*, and flush it. While a non-blocking pipe is full, wait. Raise OSError on failure."""
    rest = memoryview(octets)
    while True:
        try:
            # An unbuffered stream (python3 -u) may write a part only; it returns None if it is full.
            rest = rest[stream.write(rest) or 0 :]
            stream.flush()
            if not rest:
                return
        except BlockingIOError as error:
            rest = rest[error.characters_written :]
        _wait(stream.fileno(), is_disk=False)


def _wait(descriptor: int, *, is_disk: bool) -> None:
    """Wait until a full *descriptor* may accept more. On a full disk, only wait for a short time."""
    if not is_disk:
        select.select([], [descriptor], [], _RETRY_SECONDS)
    time.sleep(_RETRY_SECONDS if is_disk else _PAUSE_SECONDS)


def would_block(output: int | TextIO, seconds: float = 0.0) -> bool:
    """Return whether a write to *output* would still block after *seconds*. A write that fails does not block."""
    try:
        # Windows can wait only for sockets.
        return os.name != "nt" and not select.select([], [output], [], seconds)[1]
    except (OSError, ValueError, TypeError):
        # A program may have replaced sys.stdout by an object without a descriptor.
        return False


def is_terminal(descriptor: int) -> bool:
    """Return whether *descriptor* is a terminal. If *descriptor* is negative, return False."""
    return descriptor >= 0 and os.isatty(descriptor)


def shows_colours(descriptor: int) -> bool:
    """Return whether *descriptor* is a terminal with colours, and the user allows colours (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal(descriptor):
        return False
    # Old Windows consoles print the codes as text. Newer consoles set one of these variables.
    return os.name != "nt" or any(name in os.environ for name in ("WT_SESSION", "ANSICON", "TERM"))


def width_of(descriptor: int) -> int | None:
    """Return the number of columns of a terminal, or None if *descriptor* is not a terminal."""
    try:
        return os.get_terminal_size(descriptor).columns or 80 if is_terminal(descriptor) else None
    except (OSError, ValueError):
        return None


def standard_error() -> int:
    """Return the descriptor of standard error.

    If standard error is closed, return -1, since descriptor 2 may be another file.
    """
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
