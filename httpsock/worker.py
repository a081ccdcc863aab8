"""The worker: one thread, with a poller, its connections and their deadlines.

Takes listening sockets of its own (duplicates, so that one thread alone closes each descriptor), accepts from them
and resumes each conversation when what it waits for is there, or its deadline is. Knows nothing of HTTP.

    poll → accept, receive, receive, ... → end what is overdue → answer, answer, ... → write the log → poll
"""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Sequence
from itertools import islice

from .accesslog import Exchange
from .connection import Connection
from .poller import ACCEPTABLE, READABLE, open_poller
from .process import descriptor_limit
from .resources import Moment
from .service import Service

Log = Callable[[Sequence[Exchange]], object]
Connect = Callable[[socket.socket, str, Service, Callable[[Exchange], object] | None, Moment], Connection]
Report = Callable[[str], object]

# What accept() says when it is we who are wrong, and no time mends it.
_OUR_FAULTS = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
# While there is no room, the listening sockets are left alone for this long, not asked over and over; or until one of
# our connections ends. No more often than this it is reported.
_REST_SECONDS = 0.1
_REPORT_SECONDS = 1.0
# What is left for folders on the way to a file, other workers, and whatever else is open in this process.
_RESERVED_DESCRIPTORS = 16
# Room is made by this part of the idle connections at a time, and at most so many, as nginx does it.
_GIVEN_UP_PART = 8
_MOST_GIVEN_UP = 32
# What may be polled at once: on Windows select() takes 512 sockets, listening ones among them.
_MOST_CONNECTIONS = 480 if os.name == "nt" else 1 << 30
# Under the interpreter lock two busy workers are slower than one: the lock changes hands at every system call
# (measured with wrk, 32 connections, 1 KiB: 39,000 responses a second from two, 72,000 from one). So the first worker
# accepts all that it can, and the others only what has waited this long, because the first is held up.
_PATIENCE_SECONDS = 0.05
# How many are accepted before those that are accepted already get their turn.
_ACCEPTS_PER_TURN = 16
# And when they have waited already.
_ACCEPTS_IN_ONE_GO = 1024
# Deadlines are looked at no more often than this, so that many connections cost little.
_SWEEP_SECONDS = 0.05
_NEVER = float("inf")
# No poll lasts longer, since the system takes no number of any size.
_LONGEST_POLL_SECONDS = 86_400.0


