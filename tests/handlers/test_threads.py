"""Threads for blocking calls: all client networks get a fair share of the threads."""

import os
import threading

import pytest

from httpsock import Steps, in_thread
from httpsock.handlers.in_thread import Threads, _renew_all
from httpsock.http.handler import Tick
from tests.handlers.gate import Gate
from tests.support import finish
from tests.support.context import FixedContext

ONE, OTHER = FixedContext(Tick(0.0, 0.0), "192.0.2.1"), FixedContext(Tick(0.0, 0.0), "192.0.2.2")


def begin(steps: Steps[object]) -> Steps[object]:
    """Run *steps* to their first pause."""
    next(steps)
    return steps


def test_a_call_returns_its_result() -> None:
    assert finish(in_thread(ONE, "{} {other}".format, 1, other=2)) == "1 2"
    assert finish(in_thread(ONE, threading.current_thread)) is not threading.current_thread()


def test_renewed_threads_call_functions() -> None:
    threads = Threads(1)
    before = finish(threads.call(ONE, threading.current_thread))
    _renew_all()

    assert finish(threads.call(ONE, threading.current_thread)) is not before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows can't fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """fork() does not copy the parent's idle thread. A call that waited for this thread would never return."""
    finish(in_thread(ONE, threading.current_thread))
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        try:
            os.write(writer, b"%d" % finish(in_thread(ONE, os.getpid)))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"%d" % pid
    os.waitpid(pid, 0)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_call_raises_its_exception(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("why")

    with pytest.raises(error, match=r"^why$"):
        finish(in_thread(ONE, fail))


def test_one_network_has_half_of_the_threads() -> None:
    threads, first, second = Threads(2), Gate(), Gate()
    running = [begin(threads.call(ONE, gate)) for gate in (first, second)]
    first.wait()
    assert finish(threads.call(OTHER, lambda: True)), "the other network's call needs none of its calls to end"
    assert not second.calls
    assert (threads.waiting("192.0.2.1"), threads.waiting("192.0.2.2")) == (1, 0)
    for gate in (first, second):
        gate.open()
    assert all(map(finish, running))
    assert second.calls, "the end of the first lets it begin"


def test_networks_take_turns() -> None:
    threads, gate, order = Threads(1), Gate(), list[str]()
    running = [begin(threads.call(ONE, gate))]
    gate.wait()

    def note(name: str) -> bool:
        order.append(name)
        return True

    running += [begin(threads.call(ONE, note, name)) for name in "abc"]
    running += [begin(threads.call(OTHER, note, "x"))]
    gate.open()
    assert all(map(finish, running))
    assert order == ["a", "x", "b", "c"]


def test_a_call_that_has_not_begun_is_cancelled_with_its_connection() -> None:
    threads, gate, cancelled = Threads(1), Gate(), Gate()
    running = begin(threads.call(ONE, gate))
    gate.wait()
    begin(threads.call(ONE, cancelled)).close()
    gate.open()
    assert finish(running)
    assert finish(threads.call(ONE, lambda: True)), "it came behind the cancelled one"
    assert not cancelled.calls
