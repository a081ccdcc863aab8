"""Faults on demand: the octets that a client receives with each fault, and which responses get the fault."""

import contextlib
import re
import threading
from collections.abc import Iterator

import pytest

from httpsock import Server, TestServer
from httpsock.__main__ import main
from httpsock.http.handler import Context
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.testing.broken import Faults
from httpsock.testing.faults import FAULTS, Rule, parse_rule
from tests.support import connect, exchange, get, receive_all, receive_answer, receive_head
from tests.support.folder import HELLO
from tests.support.program import Start, run_python

RESET = "and a reset"
CONTENT = b"0123456789"


def received(server: TestServer, rule: str, method: str = "GET") -> tuple[bytes, str]:
    """Send a request to *server* with the fault *rule*. Return the received octets, and RESET if a reset followed."""
    server.respond("/x", 200, {"X-A": "1"}, CONTENT)
    server.fault(rule)
    octets, end = b"", ""
    with connect(server.port) as client:
        client.sendall(get("/x", "Connection: close", method=method))
        try:
            while part := client.recv(65536):
                octets += part
        except ConnectionResetError:
            end = RESET
    return re.sub(rb"Date: [^\r]+\r\n", b"", octets), end


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-A: 1\r\n"
SIZED = HEAD + b"Content-Length: 10\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"


@pytest.mark.parametrize(
    ("rule", "octets", "end"),
    [
        ("close", b"", ""),
        ("reset", b"", RESET),
        ("truncate=0.25", SIZED + b"01", ""),
        ("truncate=0", SIZED, ""),
        ("latency=0", SIZED + CONTENT, ""),
        ("drip=5000/s", SIZED + CONTENT, ""),
        ("length-long=3", HEAD + b"Content-Length: 13\r\n\r\n" + CONTENT, ""),
        ("length-short", HEAD + b"Content-Length: 9\r\n\r\n" + CONTENT, ""),
        ("length-short=11", HEAD + b"Content-Length: 0\r\n\r\n" + CONTENT, ""),
        ("chunk-broken", CHUNKED + b"xyz\r\n", ""),
        ("chunk-last-missing", CHUNKED, ""),
        ("garbage", SIZED + CONTENT + b"\0\xffgarbage\r\n\r\n", ""),
        ("encoding", HEAD + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n" + CONTENT, ""),
        ("half-close", SIZED + CONTENT, ""),
    ],
)
def test_a_fault_sends_exactly_these_octets(server: TestServer, rule: str, octets: bytes, end: str) -> None:
    assert received(server, rule) == (octets, end)


@pytest.mark.parametrize(("rule", "end"), [("connect-close", "an end"), ("connect-reset", "a reset")])
def test_a_connection_may_end_before_its_request_is_read(server: TestServer, rule: str, end: str) -> None:
    server.fault(rule, times=1)
    server.fault("/x:truncate=0")

    # The reset may arrive while the client is still connecting.
    try:
        with connect(server.port) as client:
            found = "an end" if client.recv(1) == b"" else "a response"
    except ConnectionResetError:
        found = "a reset"

    assert (found, server.requests) == (end, [])
    assert exchange(server.port, get("/y")).startswith(b"HTTP/1.1 404 ")


def test_a_reset_may_come_within_the_head_or_the_content(server: TestServer) -> None:
    octets, end = received(server, "reset-head")
    assert (SIZED.startswith(octets.partition(b"Date")[0]), end) == (True, RESET)
    server.clear()

    octets, end = received(server, "reset-content=0.3")
    # Octets before a reset may be lost.
    assert ((SIZED + b"012").startswith(octets), end) == (True, RESET)


def test_a_stalled_response_leaves_the_connection_open(server: TestServer) -> None:
    server.respond("/x", 200, {}, CONTENT)
    server.fault("stall=0.5")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        octets = b""
        while not octets.endswith(b"\r\n\r\n01234"):
            octets += client.recv(1)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)


@pytest.mark.parametrize(
    ("rule", "line"),
    [("endless-head", b"\r\nX-Endless: xxx"), ("endless-1xx", b"\r\n\r\nHTTP/1.1 103 Early Hints\r\n")],
)
def test_an_endless_response_ends_with_its_client(server: TestServer, rule: str, line: bytes) -> None:
    server.fault(rule)
    with connect(server.port) as client:
        client.sendall(get("/x"))
        octets = b""
        while octets.count(line) < 20:
            octets += client.recv(65536)

    assert server.wait_for(1)[0].target == "/x"


