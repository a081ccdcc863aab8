"""The process: what the system lets it have, and who it is.

Takes limits and names of users, changes the process. Knows nothing of sockets or HTTP. Windows has neither.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable

# More than this is no use to one process here, and some systems allow a billion.
MAX_DESCRIPTORS = 65_536
_STANDARD_ERROR = 2


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open at a time."""
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return MAX_DESCRIPTORS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors as it may allow itself, up to MOST_DESCRIPTORS."""
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS allows less than it says.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def fill_standard_descriptors() -> None:
    """Open the null device in the place of each standard stream that is closed.

    Else a socket would get its number: a client would read what is meant for standard error, and a process that
    inherits the socket would take it for a standard stream.
    """
    # Without a descriptor to spare nothing else can be opened either, and that is reported there.
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
            pass
        os.close(descriptor)


def become_user(name: str) -> None:
    """Give up root for the user called *name*, with the groups that user has.

    Raises ValueError if there is no such user, PermissionError if this process is not root.
    """
    try:
        import pwd
    except ImportError:  # pragma: no cover (Windows)
        raise ValueError("this system has no users to change to") from None
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"there is no user {name!r}") from None
    # The groups first: without root they can't be changed.
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def start_thread(run: Callable[[], object], name: str) -> threading.Thread:
    """Return a thread that runs *run*, started. Raises OSError if the system allows no more threads."""
    # A daemon, so that a thread which a disk blocks does not keep the process from exiting.
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "the system allows no more threads") from None
    return thread
