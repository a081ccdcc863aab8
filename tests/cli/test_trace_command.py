"""``--trace`` of the real program: its output on a terminal, in a pipe, and in the README."""

import json
import os
import pathlib
import re
import signal
import sys

import pytest

from httpsock.cli.options import _parser
from httpsock.server.state import State
from httpsock.tracing.events import EXTRA_ATTRIBUTES, FORMATS
from httpsock.tracing.tcp_info import _NUMBERS
from tests.support import exchange, get
from tests.support.marks import needs_signals
from tests.support.program import COMMAND, ENVIRONMENT, PACKAGE, Start
from tests.support.rows import each_row
from tests.support.tools import run, tool
from tests.support.trace import alike

pytestmark = needs_signals

ROOT = PACKAGE.parent
SECTION = (PACKAGE / "tracing" / "README.md").read_text(encoding="utf-8").partition("\n## In the browser")[0]
CLOSE = "Connection: close"
OF_CLIENTS = {"getaddrinfo", "connect", "repeated", "skip"}
OF_DATAGRAMS = {"join", "recvfrom", "ignore", "sendto"}


def test_a_folder_may_follow_the_option(serving: Start) -> None:
    program = serving("--trace", "sub")
    program.ask("/")
    _, _, error = program.stop()
    assert "  parse GET /\n" in error
    assert "  stat index.html: file, 34 bytes\n" in error
    assert " 200 34 " not in error, "it takes the place of the log"


def test_a_trace_may_be_limited_to_one_client_or_one_path(serving: Start) -> None:
    for option in ("--trace-only=/al", "--trace-only=127.0.0.1"):
        program = serving(option, "--bind", "127.0.0.1")
        program.ask("/hello.txt")
        program.ask("/alphabet.txt")
        _, _, error = program.stop()
        assert "  parse GET /alphabet.txt\n" in error
        assert ("  parse GET /hello.txt\n" in error) == (option == "--trace-only=127.0.0.1")


