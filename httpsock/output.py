"""Output: octets written whole to a descriptor that may be full, non-blocking, or gone.

Takes octets, writes them or says how many it could not. Standard error may be a pipe that another program made
non-blocking, or a file on a full disk: both take more later, and what was begun is then completed.
"""

import errno
import os
import select
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
