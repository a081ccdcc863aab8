"""Listening: a port that refuses connections for a time, and an accept queue that is slow.

Takes the listening sockets of a server, gives accept queues for its event loop. The kernel refuses connections without
telling the server, so refusals can't be counted. Instead, the port is closed for a period of time, then open again. A
closed port stays bound, so that the kernel gives it to no other program. This module must not know HTTP.

During a restart, two processes have the same listening sockets, and each process may close and open the sockets until
the old process has drained. So each process asks the kernel whether a socket listens, and does not rely on its own last
call.

RFC 9293 §3.5.2 (reset: a connection that does not exist), §3.9.1.1 (open).
"""

import contextlib
import errno
import math
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from httpsock.server.listeners import BACKLOG, NotAccepting


class Period(NamedTuple):
    """A period of *seconds* in which the port is closed or open."""

    is_closed: bool
    seconds: float


class Port:
    """The listening sockets of one server.

    *next_period* chooses whether the port is open or closed, and for how long. *next_delay* chooses how long a
    connection waits in the accept queue. Any thread may begin a period, but only the event loop notices when a period
    ends. So the accept queues raise NotAccepting, which makes the event loop call again soon.
    """

    def __init__(self, next_period: Callable[[], Period], next_delay: Callable[[], float]) -> None:
        self.next_delay = next_delay
        # Whether a connection may have to wait in the accept queue.
        self.is_slow = False
        # How long another process may keep the port closed.
        self.closed_seconds = 0.0
        self.lock = threading.RLock()
        self.is_closed = False
        self._next_period = next_period
        self._period_end = math.inf
        # Whether another program had the port when it was to open.
        self._is_taken = False
        self._queues: list[FaultyQueue] = []

    def accept_queue(self, listener: socket.socket) -> "FaultyQueue":
        """Return an accept queue for *listener*. The first call begins a period in which the port is closed or open."""
        with self.lock:
            queue = FaultyQueue(self, listener.dup())
            self._queues.append(queue)
            if len(self._queues) == 1:
                self.begin_period()
            else:
                queue.update()
            return queue

    def remove(self, queue: "FaultyQueue") -> None:
        """Forget *queue*, which has been closed."""
        with self.lock:
            self._queues.remove(queue)

    def begin_period(self) -> None:
        """Begin a period now: open or close the port."""
        with self.lock:
            if self._queues:
                self._begin(self._next_period())

    def _begin(self, period: Period) -> None:
        self.is_closed, seconds = period
        self._period_end = time.monotonic() + seconds
        self._is_taken = True
        for queue in self._queues:
            queue.update()
        self._is_taken = False

    def notice_closed(self) -> None:
        """Handle a port that turned out to be closed.

        If the current period is a closed one, begin the next period when the current period has ended. If another
        program had taken the port, try to open the port again. Otherwise, another process of the server has closed the
        port, so begin a closed period.
        """
        if self.is_closed:
            self.is_changing()
        elif self._is_taken:
            self._begin(Period(is_closed=False, seconds=self._period_end - time.monotonic()))
        else:
            # That process opens the port again, unless it ends before.
            self._begin(Period(is_closed=True, seconds=self.closed_seconds))

    def is_changing(self) -> bool:
        """If the period has ended, begin the next period. Return whether the port has just changed, or will change."""
        has_ended = time.monotonic() >= self._period_end
        if has_ended:
            self.begin_period()
        return has_ended or self._period_end < math.inf


class FaultyQueue:
    """The accept queue of *listener*. It can close the port, and accept connections late.

    The event loop calls ``accept``. Any thread may call ``update``.
    """

    def __init__(self, port: Port, listener: socket.socket) -> None:
        self._port = port
        self._listener = listener
        self._address = listener.getsockname()
        # When to accept the first connection of the queue.
        self._accept_at: float | None = None

    def fileno(self) -> int:
        """Return the descriptor to poll for new connections."""
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and the client's address.

        Raise NotAccepting if the event loop must call again soon.
        """
        with self._port.lock:
            self._check_delay()
            try:
                return self._listener.accept()
            except BlockingIOError:
                if not self._port.is_changing():
                    raise
            except OSError as error:
                # EINVAL: the port is closed.
                if error.errno != errno.EINVAL:
                    raise
                self._port.notice_closed()
        raise NotAccepting

    def close(self) -> None:
        """Close the listening socket."""
        with self._port.lock:
            self._port.remove(self)
            self._listener.close()

    def _check_delay(self) -> None:
        """Raise NotAccepting if the first connection of the queue has to wait."""
        now = time.monotonic()
        if self._accept_at is None and self._port.is_slow and self._has_connection():
            self._accept_at = now + self._port.next_delay()
        if self._accept_at is not None and now < self._accept_at:
            raise NotAccepting
        self._accept_at = None

    def _has_connection(self) -> bool:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        return any(events == select.POLLIN for _, events in poll.poll(0))

    def update(self) -> None:
        """Close or open the port, as the current period requires. Drop a delay that began in an earlier period."""
        self._accept_at = None
        is_listening = True
        # macOS does not tell; there, no fault closes the port.
        with contextlib.suppress(OSError):
            is_listening = bool(self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if self._port.is_closed and is_listening:
            self._refuse()
        elif not self._port.is_closed and not is_listening:
            self._listen()

    def _refuse(self) -> None:
        """Close the port: the kernel resets the connections in the queue, and refuses new ones."""
        # On Linux a listening socket that is shut down listens no more, in any process that has it.
        try:
            self._listener.shutdown(socket.SHUT_RD)
        except OSError:
            # Another process has just done so. Connections would inherit the second shutdown: undo it.
            self._listen()
            self._listener.shutdown(socket.SHUT_RD)
        # If another program has taken the port in this moment, ``_listen`` raises that error.
        with contextlib.suppress(OSError):
            _bind_again(self._listener, self._address)

    def _listen(self) -> None:
        """Open the port again: listen for connections."""
        _bind_again(self._listener, self._address)
        self._listener.listen(BACKLOG)


def _bind_again(listener: socket.socket, address: Any) -> None:
    """Bind *listener*, which was shut down, to its port again.

    If the kernel had chosen the port, the shutdown has released it. Otherwise the listener is still bound.
    """
    try:
        # Not the traced method: it is the same port as before.
        socket.socket.bind(listener, address)
    except OSError as error:
        # EINVAL: the listener is still bound. So it is with EACCES: the kernel never chooses a port that needs root.
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