@pytest.mark.parametrize(
    ("path", "is_traced"),
    [
        (b"/sub/a", True),
        (b"/%73ub/a", True),
        (b"//sub/./a", True),
        (b"/x/../sub%2fa", True),
        (b"http://localhost/%73ub/a", True),
        (b"/sub/a b", True),
        (b"/sub/../a", False),
        (b"/%2573ub/a", False),
        (b"/../sub/a", False),
        (b"/", False),
        (b"*", False),
    ],
)
def test_equivalent_paths_are_traced_like_one_path(serving: Start, path: bytes, is_traced: bool) -> None:
    program = serving("--trace-only", "/s%75b/")
    exchange(program.port, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    _, _, error = program.stop()
    assert ("  send " in error) is is_traced


@each_row(
    ("given", "taken"),
    [
        ("/img/", "/img/"),
        ("/./a%20b//c/../", "/a b/"),
        ("/..", "/.."),
        ("/", "/"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80:0::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_normalised_as_the_system_writes_it(given: str, taken: str) -> None:
    assert _parser().parse_args(["--trace-only", given]).trace_only == taken


def test_a_host_name_is_refused_without_a_lookup(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["--trace-only", "localhost"])
    assert "'localhost' is not an IPv4 or IPv6 address, and a path starts with /;" in capsys.readouterr().err


def test_json_is_one_object_for_each_event_with_the_attributes_that_readme_names(
    serving: Start, folder: pathlib.Path
) -> None:
    (folder / "sub" / "more").mkdir()
    program = serving("--trace=json", "--bind", "127.0.0.1", "--fault", "/alphabet.txt:truncate")
    exchange(program.port, get("/alphabet.txt"))
    exchange(program.port, get("/sub/index.html", "Accept-Encoding: gzip"))
    exchange(program.port, get("/hello.txt") + get("/large.bin") + get("/nothing", CLOSE))
    exchange(program.port, get("/sub/more/", "Content-Length: 3", CLOSE) + b"abc")
    exchange(program.port, b"G T\r\n\r\n")
    _, _, error = program.stop()
    events = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
    always = re.findall(r"`(\w+)`", SECTION.partition("Each object has")[2].partition(".")[0])
    assert always == ["time", "process", "connection", "peer", "microseconds", "event"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \| .* \|$", SECTION, re.MULTILINE))
    failing = {"error", "message"}
    seen = set()
    for event in events:
        attributes = set(event) - set(always)
        documented = set(re.findall(r"`(\w+)`", rows[event["event"]]))
        assert attributes <= documented | failing, event
        seen.add(event["event"])
    elsewhere = {"cache", "memo", "unverified", "reset", "timeout", "evict", "cut", "lost", "tcp"}
    assert seen == set(FORMATS) - elsewhere - {*OF_CLIENTS, *OF_DATAGRAMS}


def test_readme_names_every_event_and_attribute() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| .* \|$", SECTION, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", attributes)) for name, attributes in rows}
    emitted = {
        name: set(re.findall(r"\{(\w+)", sentence)) | set(EXTRA_ATTRIBUTES.get(name, ()))
        for name, sentence in FORMATS.items()
    }
    assert documented == emitted
    assert set(re.findall(r"`(\w+)`", SECTION.partition("`tcp` has")[2].partition("Names")[0])) == set(_NUMBERS)


def test_readme_names_every_reason_to_wait() -> None:
    (row,) = re.findall(r"^\| `wait` \| (.*) \|$", SECTION, re.MULTILINE)
    without_events = {State.QUEUED, State.DETACHED, State.CLOSED}
    reasons = {state.words for state in State if state not in without_events} | {"answers", "a random moment to answer"}
    assert set(re.findall("`([^`]+)`", row)) - {"for", "seconds"} == reasons


def test_each_event_names_its_process(serving: Start) -> None:
    program = serving("--trace", "--processes", "2", "--bind", "127.0.0.1")
    for _ in range(8):
        program.ask("/hello.txt")
    _, _, error = program.stop()
    lines = [line for line in error.splitlines() if line[:1].isdigit()]
    accepting = {line.split()[0] for line in lines if line.endswith("accept")}
    assert accepting
    assert str(program.process.pid) not in accepting, "the supervisor serves no client"
    assert sum(line.endswith("accept") for line in lines) == 8
    assert sum("close 127.0.0.1" in line for line in lines) == 2


def trace_on_a_terminal(start: Start, **environment: str) -> str:
    """Trace one request on a terminal and return the trace."""
    master, slave = os.openpty()
    program = start("--trace", "--port", "0", stderr=slave, env=ENVIRONMENT | {"TERM": "xterm"} | environment)
    os.close(slave)
    program.read_url()
    program.ask("/hello.txt")
    program.process.send_signal(signal.SIGTERM)
    collected = b""
    try:
        while part := os.read(master, 65536):
            collected += part
    except OSError:
        # On Linux, EIO means that the program has closed the terminal.
        pass
    os.close(master)
    program.end()
    return collected.decode()


def test_a_terminal_has_colours(start: Start) -> None:
    collected = trace_on_a_terminal(start, NO_COLOR="")
    assert "\x1b[1mparse GET /hello.txt\x1b[0m" in collected


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_has_no_colours_if_the_environment_forbids_them(start: Start, environment: dict[str, str]) -> None:
    assert "\x1b" not in trace_on_a_terminal(start, **environment)


def test_a_pipe_has_no_colours(serving: Start) -> None:
    program = serving("--trace")
    program.ask("/hello.txt")
    assert "\x1b" not in program.stop()[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reports TCP_INFO")
def test_the_screen_in_readme_is_the_output_of_the_program(start: Start, tmp_path: pathlib.Path) -> None:
    ((command, expected),) = re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)^```$", SECTION, re.MULTILINE)
    assert command.startswith("python3 -m httpsock ")
    program = start(*command.split()[3:], "--port", "0", command=COMMAND, cwd=ROOT)
    program.read_url()
    request = re.findall(r"`curl ([^`]*)`", SECTION)[0].replace("127.0.0.1:8000", f"127.0.0.1:{program.port}")
    done = run([tool("curl"), "-s", *request.split()], tmp_path)
    assert done.returncode == 0
    # This client is answered after the first connection has ended.
    program.ask("/hello.txt")
    _, _, standard_error = program.stop()
    first = "".join(re.findall(r"(?m)^#1 .*\n(?:      .*\n)*", standard_error))
    assert essence(first) == essence(expected)


def essence(trace: str) -> str:
    """Remove the lines of *trace* that depend on the system, and replace lengths by N."""
    other = re.compile(r"http|Serving|\^C|server .*(AF_INET6|::1)")
    lines = [line for line in alike(trace).splitlines() if not other.match(line)]
    sizes = r'ETag: "\w+"|\d+ bytes|(?<=send )\d+|(?<=recv )\d+|(?<=read )\d+|(?<=Range: bytes 0-4/)\d+'
    return re.sub(sizes, "N", "\n".join(lines))


def test_a_trace_without_standard_error_is_not_written_into_another_file(
    serving: Start,
) -> None:
    """If standard error is closed, the next file or connection gets descriptor 2."""
    program = serving(command=["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "--trace"])
    assert program.ask("/hello.txt").text == "Hello, socket.\n"
    assert program.stop()[0] == 0
