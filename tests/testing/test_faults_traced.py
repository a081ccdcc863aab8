"""Faults in a trace and in the inspector: each shows exactly the octets that were sent."""

import json
import socket
import sys

import pytest

from httpsock import TestServer
from httpsock.observe.traced import Instrumentation
from httpsock.server.listeners import listen_on
from tests.support import exchange, get
from tests.support.folder import HELLO
from tests.support.inspect import Watching
from tests.support.program import Start
from tests.support.trace import CollectedTrace


def traced_answer(octets: bytes | None = None, rule: str = "", method: str = "GET") -> tuple[bytes, CollectedTrace]:
    """Send a request to a traced server with the fault *rule*. Return the received octets and the trace."""
    trace = CollectedTrace(is_client=False)
    with TestServer(tracing=Instrumentation(trace)) as server:
        server.respond("/x", 200, {"X-A": "1"}, b"0123456789")
        if octets is not None:
            server.send_octets(octets, path="/x")
        if rule:
            server.fault(rule)
        received = exchange(server.port, get("/x", method=method))
    return received, trace


def sent_according_to(trace: CollectedTrace) -> int:
    """Return how many octets *trace* shows as sent."""
    return sum(event.attributes["octets"] for event in trace.events if event.name == "send")


def test_a_trace_shows_a_broken_response_as_it_was_sent() -> None:
    received, trace = traced_answer(rule="truncate=0.5")

    assert received.endswith(b"\r\nX-A: 1\r\nContent-Length: 10\r\n\r\n01234")
    assert sent_according_to(trace) == len(received)
    text = trace.text[trace.text.index("  break 200 OK") :]
    assert [line.partition("TIME  ")[2] or line.strip() for line in text.splitlines()][:9] == [
        "  break 200 OK".strip(),
        "! fault truncate: ends the connection after a share of the content (RFC 9112 §8)",
        f"send {len(received) - 5}",
        "< HTTP/1.1 200 OK",
        "< Date: DATE",
        "< X-A: 1",
        "< Content-Length: 10",
        "<",
        "send 5",
    ]


@pytest.mark.parametrize("rule", ["drip=2000", "chunk-broken", "garbage", "length-long=3"])
def test_a_trace_shows_the_head_however_it_is_sent(rule: str) -> None:
    received, trace = traced_answer(rule=rule)

    assert sent_according_to(trace) == len(received)
    heads = b"".join(event.head for event in trace.events if event.name == "send")
    assert heads == received.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_trace_shows_exact_octets(method: str) -> None:
    octets = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\n\r\nabc"

    received, trace = traced_answer(octets, method=method)

    assert received == octets
    assert "break" not in trace.names
    (event,) = [event for event in trace.events if event.name == "send"]
    assert (event.attributes["octets"], event.head) == (len(octets), b"HTTP/1.1 103 Early Hints\r\n\r\n")


def test_a_response_to_nothing_is_no_breakage() -> None:
    _, trace = traced_answer()

    assert not {"break", "refuse"} & set(trace.names)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reopens a listening socket")
def test_a_trace_shows_that_an_inherited_port_closes_and_opens() -> None:
    """After a restart, the new process has inherited its listening sockets."""
    trace = CollectedTrace(is_client=False)
    listeners = listen_on(["127.0.0.1"], 0, socket.socket)
    with TestServer(listeners=listeners, tracing=Instrumentation(trace)) as server:
        server.fault("refuse")
        server.clear()

    assert trace.names == ["shutdown", "listen", "close"]


def test_the_command_traces_the_fault_in_json(serving: Start) -> None:
    program = serving("--trace=json", "--fault", "/hello.txt:truncate=0.5")
    received = exchange(program.port, get("/hello.txt"))

    _, _, error = program.stop()

    events = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
    (broken,) = [event for event in events if event["event"] == "break"]
    assert (broken["status"], broken["phrase"], broken["section"]) == (200, "OK", "RFC 9112 §8")
    assert broken["reason"].startswith("fault truncate: ends the connection")
    sent = [event for event in events if event["event"] == "send"]
    assert sum(event["octets"] for event in sent) == len(received)
    assert sum(event["content"] for event in sent) == len(HELLO) // 2
    assert sent[0]["head"][0] == "HTTP/1.1 200 OK"


def test_the_inspector_shows_faults_and_has_none(serving: Start) -> None:
    program = serving("--inspect", "--fault", "close")

    assert exchange(program.port, get("/hello.txt")) == b""
    assert program.ask("/.httpsock/").status == 200
    with Watching(program.port) as watching:
        (broken,) = [event for event in watching.events_until("break") if event["event"] == "break"]
    assert broken["reason"] == "fault close: ends the connection without a response"
    program.stop()
