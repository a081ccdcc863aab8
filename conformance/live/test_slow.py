"""Slow servers: a server that is never silent for long breaks no rule, however long its answers take."""

import socket
import threading
from pathlib import Path

import pytest

from conformance.semantics import run as semantics_run

from . import corpus_run, target
from .results import NO_TIME
from .site import BIG, DIGITS
from .target import Target
from .testing import Script, run_check, serving, url_of, wait
from .wire import exchange

_PAUSE_SECONDS = 0.03
_WHOLE = "A large last response arrives whole"
_CASE = "a-get-with-host-alone"
_CLOSING = b"Connection: close\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n" + _CLOSING


def pause() -> None:
    """Wait as long as a slow link needs for some octets."""
    threading.Event().wait(_PAUSE_SECONDS)


def send_slowly(connected: socket.socket, octets: bytes, *, parts: int) -> None:
    """Divide *octets* into this number of *parts*. Send each part after a pause."""
    length = -(-len(octets) // parts)
    for start in range(0, len(octets), length):
        pause()
        connected.sendall(octets[start : start + length])


def drip(connected: socket.socket) -> None:
    """Send the octet x, again and again, until the client closes."""
    while True:
        pause()
        connected.sendall(b"x")


def test_an_answer_that_comes_slowly_is_received_whole() -> None:
    """Each part ends a silence, so the whole answer may take longer than the limit of one silence."""
    with serving(lambda connected: send_slowly(connected, bytes(40), parts=40)) as address:
        transcript = exchange(address, [b""], silence_seconds=1.0, ends=False)
    assert transcript == (b"", bytes(40), "closed", False)


def test_a_request_that_the_server_receives_slowly_is_sent_whole() -> None:
    """The client's send buffer is small, so the client sends again soon after the server has received a little."""
    asked = bytes(1_000_000)

    def receive_slowly(connected: socket.socket) -> None:
        count = 0
        while count < len(asked):
            pause()
            count += len(connected.recv(32_768))
        connected.sendall(b"whole")

    with serving(receive_slowly) as address:
        transcript = exchange(address, [asked], silence_seconds=0.8, ends=False)
    assert transcript == (asked, b"whole", "closed", False)


def test_an_answer_without_an_end_costs_no_more_than_the_time_of_an_exchange() -> None:
    with serving(drip) as address:
        transcript = exchange(address, [b""], silence_seconds=60.0, max_seconds=0.2, ends=False)
    assert transcript.ended == "too slow"
    assert set(transcript.received) == {ord("x")}


def test_a_silence_that_the_time_of_an_exchange_cuts_short_is_no_time_out() -> None:
    is_over = threading.Event()
    with serving(lambda _: is_over.wait(10.0)) as address:
        assert exchange(address, [b""], silence_seconds=60.0, max_seconds=0.1, ends=False).ended == "too slow"
        is_over.set()


def answer(connected: socket.socket, *, parts: int = 1) -> None:
    """Answer one request. If it asks for the large file, send the file slowly in this number of *parts*."""
    asked = connected.recv(65536)
    if asked.startswith(b"GET /big.bin "):
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(BIG) + _CLOSING)
        send_slowly(connected, BIG, parts=parts)
    elif asked.startswith(b"GET /digits.txt "):
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n" + _CLOSING + DIGITS)
    else:
        connected.sendall(_NOT_FOUND)
    connected.shutdown(socket.SHUT_WR)
    wait(connected)


def test_a_server_that_sends_a_large_file_slowly_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_run, "_MIN_SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(corpus_run, "_MAX_SILENCE_SECONDS", 0.5)
    with serving(lambda connected: answer(connected, parts=40)) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", _WHOLE)
    assert (code, results[_WHOLE]["outcome"], results[_WHOLE]["why"]) == (0, "passed", "")


def test_a_large_file_that_is_under_way_when_the_time_is_over_breaks_no_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check has no verdict. A message and the exit code 1 say that the server is too slow."""
    monkeypatch.setattr(semantics_run, "_CHECK_SECONDS", 0.5)
    with serving(lambda connected: answer(connected, parts=1000)) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", "RFC 9112 §9.6")
    assert code == 1
    assert (results[_WHOLE]["outcome"], results[_WHOLE]["why"]) == ("skipped", NO_TIME)
    says = "conformance: cases and checks without a verdict, since the server is too slow: 1\n"
    assert says in capsys.readouterr().err


def _answer_cases_with(octets: bytes) -> Script:
    """Return a script that answers plain requests. The answer to a case is *octets*, then the octet x without end."""

    def script(connected: socket.socket) -> None:
        asked = connected.recv(65536)
        if asked.startswith((b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: ", b"GET /sentinel")):
            connected.sendall(_NOT_FOUND)
            return
        connected.sendall(octets)
        drip(connected)

    return script


@pytest.mark.parametrize(
    ("octets", "outcome", "why"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nA: ", "failed", "no answer, and the connection stays open", id="a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", "skipped", NO_TIME, id="content"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "failed", "is not the start of a response", id="no response"),
    ],
)
def test_only_content_may_be_under_way_when_the_time_of_a_case_is_over(
    octets: bytes, outcome: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If endless octets are no content, the case fails."""
    monkeypatch.setattr(corpus_run, "_CASE_SECONDS", 0.3)
    with serving(_answer_cases_with(octets)) as address:
        (result,) = [found for found in corpus_run.check_corpus(Target(address), _CASE) if found.name == _CASE]
    assert result.outcome.value == outcome
    assert why in result.why


def test_a_case_that_passes_slowly_extends_the_deadline_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that takes no longer than usual does not extend the deadline."""
    monkeypatch.setattr(target, "_SLOW_LINK_SECONDS", 10.0)
    slow = Target(("127.0.0.1", 1))
    slow.deadline = 100.0
    deadlines = []
    for seconds in (0.5, 2.0, 6.0, 9.0, 9.0):
        slow.excuse(seconds)
        deadlines.append(slow.deadline)
    assert deadlines == [100.0, 100.0, 104.0, 110.0, 110.0]


def test_a_plain_request_may_be_answered_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first case, the check sends one plain request, then two pipelined requests."""
    monkeypatch.setattr(corpus_run, "_FIRST_SECONDS", 0.5)
    monkeypatch.setattr(corpus_run, "_NEXT_SECONDS", 0.5)
    content = bytes(400)
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + content

    def script(connected: socket.socket) -> None:
        while asked := connected.recv(65536):
            send_slowly(connected, response * asked.count(b"\r\n\r\n"), parts=20)
            if b"Connection: close" in asked:
                return

    with serving(script) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", _CASE)
    assert (code, results[_CASE]["outcome"], results[_CASE]["why"]) == (0, "passed", "")


def test_a_server_that_is_slow_alone_may_be_slower_while_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This server handles one connection at a time, so the plain request of ``is_there`` has to wait."""
    monkeypatch.setattr(target, "_ANSWER_SECONDS", 0.1)
    busy = threading.Lock()

    def answer_in_turn(connected: socket.socket) -> None:
        with busy:
            connected.recv(65536)
            connected.sendall(_NOT_FOUND)

    with serving(answer_in_turn) as address:
        slow, quick = Target(address), Target(address)
        slow.plain_seconds = 1.0
        with busy:
            assert not quick.is_there()
        busy.acquire()
        end = threading.Timer(0.5, busy.release)
        end.start()
        assert slow.is_there()
        end.join()
