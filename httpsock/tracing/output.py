"""Output: octets written whole to a descriptor that may be full, non-blocking, or gone.

Takes octets, writes them or says how many it could not; knows what a terminal shows. Standard error may be a pipe that
another program made non-blocking, or a file on a full disk: both take more later, and a line begun is then completed.
"""

import errno
import os
import select
import sys
import time
from collections.abc import Callable

# POSIX promises at least this of PIPE_BUF on the systems in use: no other process can write into the middle of it.
_MOST_AT_ONCE = 4096
# A full disk or quota can be emptied, and memory freed.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.ENOBUFS)
_RETRY_SECONDS = 0.1
# A system may say that a pipe takes more where it does not take this many octets.
_PAUSE_SECONDS = 0.005


def write_whole(descriptor: int, octets: bytes, may_go_on: Callable[[], bool]) -> int:
    """Write *octets*, in whole lines where they fit; retry a full descriptor as long as *may_go_on* says so.

    Return how many octets were written: fewer than all if the descriptor is closed, broken, or was full to the end.
    """
    start = 0
    while start < len(octets):
        stop = octets.rfind(b"\n", start, start + _MOST_AT_ONCE) + 1 or start + _MOST_AT_ONCE
        try:
            # Not by sys.stderr itself: a thread that blocks within it would keep the interpreter from ending.
            start += os.write(descriptor, octets[start:stop])
        except OSError as error:
            is_full = isinstance(error, BlockingIOError) or error.errno in _FULL
            if not is_full or not may_go_on():
                break
            _wait(descriptor, is_disk=error.errno in _FULL)
    return start


def _wait(descriptor: int, *, is_disk: bool) -> None:
    """Wait for a moment, or until *descriptor* takes more; no system says when a disk does."""
    if not is_disk:
        select.select([], [descriptor], [], _RETRY_SECONDS)
    time.sleep(_RETRY_SECONDS if is_disk else _PAUSE_SECONDS)


def is_terminal(descriptor: int) -> bool:
    """Return whether *descriptor*, or none if it is negative, is a terminal."""
    return descriptor >= 0 and os.isatty(descriptor)


def shows_colours(descriptor: int) -> bool:
    """Return whether *descriptor* is a terminal that shows colours, for a person who wants them (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal(descriptor):
        return False
    # The console of Windows shows the codes themselves, unless it is one of the newer ones, which set these.
    return os.name != "nt" or any(name in os.environ for name in ("WT_SESSION", "ANSICON", "TERM"))


def width_of(descriptor: int) -> int | None:
    """Return how many columns a terminal has, or None if *descriptor* is none."""
    try:
        return os.get_terminal_size(descriptor).columns or 80 if is_terminal(descriptor) else None
    except (OSError, ValueError):
        return None


def standard_error() -> int:
    """Return the descriptor of standard error, or -1 without one: its number may be that of anything by now."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