def test_a_response_that_the_end_of_the_test_cuts_off_is_not_reported(capfd: pytest.CaptureFixture[str]) -> None:
    with TestServer() as server, connect(server.port) as client:
        server.send_octets(b"x" * 20_000_000)
        client.sendall(get("/x"))
        client.recv(1)
        server.stop()

    assert capfd.readouterr().err == ""


def test_a_handler_that_fails_is_reported(server: TestServer, capfd: pytest.CaptureFixture[str]) -> None:
    def failing(request: Request, context: Context) -> Response:
        raise RuntimeError("this handler fails")

    server.answer("/x", failing)

    assert exchange(server.port, get("/x")).startswith(b"HTTP/1.1 500 ")
    assert "RuntimeError: this handler fails" in capfd.readouterr().err


def test_a_connection_stays_open_after_a_fault_that_keeps_the_framing(server: TestServer) -> None:
    server.respond("/x")
    server.fault("/x:encoding")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        assert b"Content-Encoding: gzip" in receive_head(client)
        client.sendall(get("/y"))
        assert receive_answer(client).status == 404


def test_a_half_closed_connection_is_not_announced(server: TestServer) -> None:
    server.respond("/x", content=b"x")
    server.fault("half-close")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        octets = receive_all(client)

    assert octets.endswith(b"\r\n\r\nx")
    assert b"Connection" not in octets


def test_empty_content_is_sent_without_a_chunk(server: TestServer) -> None:
    """An empty chunk would end the content."""
    server.respond("/x")
    server.fault("chunk-last-missing")

    assert exchange(server.port, get("/x")).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_the_response_to_head_has_no_content_to_break(server: TestServer) -> None:
    assert received(server, "truncate", "HEAD") == (HEAD + b"Content-Length: 0\r\n\r\n", "")


@pytest.mark.parametrize("target", ["/large.bin", "/large.bin?x"])
def test_a_file_that_is_broken_off_is_not_read_whole(server: TestServer, target: str) -> None:
    (server.folder / "large.bin").write_bytes(bytes(range(250)) * 12_000)
    server.fault("/large.bin:truncate=0.5")

    head, _, content = exchange(server.port, get(target)).partition(b"\r\n\r\n")

    assert b"\r\nContent-Length: 3000000" in head
    assert content == bytes(range(250)) * 6_000


def test_ranges_of_a_file_can_be_broken_off(server: TestServer) -> None:
    (server.folder / "large.bin").write_bytes(b"x" * 300_000)
    server.fault("truncate=0.5")

    head, _, content = exchange(server.port, get("/large.bin", "Range: bytes=0-9,200000-200009")).partition(b"\r\n\r\n")

    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    assert length
    assert len(content) == int(length[1]) // 2


def test_a_stream_is_collected_before_it_is_broken(server: TestServer) -> None:
    def streamed(request: Request, context: Context) -> Response:
        return Response(200, (), Stream(iter((b"01234", Sleep(0.001), b"56789"))))

    server.answer("/x", streamed)
    server.fault("chunk-last-missing")

    assert exchange(server.port, get("/x")).endswith(b"\r\n\r\na\r\n0123456789\r\n")


