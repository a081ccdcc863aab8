"""The event loop: a poller, its connections and their deadlines, tick by tick.

Takes listening sockets and accepts connections. Resumes a connection when its socket is ready or its deadline has
passed. Passes exchanges to the log. The event loop does not know HTTP. One thread leads: it runs the loop. If a
connection blocks the leader, another thread takes over (leader.py). Next: connection.py.

    poll → receive, receive, ... → answer, answer, ... → accept → time out → write the log → poll
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from httpsock.http.handler import Tick

from .access_log import Exchange
from .connection import Connection, current_traceback, open_connection
from .connection_limit import ConnectionLimit, evictable
from .fairness import Fairness, least_recently_resumed
from .leader import LeaderThreads, Superseded
from .listeners import AcceptQueue, NotAccepting, duplicate
from .poller import READABLE, open_poller
from .sending import Wait
from .settings import Settings
from .state import IDLE_STATES, Phase, State

Log = Callable[[Sequence[Exchange]], object]
Connect = Callable[[socket.socket, str, Settings, Callable[[Exchange], object] | None, Tick], Connection]
Report = Callable[[str], object]

# accept() errors that mean a bug here: retrying does not help. And those after which closing a connection helps.
_FATAL_ACCEPT_ERRNOS = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
_SCARCITY_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# At the connection limit, accepting pauses for this long, or until a connection closes; at most one report a second.
_ACCEPT_PAUSE_SECONDS = 0.1
_REPORT_SECONDS = 1.0
# Connections accepted in one go: in a tick; and after a pause or at a stop, when many may wait in the accept queue.
_ACCEPTS_PER_TICK, _ACCEPTS_FROM_BACKLOG = 64, 1024
_RESUMES_PER_CLOCK_READ = 16  # connections resumed before the clock is read again
_SWEEP_SECONDS = 0.05  # the minimum interval between two checks of all deadlines, so that many connections cost little
_NEVER = float("inf")
_QUEUED = State.QUEUED  # to look up a member of an enum takes 0.03 µs
_ENDED = (State.CLOSED, _NEVER)  # the wait of a finished coroutine
_MAX_POLL_SECONDS = 86_400.0  # the kernel rejects larger time-outs


class EventLoop:
    """Serves connections in the threads that call ``run``, until another thread calls ``stop``."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        settings: Settings,
        log: Log | None,
        report: Report,
        connect: Connect = open_connection,
        *,
        accept_queue: Callable[[socket.socket], AcceptQueue] = duplicate,
    ) -> None:
        self._settings = settings
        self._log = log
        self._report = report
        self._listeners = {queue.fileno(): queue for queue in map(accept_queue, listeners)}
        self._connect = connect
        self._connections: dict[int, Connection] = {}
        # Connections that are ready to answer; and an iterator over those still to answer in this tick.
        self._ready: list[Connection] = []
        self._answering: Iterator[Connection] = iter(())
        self._fair_receiving, self._fair_answering = Fairness(), Fairness()
        self._exchanges: list[Exchange] = []
        self._waits_for_log: list[threading.Event] = []
        self._poller = open_poller()
        self._leaders = LeaderThreads(self._poller, self._wake)
        self._current = self._leaders.current
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()  # a byte through this pair ends a poll early
        self._wakeup_reader.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._next_sweep = _NEVER
        self._is_accepting = False
        self._accept_again_at = _NEVER  # when to poll the listeners again, if they are not polled
        self._next_report = 0.0
        self._grace_deadline = _NEVER
        self._limit = ConnectionLimit(self._wakeup_writer.fileno())
        self._none_closed_at = _NEVER  # the last eviction that closed no connection: no second one in the same tick
        self._poller.register(self._wakeup_reader.fileno(), READABLE)
        self._start_accepting()
        self._wake()  # the server may have been asked to stop already: see _on_wakeup

    def run(self) -> None:
        """Run the event loop, or wait to take the loop over, until the server has stopped."""
        self._leaders.run(self._lead)

    def _lead(self) -> None:
        """Run ticks until all sockets are closed, or until another thread takes the loop over."""
        try:
            # A blocked leader leaves connections that it has not answered, and exchanges that it has not logged.
            self._ready = [*self._fair_answering.take_postponed(), *self._answering, *self._ready]
            if self._log and self._exchanges:
                self._write_log(self._log)
            while self._listeners or self._connections:
                self._run_once()
        except Superseded:
            return
        except BaseException:
            self.close()
            raise
        self.close()

    def close(self) -> None:
        """Close all sockets."""
        self._leaders.end()
        self._abort_all()
        for listener in self._listeners.values():
            listener.close()
        self._poller.close()
        self._wakeup_reader.close()
        self._wakeup_writer.close()

    def stop(self, grace_seconds: float) -> None:
        """Wake the loop, which then stops or drains, as ``Settings.phase`` says.

        After *grace_seconds*, the loop aborts responses that still run. A signal handler may call this.
        """
        self._grace_deadline = min(self._grace_deadline, time.monotonic() + grace_seconds)  # never extend it
        self._wake()

    def _wake(self) -> None:
        """Make the event loop's poll return early. Any thread may call this."""
        with contextlib.suppress(OSError):  # the buffer may be full from earlier calls, or the loop may have ended
            self._wakeup_writer.send(b"\0")

    def blocked(self) -> list[str]:
        """Return a description of each request that blocks a thread now, for example on a slow disk."""
        return [connection.describe() for connection in [*self._leaders.detached, *self._current]]

    def _run_once(self) -> None:
        """Run one tick: poll, let all ready connections receive, then let these connections answer."""
        self._leaders.tick_began = None
        due = min(self._next_sweep, self._accept_again_at, self._grace_deadline)
        seconds = 0.0 if self._ready else due - time.monotonic()
        ready = self._poller.poll(_MAX_POLL_SECONDS if seconds > _MAX_POLL_SECONDS else max(0.0, seconds))
        tick = Tick(time.time(), time.monotonic())
        self._leaders.begin_tick(tick.monotonic)
        try:
            others = self._receive(ready, tick)
            # A look-up made while connections still received may be older than their requests.
            tick.memo.clear()
            if self._ready:
                self._answering, self._ready = iter(self._ready), []
                self._resume_each(self._answering, self._fair_answering, tick)
            if others:  # after the answers: at the limit, a connection that has answered may be evicted
                self._handle(others, tick)
            if tick.monotonic >= due:
                self._run_timers(tick)
        finally:  # connections refer to their tick long after it is over
            tick.memo.clear()
        if self._fair_answering.postponed:
            self._ready[:0] = self._fair_answering.take_postponed()
        if self._log and self._exchanges:
            self._write_log(self._log)

    def _receive(self, ready: Sequence[tuple[int, int]], tick: Tick) -> list[int]:
        """Resume the connections among the *ready* descriptors. Return the other descriptors."""
        connections = self._connections
        arrived, others = [], []
        for descriptor, _ in ready:
            if descriptor not in connections:
                others.append(descriptor)
            elif (connection := connections[descriptor]).state is not _QUEUED:  # those that are queued run later
                arrived.append(connection)
        if self._fair_receiving.postponed:
            # The poller has reported the postponed connections again; those that have waited longest come first.
            self._fair_receiving.take_postponed()
            arrived.sort(key=least_recently_resumed)
        if len(ready) == 1 and arrived and not self._ready:
            # It answers at once, without the lists for many, which take 8 % of the time of a request.
            self._resume(arrived[0], tick)
            if self._ready:
                self._resume(self._ready.pop(), tick)
        else:
            self._resume_each(iter(arrived), self._fair_receiving, tick)
        return others

    def _handle(self, descriptors: Sequence[int], tick: Tick) -> None:
        """Accept connections from the listeners among *descriptors*. Handle a wake-up."""
        for descriptor in descriptors:
            if descriptor not in self._listeners:
                self._on_wakeup(tick)
            elif self._can_accept(tick):
                self._accept(self._listeners[descriptor], tick, _ACCEPTS_PER_TICK)
            else:
                self._pause_accepting(tick, f"connection limit of {self._limit.maximum} reached")

    def _resume_each(self, connections: Iterator[Connection], fairness: Fairness, tick: Tick) -> None:
        """Resume *connections* in order. In a long tick, each network gets only a share of the time."""
        if tick.monotonic >= fairness.measures_until:
            left = _RESUMES_PER_CLOCK_READ
            for connection in connections:
                self._resume(connection, tick)
                left -= 1
                if not left:
                    if fairness.has_become_long(tick.monotonic):
                        break
                    left = _RESUMES_PER_CLOCK_READ
            else:
                fairness.has_become_long(tick.monotonic)
                return
        for connection in fairness.select(connections):
            self._resume(connection, tick)

    def when_logged(self) -> threading.Event:
        """Return an event that the loop sets when the log has all exchanges that ended before this call."""
        is_logged = threading.Event()
        self._waits_for_log.append(is_logged)
        self._wake()
        return is_logged

    def _write_log(self, log: Log) -> None:
        """Pass all new exchanges to *log*. Report an exception that *log* raises."""
        batch = tuple(self._exchanges)
        del self._exchanges[: len(batch)]  # a detached connection may have appended meanwhile
        try:
            log(batch)
        except BaseException:
            self._report_safely(current_traceback())

    def _report_safely(self, text: str) -> None:
        """Pass *text* to the report callback. Ignore an exception that the callback raises."""
        with contextlib.suppress(BaseException):
            self._report(text)

    def _accept(self, listener: AcceptQueue, tick: Tick, maximum: int) -> None:
        """Accept and start at most *maximum* connections from *listener*. At the limit, accept only during a stop."""
        for number in range(maximum):
            if not self._limit.allows_another() and self._settings.phase is not Phase.STOPPING:
                return
            try:
                connected, address = listener.accept()
            except NotAccepting as pause:
                self._pause_accepting(tick, None, pause.seconds)
                return
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _FATAL_ACCEPT_ERRNOS:
                    raise
                # Out of descriptors or memory: evict connections. Or the network is down: retry later.
                if number:  # without descriptors, accept() fails even if no other connection waits
                    return
                if error.errno not in _SCARCITY_ERRNOS or not self._evict(tick):
                    self._pause_accepting(tick, error.strerror)
                    return
            else:
                # macOS gives no address for a connection that was reset in the queue.
                self._admit(connected, address[0] if address else "unknown", tick)

    def _admit(self, connected: socket.socket, client: str, tick: Tick) -> None:
        """Serve the socket *connected*. At the connection limit, close the socket if *client* exceeds its share."""
        if self._limit.is_full and self._limit.exceeds_share(client):
            connected.close()
            return
        connected.setblocking(False)
        log = self._exchanges.append if self._log else None
        connection = self._connect(connected, client, self._settings, log, tick)
        try:
            self._poller.register(connection.descriptor, READABLE)
        except OSError as error:
            connection.close()
            self._pause_accepting(tick, error.strerror)
            return
        self._connections[connection.descriptor] = connection
        self._limit.add(client)
        self._resume(connection, tick)

    def _pause_accepting(self, tick: Tick, reason: str | None, seconds: float = _ACCEPT_PAUSE_SECONDS) -> None:
        """Stop accepting for *seconds*, and report the *reason* if any. New connections wait in the accept queue."""
        now = tick.monotonic
        self._stop_accepting()
        self._accept_again_at = now + seconds
        if reason and now >= self._next_report:
            self._next_report = now + _REPORT_SECONDS
            self._report_safely(f"not accepting: {reason}")

    def _can_accept(self, tick: Tick) -> bool:
        """At the connection limit, evict connections. Then return whether to accept another connection."""
        return not self._limit.is_full or self._evict(tick) or self._limit.allows_another()

    def _evict(self, tick: Tick) -> bool:
        """Evict connections until at least one has closed. If no connection closes, return False."""
        count = len(self._connections)
        # After a 408, a connection lingers: it is idle, and closes in the second round. A stream may sleep again.
        for _ in range(0 if self._none_closed_at == tick.monotonic else 2):
            evicted = evictable(self._connections.values(), tick.monotonic, self._settings.timeouts)
            for connection in evicted:
                self._resume(connection, tick, TimeoutError())
            if not evicted or len(self._connections) < count:
                break
        if len(self._connections) == count:
            self._none_closed_at = tick.monotonic
        return len(self._connections) < count

    def _resume(self, connection: Connection, tick: Tick, thrown: Exception | None = None) -> None:
        """Run the coroutine of *connection* until its next wait. If *thrown* is given, raise it in the coroutine."""
        connection.tick = tick
        coroutine = connection.coroutine
        self._current.append(connection)
        try:
            wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            wait = _ENDED
        except BaseException:
            # The connection handles every error of a peer or a file, so this is a bug here: report it and close this
            # connection. Catch SystemExit too, which would end this thread silently.
            self._report_safely(current_traceback())
            wait = _ENDED
        try:
            self._current.remove(connection)
        except ValueError:
            # Another thread leads now.
            self._leaders.finish_detached(connection, wait)
        self._reschedule(connection, wait)

    def _reschedule(self, connection: Connection, wait: Wait) -> None:
        """Record the *wait* of *connection*. If the connection has ended, remove it."""
        if wait is None:
            connection.state = _QUEUED
            connection.deadline = _NEVER
            self._ready.append(connection)
            return
        state, deadline = wait
        connection.state = state
        connection.deadline = deadline
        if state.event != connection.awaited:
            self._await_other_event(connection, state)
        if deadline < self._next_sweep:  # noqa: PLR1730 (min() would cost 0.1 µs, and rarely changes it)
            self._next_sweep = deadline

    def _await_other_event(self, connection: Connection, state: State) -> None:
        """Poll *connection* for the event of its new *state*. In the state CLOSED, remove the connection."""
        if state is State.CLOSED:
            self._remove(connection)
        elif state.event is None:
            self._leaders.suspend(connection)
        else:
            connection.awaited = state.event
            self._poller.modify(connection.descriptor, state.event)

    def _remove(self, connection: Connection) -> None:
        """Unregister and close *connection*."""
        # epoll drops a closed socket by itself, unless a forked process has it open too.
        self._poller.unregister(connection.descriptor)
        del self._connections[connection.descriptor]
        self._limit.remove(connection.client)
        connection.close()  # last, since another thread may reuse the descriptor immediately
        if self._listeners and not self._is_accepting:
            self._accept_again_at = 0.0  # the limit allows another one

    def _abort_all(self) -> None:
        """Close all connections. If a connection blocks its thread, only shut its socket down."""
        for connection in list(self._connections.values()):
            if connection in self._leaders.detached and connection.state is not State.SUSPENDED:
                connection.state = State.CLOSED
                connection.shut_down()
                continue
            if connection.state is State.SUSPENDED:
                self._leaders.detached.remove(connection)
                self._poller.register(connection.descriptor, READABLE)
            connection.cut()
            self._remove(connection)
        self._ready.clear()

    def _run_timers(self, tick: Tick) -> None:
        """Run the timers that have expired: the grace period, the pause of accepting, the deadlines of connections."""
        now = tick.monotonic
        if now >= self._grace_deadline:
            self._end_grace()
        if now >= self._accept_again_at:
            self._resume_accepting(tick)
        if now < self._next_sweep:
            return
        connections = self._connections.values()
        overdue = [each for each in connections if now >= each.deadline and not each.has_input_after_suspend(now)]
        fairness = Fairness()
        for connection in fairness.select(iter(overdue)):
            self._resume(connection, tick, TimeoutError())
        earliest = min((connection.deadline for connection in connections), default=_NEVER)
        self._next_sweep = now if fairness.postponed else max(earliest, now + _SWEEP_SECONDS)  # those are overdue still

    def _end_grace(self) -> None:
        """Abort all connections. Report how many responses were cut off."""
        count = sum(connection.state not in (*IDLE_STATES, State.CLOSED) for connection in self._connections.values())
        self._abort_all()
        self._grace_deadline = _NEVER
        if count:
            self._report_safely(f"grace period over: {count} response{'s' if count > 1 else ''} cut off")

    def _resume_accepting(self, tick: Tick) -> None:
        """Start to accept again after a pause. If the connection limit is still reached, pause again."""
        if not self._can_accept(tick):
            self._pause_accepting(tick, None)
            return
        self._start_accepting()
        first, *others = self._listeners.items()
        self._listeners = dict([*others, first])  # at the connection limit, each time another listener comes first
        for listener in self._listeners.values():
            self._accept(listener, tick, _ACCEPTS_FROM_BACKLOG)

    def _start_accepting(self) -> None:
        """Let the poller watch the listening sockets."""
        self._is_accepting = True
        self._accept_again_at = _NEVER
        for descriptor in self._listeners:
            self._poller.register(descriptor, READABLE)

    def _stop_accepting(self) -> None:
        """Stop polling the listening sockets."""
        if self._is_accepting:
            for descriptor in self._listeners:
                self._poller.unregister(descriptor)
        self._is_accepting = False

    def _on_wakeup(self, tick: Tick) -> None:
        """Do the work for which another thread has woken the loop."""
        with contextlib.suppress(BlockingIOError):
            self._wakeup_reader.recv(64)
        for connection, wait in self._leaders.reattach():
            self._reschedule(connection, wait)
            connection.deadline += tick.monotonic - connection.tick.monotonic  # extend it by the time lost
        if self._waits_for_log and self._log and self._exchanges:
            self._write_log(self._log)
        while self._waits_for_log:
            self._waits_for_log.pop().set()
        if self._settings.phase is Phase.SERVING:
            return
        for connection in list(self._connections.values()):  # first close idle ones, to make room for others
            if connection.state in IDLE_STATES:
                self._resume(connection, tick)
        if self._settings.phase is Phase.STOPPING:  # closing a listener resets the connections in its accept queue
            for listener in self._listeners.values():
                self._accept(listener, tick, _ACCEPTS_FROM_BACKLOG)
        self._stop_accepting()
        self._accept_again_at = _NEVER
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
