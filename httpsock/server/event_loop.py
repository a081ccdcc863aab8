"""The worker: a poller, its connections and their deadlines, turn by turn.

Takes listening sockets of its own (duplicates, so that it alone closes each descriptor), accepts from them and resumes
each conversation when what it waits for is there, or its deadline is. Knows nothing of HTTP. One thread at a time takes
its turns; where a conversation keeps that one for long, another of the crew goes on with all others.

    poll → accept, receive, receive, ... → end what is overdue → answer, answer, ... → write the log → poll
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from httpsock.files.document_root import Tick

from .access_log import Exchange
from .connection import Connection, Wait
from .connection_limit import ConnectionLimit, evictable
from .fairness import Fairness, least_recently_resumed
from .leader import LeaderThreads, Superseded
from .poller import ACCEPTABLE, READABLE, open_poller
from .settings import Settings

Log = Callable[[Sequence[Exchange]], object]
Connect = Callable[[socket.socket, str, Settings, Callable[[Exchange], object] | None, Tick], Connection]
Report = Callable[[str], object]

# What accept() says when it is we who are wrong, and no time mends it.
_FATAL_ACCEPT_ERRNOS = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
# While there is no room, the listening sockets are left alone for this long, not asked over and over; or until one of
# our connections ends. No more often than this it is reported.
_ACCEPT_PAUSE_SECONDS = 0.1
_REPORT_SECONDS = 1.0
# How many are accepted before those that are accepted already get their turn.
_ACCEPTS_PER_TURN = 64
# How many are resumed before the clock is read again.
_UNCHECKED = 15
# And when they have waited already.
_ACCEPTS_IN_ONE_GO = 1024
# Deadlines are looked at no more often than this, so that many connections cost little.
_SWEEP_SECONDS = 0.05
_NEVER = float("inf")
# A conversation that has ended waits for nothing.
_ENDED = (0, _NEVER)
# No poll lasts longer, since the system takes no number of any size.
_LONGEST_POLL_SECONDS = 86_400.0


class EventLoop:
    """Serves connections in the threads that call ``run``, until ``stop`` is called from any other."""

    def __init__(self, listeners: Sequence[socket.socket], settings: Settings, log: Log | None, report: Report) -> None:
        self._settings = settings
        self._log = log
        self._report = report
        self._listeners = {listener.fileno(): listener for listener in (listener.dup() for listener in listeners)}
        # What makes a connection: a worker that is traced has another.
        self._connect: Connect = Connection
        self._connections: dict[int, Connection] = {}
        # Those that have received a request and are to answer it; and those that do so in this turn.
        self._ready: list[Connection] = []
        self._answering: Iterator[Connection] = iter(())
        self._fair_receiving, self._fair_answering = Fairness(), Fairness()
        self._exchanges: list[Exchange] = []
        self._waits_for_log: list[threading.Event] = []
        self._poller = open_poller()
        self._leaders: LeaderThreads[Connection] = LeaderThreads()
        self._current = self._leaders.current
        # Those that have kept a thread for so long that another has gone on, and what came of them when they let it go.
        self._detached: set[Connection] = set()
        self._finished_detached: list[tuple[Connection, Wait]] = []
        # A byte through this pair of sockets ends a poll early.
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._wakeup_reader.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._next_sweep = _NEVER
        # Whether the listening sockets are polled; if not, when they will be again.
        self._is_accepting = False
        self._accept_again_at = _NEVER
        self._next_report = 0.0
        self._grace_deadline = _NEVER
        self._limit = ConnectionLimit(self._wakeup_writer.fileno())
        # When no connection could be given up, in case that it is asked again in the same turn.
        self._no_idle_at = _NEVER

    def run(self) -> None:
        """Serve until stopped, and until what was being sent then is sent; or stand by while another thread does."""
        self._leaders.run(self._work)

    def _work(self, stalled: list[Connection]) -> None:
        """Take turns until there is nothing left to do. Raises Relieved if another thread has gone on with them."""
        try:
            if stalled:
                self._detach(stalled.pop())
            else:
                self._poller.register(self._wakeup_reader.fileno(), READABLE)
                self._start_accepting()
                # It may have been asked to stop before it began.
                self._on_wakeup(self._tick())
            while self._listeners or self._connections:
                self._run_once()
        except BaseException as error:
            if not isinstance(error, Superseded):
                self.close()
            raise
        self.close()

    def close(self) -> None:
        """Close all that is open."""
        self._leaders.end()
        self._abort_all()
        for listener in self._listeners.values():
            listener.close()
        self._poller.close()
        self._wakeup_reader.close()
        self._wakeup_writer.close()

    def stop(self, grace_seconds: float) -> None:
        """Wake the worker, which sees that the service is stopping, and cuts off after *grace_seconds* what is left.

        May be called from a signal handler: it writes one attribute and one octet, and waits for nothing.
        """
        # Asked again, it takes no longer.
        self._grace_deadline = min(self._grace_deadline, time.monotonic() + grace_seconds)
        # It may have been asked before and not have looked yet, or have returned already.
        with contextlib.suppress(OSError):
            self._wakeup_writer.send(b"\0")

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads now, as a slow disk does, each with its client."""
        return [connection.describe() for connection in [*self._detached, *self._current]]

    def _run_once(self) -> None:
        """Wait until something is ready, or due, and see to it: first all receive, then all answer."""
        leaders = self._leaders
        leaders.tick_began = None
        due = min(self._next_sweep, self._accept_again_at, self._grace_deadline)
        seconds = 0.0 if self._ready else due - time.monotonic()
        ready = self._poller.poll(_LONGEST_POLL_SECONDS if seconds > _LONGEST_POLL_SECONDS else max(0.0, seconds))
        tick = self._tick()
        leaders.begin_tick(tick.monotonic)
        self._receive(ready, tick)
        if tick.monotonic >= due:
            self._run_timers(tick)
        if self._ready:
            self._answering, self._ready = iter(self._ready), []
            tick = self._tick()
            try:
                self._resume_each(self._answering, self._fair_answering, tick)
            finally:
                tick.end()
            if self._fair_answering.postponed:
                self._ready[:0] = self._fair_answering.take_postponed()
        if self._log and self._exchanges:
            self._write_log(self._log)

    def _receive(self, ready: Sequence[tuple[int, int]], tick: Tick) -> None:
        """Resume the connections that are *ready*, then accept new ones, and see whether to stop."""
        get = self._connections.get
        # A connection that is to be answered has its turn later, whatever else has arrived.
        arrived = [connection for descriptor, _ in ready if (connection := get(descriptor)) and connection.awaited]
        others = [descriptor for descriptor, _ in ready if not get(descriptor)] if len(arrived) < len(ready) else ()
        if self._fair_receiving.postponed:
            # The poller reports them again; those that have waited longest come first.
            self._fair_receiving.take_postponed()
            arrived.sort(key=least_recently_resumed)
        self._resume_each(iter(arrived), self._fair_receiving, tick)
        for descriptor in others:
            if descriptor in self._listeners:
                self._accept(self._listeners[descriptor], tick, _ACCEPTS_PER_TURN)
            else:
                self._on_wakeup(tick)

    def _resume_each(self, connections: Iterator[Connection], fairness: Fairness, tick: Tick) -> None:
        """Resume *connections* in order; once that takes long, as far as the share of each one's network goes."""
        if tick.monotonic >= fairness.measures_until:
            for connection in connections:
                self._resume(connection, tick)
                for next_connection in islice(connections, _UNCHECKED):
                    self._resume(next_connection, tick)
                if fairness.has_become_long(tick.monotonic):
                    break
            else:
                return
        for connection in fairness.select(connections):
            self._resume(connection, tick)

    def _tick(self) -> Tick:
        return Tick(self._settings.root, time.time(), time.monotonic())

    def when_logged(self) -> threading.Event:
        """Return an event that is set once all exchanges which have ended by now have been passed to the log."""
        is_logged = threading.Event()
        self._waits_for_log.append(is_logged)
        with contextlib.suppress(OSError):
            self._wakeup_writer.send(b"\0")
        return is_logged

    def _write_log(self, log: Log) -> None:
        """Tell the log of the exchanges since the last time, all at once; its faults are not the clients'."""
        batch = tuple(self._exchanges)
        # Who is set aside may just have added another one.
        del self._exchanges[: len(batch)]
        try:
            log(batch)
        except Exception:
            self._report_safely(_fault())

    def _report_safely(self, text: str) -> None:
        """Report *text*; whoever takes reports may be at fault, too."""
        with contextlib.suppress(Exception):
            self._report(text)

    def _accept(self, listener: socket.socket, tick: Tick, most: int) -> None:
        """Accept who is waiting, but no more than *most*, and start their conversations."""
        for number in range(most):
            if not self._can_accept(tick):
                # Only of the first one is it known that somebody waits.
                if number == 0:
                    self._pause_accepting(tick, f"{self._limit.maximum} connections are as many as there is room for")
                return
            try:
                connected, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _FATAL_ACCEPT_ERRNOS:
                    raise
                # Out of descriptors or memory, or the network is down: less of the idle mends it, or a little time.
                if not self._evict_idle(tick):
                    self._pause_accepting(tick, error.strerror)
                    return
            else:
                # On macOS there is no address when the connection was reset before.
                self._admit(connected, address[0] if address else "unknown", tick)

    def _admit(self, connected: socket.socket, client: str, tick: Tick) -> None:
        """Start a conversation, or close the connection where its address alone has taken all the room."""
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

    def _pause_accepting(self, tick: Tick, reason: str | None) -> None:
        """Leave the listening sockets alone for a while; who wants to connect waits in the system's queue."""
        now = tick.monotonic
        self._stop_accepting()
        self._accept_again_at = now + _ACCEPT_PAUSE_SECONDS
        if reason and now >= self._next_report:
            self._next_report = now + _REPORT_SECONDS
            self._report_safely(f"cannot accept for now: {reason}")

    def _can_accept(self, tick: Tick) -> bool:
        """Return whether to accept: idle connections make room, and others need not wait for who has too many."""
        return not self._limit.is_full or self._evict_idle(tick) or self._limit.has_client_over_share()

    def _evict_idle(self, tick: Tick) -> bool:
        """Give up some of the connections that have been idle longest; return whether there were any.

        They are looked for when they are needed, so that it costs nobody anything before.
        """
        now = tick.monotonic
        if now == self._no_idle_at:
            return False
        given_up = evictable((each for each in self._connections.values() if each.awaited), now)
        for connection in given_up:
            self._resume(connection, tick, TimeoutError())
        if not given_up:
            self._no_idle_at = now
        return bool(given_up)

    def _resume(self, connection: Connection, tick: Tick, thrown: Exception | None = None) -> None:
        """Let a conversation go on, until it waits again; *thrown* is the exception that it is to meet with."""
        connection.tick = tick
        coroutine = connection.coroutine
        self._current.append(connection)
        try:
            wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            wait = _ENDED
        except Exception:
            # Whatever the peer or a file did is dealt with below; this is a fault of our own. It ends one connection.
            self._report_safely(_fault())
            wait = _ENDED
        try:
            self._current.remove(connection)
        except ValueError:
            # Another thread has gone on with the turns, and sees to this one too.
            self._finished_detached.append((connection, wait))
            with contextlib.suppress(OSError):
                self._wakeup_writer.send(b"\0")
            raise Superseded from None
        self._reschedule(connection, wait)

    def _reschedule(self, connection: Connection, wait: Wait) -> None:
        """See to it that a conversation is resumed when what it waits for is there."""
        if wait is None:
            connection.awaited = 0
            connection.deadline = _NEVER
            self._ready.append(connection)
            return
        if wait is _ENDED:
            self._remove(connection)
            return
        awaited, deadline = wait
        connection.awaited = awaited
        connection.deadline = deadline
        if awaited != connection.polled:
            connection.polled = awaited
            self._poller.modify(connection.descriptor, awaited)
        if deadline < self._next_sweep:  # noqa: PLR1730 (min() would cost 0.1 µs, and change it hardly ever)
            self._next_sweep = deadline

    def _detach(self, connection: Connection) -> None:
        """Go on with the turns where another thread was kept by *connection*, and with what it had not come to."""
        connection.awaited = 0
        connection.deadline = _NEVER
        self._poller.unregister(connection.descriptor)
        self._detached.add(connection)
        self._ready = [*self._fair_answering.take_postponed(), *self._answering, *self._ready]
        # Of who was answered before it; nothing else may happen for long.
        if self._log and self._exchanges:
            self._write_log(self._log)

    def _reattach(self, tick: Tick) -> None:
        """Go on with the conversations that have let their threads go; their clients have as long as if it were now."""
        while self._finished_detached:
            connection, wait = self._finished_detached.pop()
            self._detached.discard(connection)
            connection.polled = READABLE
            self._poller.register(connection.descriptor, READABLE)
            self._reschedule(connection, wait)
            connection.deadline += tick.monotonic - connection.tick.monotonic

    def _remove(self, connection: Connection) -> None:
        """Drop a connection whose conversation has ended."""
        # epoll forgets a closed socket by itself, but not where a forked process has it open, too.
        self._poller.unregister(connection.descriptor)
        del self._connections[connection.descriptor]
        self._limit.remove(connection.client)
        # After this its number may be another one's, in another thread.
        connection.close()
        if not self._is_accepting:
            self._accept_again_at = 0.0  # there is room for another one

    def _abort_all(self) -> None:
        """Cut all conversations short where they wait, or, if set aside, where they find their sockets shut down."""
        for connection in list(self._connections.values()):
            if connection in self._detached:
                connection.shut_down()
            else:
                connection.coroutine.close()
                self._remove(connection)
        self._ready.clear()

    def _run_timers(self, tick: Tick) -> None:
        """See to what is due: the end of the grace, of a rest, and deadlines of connections."""
        now = tick.monotonic
        if now >= self._grace_deadline:
            self._end_grace()
        if now >= self._accept_again_at:
            self._resume_accepting(tick)
        if now < self._next_sweep:
            return
        overdue = [
            each
            for each in self._connections.values()
            if now >= each.deadline and not each.has_input_after_suspend(now)
        ]
        fairness = Fairness()
        for connection in fairness.select(iter(overdue)):
            self._resume(connection, tick, TimeoutError())
        earliest = min((connection.deadline for connection in self._connections.values()), default=_NEVER)
        # The postponed ones are still overdue.
        self._next_sweep = now if fairness.postponed else max(earliest, now + _SWEEP_SECONDS)

    def _end_grace(self) -> None:
        """Cut off what is left, and say how much that is."""
        count = sum(not connection.is_idle for connection in self._connections.values())
        self._abort_all()
        self._grace_deadline = _NEVER
        if count:
            self._report_safely(f"cut off when the time to stop was over: {count}")

    def _resume_accepting(self, tick: Tick) -> None:
        """Accept who has come while the listening sockets were left alone, if there is room by now."""
        if not self._can_accept(tick):
            self._pause_accepting(tick, None)
            return
        self._start_accepting()
        for listener in self._listeners.values():
            if self._is_accepting:
                self._accept(listener, tick, _ACCEPTS_IN_ONE_GO)

    def _start_accepting(self) -> None:
        """Be told when somebody waits to be accepted."""
        self._is_accepting = True
        self._accept_again_at = _NEVER
        for descriptor in self._listeners:
            self._poller.register(descriptor, ACCEPTABLE)

    def _stop_accepting(self) -> None:
        """Be told no longer, if we are."""
        if self._is_accepting:
            for descriptor in self._listeners:
                self._poller.unregister(descriptor)
        self._is_accepting = False

    def _on_wakeup(self, tick: Tick) -> None:
        """Begin to stop, if that is why we were awakened: accept no more, and let the idle see that they may go."""
        with contextlib.suppress(BlockingIOError):
            self._wakeup_reader.recv(64)
        self._reattach(tick)
        if self._waits_for_log and self._log and self._exchanges:
            self._write_log(self._log)
        while self._waits_for_log:
            self._waits_for_log.pop().set()
        if not self._settings.is_stopping:
            return
        if not self._settings.is_draining:
            # Who is in the system's queue by now would be reset with the listening socket, having asked or not.
            for listener in self._listeners.values():
                self._accept(listener, tick, _ACCEPTS_IN_ONE_GO)
        self._stop_accepting()
        self._accept_again_at = _NEVER
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for connection in list(self._connections.values()):
            if connection.is_idle and connection.awaited:
                self._resume(connection, tick)


def _fault() -> str:
    """Return the traceback of the exception that is being handled."""
    # Imported when there is a fault, which there should never be: it takes 3 ms of start-up.
    import traceback

    return traceback.format_exc()
