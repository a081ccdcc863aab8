"""In a thread: call a function that blocks, while the event loop serves the other connections.

Takes a function, gives steps that end with its result. Loaded only by programs with such handlers.

    def report(request, context):
        rows = yield from in_thread(context, database.query, "...")
        return Response(200, (("Content-Type", "text/plain"),), b"%d" % len(rows))

RFC 9110 §3.3 (a connection handles its requests one after the other).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ParamSpec, TypeVar

from httpsock.http.handler import Context, Steps

_MAX_THREADS = 32

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_thread(
    context: Context, function: Callable[Arguments, Result], *arguments: Arguments.args, **keywords: Arguments.kwargs
) -> Steps[Result]:
    """Call *function* in a thread; return its result, or raise its exception.

    At most 32 calls of a process run at a time; more of them wait. A call that has begun can't be stopped: it goes on
    when the client is gone, and Python waits for it before the process ends.
    """
    future = _pool().submit(function, *arguments, **keywords)
    try:
        yield from context.suspend(lambda resume: future.add_done_callback(lambda _: resume()))
    finally:
        future.cancel()
    return future.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS, "httpsock-handler")
