"""In a thread: call a function that blocks, while the event loop serves the other connections.

Takes a function, gives steps that end with its result. Loaded only by programs that use it.

    def report(request, context):
        rows = yield from in_thread(context, database.query, "...")
        return Response(200, (("Content-Type", "text/plain"),), b"%d" % len(rows))

RFC 9110 §3.3 (a connection handles its requests one after the other).
"""

import os
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from httpsock.http.handler import Context, Steps

_MAX_THREADS = 64

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_thread(
    context: Context, function: Callable[Arguments, Result], *arguments: Arguments.args, **keywords: Arguments.kwargs
) -> Steps[Result]:
    """Call *function* in a thread. Return its result, or raise its exception.

    A handler writes ``result = yield from in_thread(context, function)``. At most 64 calls run at a time in a process,
    and at most 32 for one network. Further calls wait, and networks take turns. A running call can't be stopped. If the
    client disconnects, the call continues. Python waits for running calls before the process exits.
    """
    return _threads().call(context, function, *arguments, **keywords)


class Threads:
    """Runs at most *maximum* calls at a time. One network may use half of the threads.

    If several networks have waiting calls, the networks take turns.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._max_of_network = max(1, maximum // 2)
        self.renew()
        # In a forked child, they are renewed.
        _all.add(self)

    def renew(self) -> None:
        """Discard all calls, and make a new thread pool. A forked child lacks the threads of its parent."""
        self._pool = ThreadPoolExecutor(self._maximum, "httpsock-handler")
        self._lock = Lock()
        # The waiting calls of each network; the turn is the first network's.
        self._waiting: dict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = {}
        self._running: Counter[str] = Counter()

    def waiting(self, network: str) -> int:
        """Return how many calls of *network* wait for a thread."""
        return len(self._waiting.get(network, ()))

    def call(
        self,
        context: Context,
        function: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **keywords: Arguments.kwargs,
    ) -> Steps[Result]:
        """Call *function* in a thread. Return its result, or raise its exception."""
        future: Future[Result] = Future()
        try:
            with self._lock:
                calls = self._waiting.setdefault(context.network, deque())
                calls.append((future, partial(function, *arguments, **keywords)))
            self._pool.submit(self._run_calls)
            yield from context.suspend(lambda resume: future.add_done_callback(lambda _: resume()))
        finally:
            future.cancel()
        return future.result()

    def _run_calls(self) -> None:
        """Run waiting calls in this thread, one after the other, until no waiting call may run.

        The thread pool runs this function once for each use of ``call``. If a network already uses half of the threads,
        its other calls wait. A thread that finishes a call of the network then runs the network's next call.
        """
        while begun := self._begin():
            network, future, call = begun
            _finish(future, call)
            with self._lock:
                self._running -= Counter((network,))

    def _begin(self) -> tuple[str, Future[Any], Callable[[], Any]] | None:
        """Remove the next waiting call that may run. Return its network, its future and its function.

        If no waiting call may run, return None.
        """
        with self._lock:
            waiting = (network for network in self._waiting if self._running[network] < self._max_of_network)
            network = next(waiting, None)
            if network is None:
                return None
            calls = self._waiting.pop(network)
            future, call = calls.popleft()
            if calls:
                # The calls of the other networks come first.
                self._waiting[network] = calls
            self._running[network] += 1
            return network, future, call


def _finish(future: Future[Any], call: Callable[[], Any]) -> None:
    """Run *call*, and store its result in *future*. If *future* has been cancelled, do nothing."""
    if future.set_running_or_notify_cancel():
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)


_all: WeakSet[Threads] = WeakSet()


def _renew_all() -> None:
    """Make new thread pools. This function runs in a forked child."""
    for threads in list(_all):
        threads.renew()


if hasattr(os, "register_at_fork"):  # pragma: no branch (Windows can't fork)
    os.register_at_fork(after_in_child=_renew_all)


@cache
def _threads() -> Threads:
    return Threads(_MAX_THREADS)