class Worker:
    """Serves connections in the thread that calls ``run``, until ``stop`` is called from any other.

    A worker that is not the first leaves new connections to the first, unless they are kept waiting.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], service: Service, log: Log | None, report: Report, *, is_first: bool
    ) -> None:
        self._is_first = is_first
        self._service = service
        self._log = log
        self._report = report
        self._listeners = {listener.fileno(): listener for listener in (listener.dup() for listener in listeners)}
        # What makes a connection: a worker that is traced has another.
        self._connect: Connect = Connection
        self._connections: dict[int, Connection] = {}
        # Those that have received a request and are to answer it.
        self._answering: list[Connection] = []
        self._exchanges: list[Exchange] = []
        self._poller = open_poller()
        # A byte through this pair of sockets ends a poll early.
        self._awakened, self._awakener = socket.socketpair()
        self._awakened.setblocking(False)
        self._awakener.setblocking(False)
        self._next_sweep = _NEVER
        # Whether the listening sockets are polled; if not, when they will be again.
        self._is_watching = False
        self._watches_again = _NEVER
        self._next_report = 0.0
        self._latest = _NEVER
        # Connections may take half of the descriptors that are left: then every response finds another for its file.
        left = descriptor_limit() - self._awakener.fileno() - _RESERVED_DESCRIPTORS
        self._most_connections = max(1, min(_MOST_CONNECTIONS, left // 2))
        # How many connections each address has.
        self._clients: dict[str, int] = {}
        # When no connection could be given up, in case that it is asked again in the same turn.
        self._found_none_idle = _NEVER

    def run(self) -> None:
        """Serve until stopped, and until what was being sent then is sent."""
        try:
            self._poller.register(self._awakened.fileno(), READABLE)
            self._watch_listeners()
            # It may have been asked to stop before it began.
            self._wake(self._moment())
            while self._listeners or self._connections:
                self._turn()
        finally:
            self._cut_all()
            for listener in self._listeners.values():
                listener.close()
            self._poller.close()
            self._awakened.close()
            self._awakener.close()

    def stop(self, grace_seconds: float) -> None:
        """Wake the worker, which sees that the service is stopping: it accepts no more and finishes what it is sending.

        After *grace_seconds* it cuts off what is left.
        May be called from a signal handler: it writes one attribute and one octet, and waits for nothing.
        """
        # Asked again, it takes no longer.
        self._latest = min(self._latest, time.monotonic() + grace_seconds)
        # It may have been asked before and not have looked yet, or have returned already.
        with contextlib.suppress(OSError):
            self._awakener.send(b"\0")

    def _turn(self) -> None:
        """Wait until something is ready, or due, and see to it: first all receive, then all answer."""
        due = min(self._next_sweep, self._watches_again, self._latest)
        seconds = 0.0 if self._answering else due - time.monotonic()
        ready = self._poller.poll(_LONGEST_POLL_SECONDS if seconds > _LONGEST_POLL_SECONDS else max(0.0, seconds))
        moment = self._moment()
        for descriptor, _ in ready:
            if connection := self._connections.get(descriptor):
                # Who is to be answered has its turn below, whatever else has come.
                if connection.awaited:
                    self._resume(connection, moment)
            elif descriptor in self._listeners:
                self._greet(self._listeners[descriptor], moment)
            else:
                self._wake(moment)
        if moment.monotonic >= due:
            self._keep_time(moment)
        if self._answering:
            answering, self._answering = self._answering, []
            moment = self._moment()
            for connection in answering:
                self._resume(connection, moment)
            moment.end()
        if self._log and self._exchanges:
            self._write_log(self._log)

    def _moment(self) -> Moment:
        return Moment(self._service.root, time.time(), time.monotonic())

    def _write_log(self, log: Log) -> None:
        """Tell the log of the exchanges since the last time, all at once; its faults are not the clients'."""
        batch = tuple(self._exchanges)
        self._exchanges.clear()
        try:
            log(batch)
        except Exception:
            self._say(_fault())

    def _say(self, text: str) -> None:
        """Report *text*; whoever takes reports may be at fault, too."""
        with contextlib.suppress(Exception):
            self._report(text)

    def _greet(self, listener: socket.socket, moment: Moment) -> None:
        """Accept who is waiting, or see whether the first worker does."""
        if self._is_first:
            self._accept(listener, moment, _ACCEPTS_PER_TURN)
        else:
            self._leave_listeners()
            self._watches_again = moment.monotonic + _PATIENCE_SECONDS

    def _accept(self, listener: socket.socket, moment: Moment, most: int) -> None:
        """Accept who is waiting, but no more than *most*, and start their conversations."""
        for number in range(most):
            if not self._has_room(moment):
                # Only of the first one is it known that somebody waits.
                if number == 0:
                    self._rest(moment, f"{self._most_connections} connections are as many as there is room for")
                return
            try:
                connected, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _OUR_FAULTS:
                    raise
                # Out of descriptors or memory, or the network is down: less of the idle mends it, or a little time.
                if not self._give_up_idle(moment):
                    self._rest(moment, error.strerror)
                    return
            else:
                # On macOS there is no address when the connection was reset before.
                self._admit(connected, address[0] if address else "unknown", moment)

    def _admit(self, connected: socket.socket, client: str, moment: Moment) -> None:
        """Start a conversation, or close the connection where its address alone has taken all the room."""
        if self._is_full() and self._has_more_than_its_share(client):
            connected.close()
            return
        connected.setblocking(False)
        log = self._exchanges.append if self._log else None
        connection = self._connect(connected, client, self._service, log, moment)
        try:
            self._poller.register(connection.descriptor, READABLE)
        except OSError as error:
            connection.close()
            self._rest(moment, error.strerror)
            return
        self._connections[connection.descriptor] = connection
        self._service.connected.add(connection.descriptor)
        self._clients[client] = self._clients.get(client, 0) + 1
        self._resume(connection, moment)

    def _rest(self, moment: Moment, reason: str | None) -> None:
        """Leave the listening sockets alone for a while; who wants to connect waits in the system's queue."""
        now = moment.monotonic
        self._leave_listeners()
        self._watches_again = now + _REST_SECONDS
        if reason and self._is_first and now >= self._next_report:
            self._next_report = now + _REPORT_SECONDS
            self._say(f"cannot accept for now: {reason}")

    def _is_full(self) -> bool:
        """Return whether all workers together have as many connections as there is room for."""
        return len(self._service.connected) >= self._most_connections

    def _has_room(self, moment: Moment) -> bool:
        """Return whether to accept: if need be, idle connections make room.

        If none is idle, but one address has more than its share, others need not wait for that one.
        """
        return (
            not self._is_full() or self._give_up_idle(moment) or any(map(self._has_more_than_its_share, self._clients))
        )

    def _has_more_than_its_share(self, client: str) -> bool:
        """Return whether an address has more than half of the connections; this machine itself may have all."""
        is_loopback = client.startswith("127.") or client == "::1"
        return not is_loopback and self._clients.get(client, 0) * 2 > len(self._connections)

    def _give_up_idle(self, moment: Moment) -> bool:
        """Give up some of the connections that have been idle longest; return whether there were any.

        They are looked for when they are needed, so that it costs nobody anything before.
        """
        now = moment.monotonic
        if now == self._found_none_idle:
            return False
        idle = [connection for connection in self._connections.values() if connection.may_be_given_up(now)]
        # Who has been idle longest would be given up next anyway.
        idle.sort(key=lambda connection: connection.deadline)
        most = min(_MOST_GIVEN_UP, max(1, len(idle) // _GIVEN_UP_PART))
        given_up = list(islice((connection for connection in idle if connection.is_silent()), most))
        for connection in given_up:
            self._resume(connection, moment, TimeoutError())
        if not given_up:
            self._found_none_idle = now
        return bool(given_up)

    def _resume(self, connection: Connection, moment: Moment, thrown: Exception | None = None) -> None:
        """Let a conversation go on, until it waits again; *thrown* is the exception that it is to meet with."""
        connection.moment = moment
        conversation = connection.conversation
        try:
            wait = conversation.send(None) if thrown is None else conversation.throw(thrown)
        except StopIteration:
            self._forget(connection)
            return
        except Exception:
            # Whatever the peer or a file did is dealt with below; this is a fault of our own. It ends one connection.
            self._say(_fault())
            self._forget(connection)
            return
        if wait is None:
            connection.awaited = 0
            connection.deadline = _NEVER
            self._answering.append(connection)
            return
        awaited, deadline = wait
        connection.awaited = awaited
        connection.deadline = deadline
        if awaited != connection.polled:
            connection.polled = awaited
            self._poller.modify(connection.descriptor, awaited)
        if deadline < self._next_sweep:  # noqa: PLR1730 (min() would cost 0.1 µs, and change it hardly ever)
            self._next_sweep = deadline

    def _forget(self, connection: Connection) -> None:
        """Drop a connection whose conversation has ended.

        It is unregistered although epoll forgets a closed socket by itself: it does not where a forked process has
        the socket open, too, and would then call for ever.
        """
        self._poller.unregister(connection.descriptor)
        del self._connections[connection.descriptor]
        self._service.connected.discard(connection.descriptor)
        # After this its number may be another one's, in another thread.
        connection.close()
        count = self._clients.pop(connection.client) - 1
        if count:
            self._clients[connection.client] = count
        if self._is_first and not self._is_watching:
            # There is room for another one.
            self._watches_again = 0.0

    def _cut_all(self) -> None:
        """Cut all conversations short where they wait."""
        for connection in list(self._connections.values()):
            connection.conversation.close()
            self._forget(connection)
        self._answering.clear()

    def _keep_time(self, moment: Moment) -> None:
        """See to what is due: the end of the grace, of a rest, and deadlines of connections."""
        now = moment.monotonic
        if now >= self._latest:
            self._end_grace()
        if now >= self._watches_again:
            self._watch_again(moment)
        if now < self._next_sweep:
            return
        for connection in list(self._connections.values()):
            if now >= connection.deadline:
                self._resume(connection, moment, TimeoutError())
        earliest = min((connection.deadline for connection in self._connections.values()), default=_NEVER)
        self._next_sweep = max(earliest, now + _SWEEP_SECONDS)

    def _end_grace(self) -> None:
        """Cut off what is left, and say how much that is."""
        count = sum(not connection.is_idle for connection in self._connections.values())
        self._cut_all()
        if count:
            self._say(f"cut off when the time to stop was over: {count}")

    def _watch_again(self, moment: Moment) -> None:
        """Accept who has come while the listening sockets were left alone, if there is room by now."""
        if not self._has_room(moment):
            self._rest(moment, None)
            return
        self._watch_listeners()
        for listener in self._listeners.values():
            if self._is_watching:
                self._accept(listener, moment, _ACCEPTS_IN_ONE_GO)

    def _watch_listeners(self) -> None:
        """Be told when somebody waits to be accepted."""
        self._is_watching = True
        self._watches_again = _NEVER
        for descriptor in self._listeners:
            self._poller.register(descriptor, ACCEPTABLE)

    def _leave_listeners(self) -> None:
        """Be told no longer, if we are."""
        if self._is_watching:
            for descriptor in self._listeners:
                self._poller.unregister(descriptor)
        self._is_watching = False

    def _wake(self, moment: Moment) -> None:
        """Begin to stop, if that is why we were awakened: accept no more, and let the idle see that they may go."""
        with contextlib.suppress(BlockingIOError):
            self._awakened.recv(64)
        if not self._service.is_stopping:
            return
        self._leave_listeners()
        self._watches_again = _NEVER
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for connection in list(self._connections.values()):
            if connection.is_idle:
                self._resume(connection, moment)


def _fault() -> str:
    """Return the traceback of the exception that is being handled."""
    # Imported when there is a fault, which there should never be: it takes 3 ms of start-up.
    import traceback

    return traceback.format_exc()