def test_a_stream_that_fails_is_answered_as_without_a_fault(
    server: TestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    has_ended = threading.Event()

    def failing() -> Iterator[bytes]:
        try:
            yield b"x"
            raise RuntimeError("this stream fails")
        finally:
            has_ended.set()

    server.answer("/x", lambda request, context: Response(200, (), Stream(failing())))
    server.fault("truncate")

    assert exchange(server.port, get("/x")).startswith(b"HTTP/1.1 500 ")
    assert has_ended.is_set()
    assert "RuntimeError: this stream fails" in capfd.readouterr().err


def test_an_endless_stream_is_collected_until_the_server_stops(server: TestServer) -> None:
    begun = threading.Event()

    def endless(request: Request, context: Context) -> Response:
        def chunks() -> Iterator[bytes]:
            while True:
                begun.set()
                yield b"x"

        return Response(200, (), Stream(chunks()))

    server.answer("/x", endless)
    server.fault("truncate")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        assert begun.wait(60)
        server.stop(grace_seconds=20)
        with contextlib.suppress(ConnectionError):
            receive_all(client)


def test_a_response_in_steps_and_one_of_exact_octets(server: TestServer) -> None:
    """The listing of a folder, sent in steps, is truncated. Octets from send_octets() are sent unchanged."""
    server.send_octets(b"HTTP/1.1 200 OK\r\n\r\n", path="/x")
    server.fault("truncate=0")

    assert exchange(server.port, get("/")).endswith(b"\r\n\r\n")
    assert exchange(server.port, get("/x")) == b"HTTP/1.1 200 OK\r\n\r\n"


def are_ended(server: TestServer, *targets: str) -> list[bool]:
    """Request each of *targets*. Return whether each connection ended without a response."""
    return [exchange(server.port, get(target)) == b"" for target in targets]


def test_a_fault_may_be_for_one_path_or_for_all_below_a_slash(server: TestServer) -> None:
    server.fault("/x:close")
    server.fault("/below/:close")

    assert are_ended(server, "/x", "/x?a=1", "/x/", "/xy", "/below/", "/below/a", "/below") == [
        *(True, True, False, False),
        *(True, True, False),
    ]


def test_a_fault_may_be_for_the_next_responses_only(server: TestServer) -> None:
    server.fault("close", times=2)

    assert are_ended(server, "/a", "/b", "/c") == [True, True, False]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("close", "truncate"),
        ("drip", "/x:truncate=0.5@0.1*1"),
        ("/a/:close", "/a/b:truncate"),
        ("/a/:close", "/a/:truncate"),
        ("/a:close", "/a:truncate"),
        ("connect-reset", "connect-close"),
    ],
)
def test_a_fault_that_would_never_apply_is_refused(server: TestServer, first: str, second: str) -> None:
    server.fault(first)
    names = [rule.partition("=")[0].rpartition(":")[2] for rule in (second, first)]
    with pytest.raises(
        ValueError, match="^the fault {} would never apply: {} is first, and always does$".format(*names)
    ):
        server.fault(second)

    server.clear()
    server.fault(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("close@0.5", "truncate"),
        ("close*1", "truncate"),
        ("/a/:close", "/b:truncate"),
        ("/a:close", "/a/b:truncate"),
        ("/a:close", "truncate"),
        ("connect-reset", "truncate"),
    ],
)
def test_a_fault_that_sometimes_applies_may_come_second(server: TestServer, first: str, second: str) -> None:
    server.fault(first)
    server.fault(second)


def test_the_first_fault_that_applies_counts(server: TestServer) -> None:
    server.fault("/x:close@0")
    server.fault("/x:close", times=1)
    server.fault("/x:truncate=0")
    server.respond("/x", content=b"x")

    assert exchange(server.port, get("/x")) == b""
    assert exchange(server.port, get("/x")).endswith(b"\r\n\r\n")


def test_the_same_seed_gives_the_same_random_choices() -> None:
    seen = []
    for seed in (1, 1, 2):
        with TestServer(seed=seed) as server:
            server.fault("close@0.5")
            seen.append(are_ended(server, *["/"] * 20))

    assert seen[0] == seen[1] != seen[2]
    assert {True, False} == set(seen[0])


def test_the_choices_of_a_rule_depend_on_nothing_but_the_seed_and_its_place() -> None:
    """After clear() or in a new process, a rule makes the same random choices. Two rules make different choices."""
    program = """
from httpsock.testing.broken import Faults
from httpsock.testing.faults import Stage, parse_rule

faults, seen = Faults(7), []
for others in (0, 3):
    faults.clear()
    faults.add(parse_rule("connect-close@0.5"))
    faults.add(parse_rule("close@0.5"))
    faults.add(parse_rule("refuse@0.5"))
    chosen = []
    for number in range(60):
        for _ in range(others):
            faults._choose(Stage.CONNECTION)
        chosen += [bool(faults._choose(Stage.RESPONSE, "/x")), faults._next_period().is_closed]
    seen.append("".join(".X"[each] for each in chosen))
print(*seen)
"""
    (first, again), (elsewhere, _) = (run_python(program).stdout.split() for _ in range(2))

    assert first == again == elsewhere
    assert {"X", "."} == set(first[::2]) == set(first[1::2])
    assert first[::2] != first[1::2]


