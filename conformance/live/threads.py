"""Call a function with many items, a few at a time, in threads that an interrupt leaves behind.

A thread pool of concurrent.futures is not used, since the program would wait for its threads even after Ctrl-C. A
hostile server can block a thread for long, so Ctrl-C would seem to do nothing.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def call_in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item], *, max_threads: int) -> list[_Result]:
    """Call *function* with each of *items*, in up to *max_threads* threads. Return the results in order.

    After an error, begin no further call, and raise the error. An interrupt does not wait for calls in progress.
    """
    waiting = deque(enumerate(items))
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []

    def work() -> None:
        while waiting and not errors:
            try:
                index, item = waiting.popleft()
            except IndexError:
                return  # Another thread has taken the last item.
            try:
                results[index] = function(item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(max_threads, len(waiting)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        waiting.clear()
    if errors:
        raise errors[0]
    return [results[index] for index in sorted(results)]
