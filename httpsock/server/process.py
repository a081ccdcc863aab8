"""This process: its descriptor limit, its standard streams, its user and its threads.

The functions change the running process. Windows has no descriptor limit, and can't change the user.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable

# A process here has no use for more, although some systems allow a billion.
MAX_DESCRIPTORS = 65_536
_STANDARD_ERROR = 2
# After the grace period, a blocked thread has this long to return.
BLOCKED_SECONDS = 5.0


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open."""
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return MAX_DESCRIPTORS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> None:
    """Raise the soft limit of descriptors to the hard limit, but not above MAX_DESCRIPTORS."""
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS allows less than its hard limit.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def fill_standard_descriptors() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise a socket could get the descriptor of standard error, and a client would receive error messages.
    """
    # If descriptors have run out, the next open() reports it.
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
            pass
        os.close(descriptor)


def become_user(name: str) -> None:
    """Drop root: become the user called *name*, with that user's groups.

    Raise ValueError if there is no such user. Raise PermissionError if this process is not root.
    """
    try:
        import pwd
    except ImportError:  # pragma: no cover (Windows)
        raise ValueError("this system cannot change users") from None
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"there is no user {name!r}") from None
    # Groups first: only root may change them.
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def start_thread(run: Callable[[], object], name: str) -> threading.Thread:
    """Start a thread that calls *run*. Return the thread. Raise OSError if the system allows no more threads."""
    # A daemon thread: one that a disk blocks must not prevent the process from exiting.
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "the system allows no more threads") from None
    return thread