@pytest.mark.parametrize("fault", ["refuse", "slow-accept"])
def test_a_fault_of_listening_sockets_needs_linux(
    fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")

    with pytest.raises(ValueError, match=f"the fault {fault} needs Linux"):
        Faults().add(parse_rule(fault))
    with pytest.raises(SystemExit):
        main(["--fault", fault])
    assert f"the fault {fault} needs Linux" in capsys.readouterr().err


def test_an_exempt_path_has_no_faults() -> None:
    faults = Faults(exempt="/own/")
    faults.add(parse_rule("close"))
    with Server(handler=lambda *_: Response(200, (), b"whole"), middleware=[faults.middleware], port=0) as server:
        assert exchange(server.port, get("/own/x")).endswith(b"\r\n\r\nwhole")
        assert exchange(server.port, get("/own")) == b""


def test_the_next_test_begins_without_faults(server: TestServer) -> None:
    server.fault("close")

    server.clear()

    assert are_ended(server, "/") == [False]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("x:close", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("drip=٣", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("burst", "there is no fault 'burst'; there are refuse, slow-accept, connect-close, connect-reset, close"),
        ("close=1", "the fault close takes no value"),
        ("truncate=1.5", "truncate=1.5 is out of range: the value is a share from 0 to 1"),
        ("drip=0", "drip=0 is out of range: the value is in bytes a second, from 1 to 1000000"),
        ("latency=1000001", "latency=1000001 is out of range: the value is in seconds, at most 1000000"),
        ("length-long=1000001", "the value is in bytes, at most 1000000"),
        ("/x:connect-close", "the fault connect-close is for connections: it takes no path"),
        ("close@1.5", "the probability in 'close@1.5' must be from 0 to 1"),
        ("close@2", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close@", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("=0.5", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("truncate=", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("truncate=1e-1", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("truncate=-1", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("truncate=nan", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close ", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close\n", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close*", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close*1234567890", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close*2@0.5", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("/x:", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("/x", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        (":close", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("CLOSE", "is not FAULT[=VALUE][@PROBABILITY][*TIMES]"),
        ("close*0", "the number of times in 'close*0' must be from 1 on"),
        ("truncate=0.5/s", "the fault truncate takes no rate"),
        ("/x:refuse", "the fault refuse is for connections: it takes no path"),
        ("/:slow-accept", "the fault slow-accept is for connections: it takes no path"),
        ("refuse=0.001", "refuse=0.001 is out of range: the value is in seconds, from 0.01 to 1000000"),
        ("/é:close", "'/é' is not a path as it is sent, such as /x or /%C3%A9; a query can't be given"),
        ("/a b:close", "'/a b' is not a path as it is sent"),
        ("/a?b:close", "'/a?b' is not a path as it is sent"),
        ("/a#b:close", "'/a#b' is not a path as it is sent"),
        ("drip=" + "9" * 400, f"drip={'9' * 40} is out of range"),
    ],
)
def test_a_wrong_rule_is_refused(rule: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_rule(rule)


def test_a_rule_may_have_all_its_parts() -> None:
    assert parse_rule("/a:b/:drip=2.5/s@0.25*3") == Rule("drip", 2.5, "/a:b/", 0.25, 3)
    assert parse_rule("close") == Rule("close", 0.0)
    with pytest.raises(ValueError, match="the number of times is given twice"):
        parse_rule("close*3", times=2)


def test_a_wrong_number_of_times_is_refused(server: TestServer) -> None:
    with pytest.raises(ValueError, match="times must be from 1 to"):
        server.fault("close", times=0)


def test_each_fault_cites_a_section() -> None:
    assert all(re.fullmatch(r"RFC \d{4} §[\d.]+", fault.section) for fault in FAULTS.values())


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_command_loads_faults_only_on_demand() -> None:
    program = "import sys; from httpsock.cli.options import options_of; options_of(['--quiet'])\n"

    done = run_python(program + "print([name for name in sys.modules if 'testing' in name])")

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_command_breaks_responses_and_logs_why(serving: Start) -> None:
    program = serving("--fault", "/hello.txt:truncate=0.5", "--fault-seed", "1", "--fault", "/sub/:close@0")

    broken, whole = exchange(program.port, get("/hello.txt")), exchange(program.port, get("/sub/"))

    assert broken.partition(b"\r\n\r\n")[2] == HELLO[: len(HELLO) // 2]
    assert b"<title>sub</title>" in whole
    _, _, log = program.stop()
    assert '"GET /hello.txt HTTP/1.1" 200 fault truncate: ends the connection after a share of the content' in log


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--fault", "burst"], "there is no fault 'burst'"),
        (["--fault", "refuse", "--processes", "2"], "--fault refuse cannot be combined with --processes"),
        (
            ["--fault", ""],
            "'' is not FAULT[=VALUE][@PROBABILITY][*TIMES], or that behind PATH",
        ),
    ],
)
def test_a_wrong_fault_of_the_command_is_refused(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert reason in capsys.readouterr().err
