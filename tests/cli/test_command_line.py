"""The command line: the real program, started as a person or a script would start it, and stopped by signals."""

import contextlib
import gzip
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest

import httpsock
from httpsock.__main__ import main
from httpsock.cli.options import _parser, options_of
from httpsock.cli.serve import _DEFAULT_PORTS, _announcing, _drop_root, _print_urls
from httpsock.server.activation import InheritedSockets
from httpsock.server.addresses import local_addresses
from httpsock.server.server import url_of
from tests.conftest import LONG_AGO
from tests.support import PATIENCE_SECONDS, connect, get, read_answer, receive_all, talk
from tests.support.program import COMMAND, ENVIRONMENT, PACKAGE, Program, Start
from tests.support.tools import run, tool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stops the program by signals, which Windows has not")

README = PACKAGE.parent / "README.md"
# The constant fields of each response; given twice, or wrongly, they would break it.
OWN_FIELDS = """accept-ranges allow connection content-encoding content-length content-range content-type date etag
    keep-alive last-modified location trailer transfer-encoding upgrade vary""".split()
# More than the sockets of a connection can hold, so that a download is under way until its client has read it.
FILM_OCTETS = 64 * 1024 * 1024
STOPPING = [pytest.param(signal.SIGINT, id="SIGINT"), pytest.param(signal.SIGTERM, id="SIGTERM")]


@contextlib.contextmanager
def taken_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port on which somebody else listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError as error:
            pytest.skip(f"this system has no {host}: {error}")
        taken.listen()
        yield taken.getsockname()[1]


def need_address(host: str) -> None:
    """Skip the test where the system has no such address."""
    with taken_port(host):
        pass


def cannot_serve(program: Program) -> str:
    """Return the sentence with which the program ends that can't serve."""
    code, out, error = program.end()
    assert (code, out) == (1, "")
    assert re.fullmatch(r"httpsock: [^\n]+\.\n", error), "one sentence, no traceback"
    return error.removeprefix("httpsock: ").removesuffix("\n")


# --- what it says first ---------------------------------------------------------------------------------------------


def test_line_1_of_standard_output_is_the_url_alone(serving: Start, folder: pathlib.Path) -> None:
    program = serving("--bind", "127.0.0.1")
    assert program.url == f"http://127.0.0.1:{program.port}/"
    assert program.ask("/hello.txt").text == "Hello, socket.\n"
    code, more, error = program.stop()
    assert (code, more) == (0, "")
    assert error.splitlines()[0] == f"Serving {folder} at {program.url} (Ctrl-C to stop)"


def test_both_addresses_of_loopback_are_listened_on(serving: Start, folder: pathlib.Path) -> None:
    need_address("::1")
    program = serving()
    with connect(program.port, "::1") as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert receive_all(client).endswith(b"\r\n\r\nHello, socket.\n")
    _, _, error = program.stop()
    port = program.port
    announced = f"Serving {folder} at http://127.0.0.1:{port}/ and http://[::1]:{port}/ (Ctrl-C to stop)"
    assert error.splitlines()[0] == announced


def test_help_tells_of_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert said.isascii(), "it can be printed on any terminal"
    for action in _parser()._actions:
        assert action.help
        assert all(option in said for option in action.option_strings)


def test_a_loopback_only_server_is_not_announced(start: Start) -> None:
    code, out, error = start("--announce").end()
    assert (code, out) == (2, "")
    assert error == (
        "httpsock: a loopback-only server cannot be announced; add --lan or --bind; see python3 -m httpsock --help.\n"
    )


def test_a_server_of_several_processes_is_not_announced(start: Start) -> None:
    code, _, error = start("--announce", "--lan", "--processes", "2").end()
    assert code == 2
    assert "--announce cannot be combined with --processes" in error


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_a_folder_is_announced_also_on_loopback_when_that_is_asked_for(serving: Start, host: str) -> None:
    need_address(host)
    code, _, error = serving("--bind", host, "--announce").stop()
    assert code == 0
    assert error.count("\n") == 1, error


def test_a_server_that_cannot_be_announced_serves_all_the_same(
    server: httpsock.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with _announcing(server, options_of(["--bind", "192.0.2.1", "--announce"])) as announcer:
        assert announcer is None
    said = "httpsock: the folder can't be announced: No such device; it is served all the same.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--lan"], ["0.0.0.0", "::"]),
        (["--bind", "0.0.0.0"], ["0.0.0.0"]),
        (["--bind", "::"], ["::"]),
        (["--bind", "127.0.0.2"], ["127.0.0.2"]),
    ],
)
def test_a_server_at_all_addresses_is_announced_at_each(
    server: httpsock.Server, options: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []

    def announce(directory: str, hosts: list[str], *rest: object, **more: object) -> contextlib.nullcontext[None]:
        announced.extend(hosts)
        return contextlib.nullcontext()

    monkeypatch.setattr("httpsock.discovery.announcer.Announcer", announce)
    with _announcing(server, options_of([*options, "--announce"])):
        assert announced == expected


def test_announcements_are_traced_unless_the_trace_is_limited_to_paths(serving: Start) -> None:
    for option, expected in (("--trace", True), ("--trace-only=/a", False)):
        _, _, error = serving("--bind", "127.0.0.1", "--announce", option).stop()
        assert ("join 239.255.255.250 at 127.0.0.1" in error) is expected
        assert ("< NTS: ssdp:byebye\n" in error) is expected, "also after the server has ended"


def test_the_examples_of_help_are_valid() -> None:
    parser = _parser()
    examples = [line for line in (parser.epilog or "").splitlines() if line.startswith("  httpsock")]
    assert len(examples) >= 4
    for example in examples:
        command, _, _ = example.strip().partition("   ")
        parser.parse_args(shlex.split(command)[1:])


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"httpsock {httpsock.__version__}\n"


def test_the_readme_tells_of_every_option() -> None:
    text = README.read_text(encoding="utf-8")
    options = [option for action in _parser()._actions for option in action.option_strings if option.startswith("--")]
    assert [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)] == []


# --- which folder ---------------------------------------------------------------------------------------------------


def test_the_folder_is_www_if_there_is_one(serving: Start, folder: pathlib.Path) -> None:
    (folder / "www").mkdir()
    (folder / "www" / "hello.txt").write_text("Hello from www.\n")
    assert serving().ask("/hello.txt").text == "Hello from www.\n"


def test_the_folder_is_the_current_one_without_www(serving: Start, folder: pathlib.Path) -> None:
    (folder / "www").write_text("a file, not a folder")
    program = serving()
    assert program.ask("/hello.txt").text == "Hello, socket.\n"
    assert program.ask("/www").text == "a file, not a folder"


def test_the_folder_is_the_one_that_is_named(serving: Start, folder: pathlib.Path) -> None:
    (folder / "www").mkdir()
    assert serving("sub").ask("/").text == "<!DOCTYPE html><title>sub</title>\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nowhere"], "there is no folder 'nowhere'.", id="no such folder"),
        pytest.param(["hello.txt"], "'hello.txt' is not a folder.", id="a file"),
        pytest.param([""], "there is no folder ''.", id="an empty name, as of a variable that is not set"),
        pytest.param(["--bind", "192.0.2.1"], "192.0.2.1 is not an address of this machine.", id="not our address"),
    ],
)
def test_a_failed_start_is_reported_in_a_sentence(start: Start, arguments: list[str], sentence: str) -> None:
    assert cannot_serve(start(*arguments, "--port", "0")) == sentence


def test_any_other_fault_is_a_sentence_too(start: Start) -> None:
    assert "File name too long" in cannot_serve(start("x" * 300))


# Leaves only so many descriptors when the sockets are bound.
FEW_DESCRIPTORS = """
import os, resource, sys
import httpsock.cli.serve
run = httpsock.cli.serve._run
def run_with_few(*arguments):
    lowest = os.dup(2)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + {}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return run(*arguments)
httpsock.cli.serve._run = run_with_few
sys.exit(httpsock.cli.serve.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("spare", range(4))
def test_too_few_descriptors_are_said_in_a_sentence(start: Start, processes: str, spare: int) -> None:
    command = [sys.executable, "-c", FEW_DESCRIPTORS.format(spare)]
    program = start("--bind", "127.0.0.1", "--port", "0", "--processes", processes, command=command)

    assert cannot_serve(program) == "cannot serve: Too many open files."


def without_privileges() -> list[str]:
    """Return the command for the program where the owner of everything may do no more than other owners."""
    if os.geteuid() != 0:
        return COMMAND
    return [tool("setpriv"), "--inh-caps=-all", "--bounding-set=-all", *COMMAND]


def test_a_folder_that_may_not_be_read_is_said_in_a_sentence(start: Start, folder: pathlib.Path) -> None:
    (folder / "sub").chmod(0)
    try:
        assert cannot_serve(start("sub", command=without_privileges())) == "this user may not read the folder 'sub'."
    finally:
        (folder / "sub").chmod(0o700)


def test_a_port_that_may_not_be_bound_is_said_in_a_sentence(start: Start) -> None:
    first_free = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if first_free.exists() and int(first_free.read_text()) <= 1:
        pytest.skip("this system lets anybody bind any port")
    program = start("--port", "1", command=without_privileges())
    assert cannot_serve(program) == "this user may not bind port 1; choose a port from 1024 on."


@pytest.mark.parametrize(
    ("arguments", "port", "directory"),
    [
        (["8080"], 8080, None),
        (["8080", "sub"], 8080, "sub"),
        (["sub", "8080"], 8080, "sub"),
        (["-p", "8080", "-d", "sub"], 8080, "sub"),
        (["--directory", "sub", "8080"], 8080, "sub"),
        (["2024"], None, "2024"),
        (["2024", "8080"], 8080, "2024"),
        (["-p", "1", "8080"], 1, "8080"),
    ],
)
def test_a_bare_number_that_is_no_folder_is_the_port(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], port: int | None, directory: str | None
) -> None:
    (folder / "2024").mkdir()
    monkeypatch.chdir(folder)
    options = options_of(arguments)
    assert (options.port, options.directory) == (port, directory)


def test_a_bare_number_that_is_no_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(["80800"])
    assert "'80800' is not a port from 0 to 65535" in capsys.readouterr().err


def test_bind_may_be_repeated(serving: Start) -> None:
    need_address("::1")
    program = serving("-b", "127.0.0.1", "--bind", "::1", "-b", "::1")
    for host in ("127.0.0.1", "::1"):
        connect(program.port, host).close()
    assert f"http://127.0.0.1:{program.port}/ and http://[::1]:{program.port}/ " in program.stop()[2]


def test_each_address_that_is_asked_for_must_be_there(start: Start) -> None:
    sentence = cannot_serve(start("--bind", "127.0.0.1", "--bind", "2001:db8::1", "--port", "0"))
    assert sentence == "127.0.0.1 or 2001:db8::1 is not an address of this machine."


def test_a_zone_is_encoded_in_the_url() -> None:
    assert url_of("fe80::1%eth0", 8000) == "http://[fe80::1%25eth0]:8000/"


def test_a_zone_in_the_url_is_explained(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = httpsock.Server(folder, port=0)
    server.urls = [url_of("fe80::1%eth0", 8000)]
    _print_urls(server, options_of(["--port", "0"]), InheritedSockets([]))
    server.stop()
    out, error = capfd.readouterr()
    assert out == "http://[fe80::1%25eth0]:8000/\n"
    assert error.endswith("\nBrowsers open no address with a zone, such as %eth0; curl and httpsock get do.\n")


def test_help_fits_a_terminal_of_80_columns(start: Start) -> None:
    for arguments in (["--help"], ["get", "--help"], ["find", "--help"]):
        code, out, _ = start(*arguments, env={**ENVIRONMENT, "COLUMNS": "80"}).end()
        assert code == 0
        assert out.startswith("usage: python3 -m httpsock ")
        assert [line for line in out.splitlines() if len(line) > 80] == []


# --- which port -----------------------------------------------------------------------------------------------------


def with_default_ports(*ports: int) -> list[str]:
    """Return the command for the program with other default ports, since 8000 may be anybody's."""
    set_ports = f"program._DEFAULT_PORTS = {ports}; program.DEFAULT_PORT = {ports[0]}"
    start = f"import sys, httpsock.cli.serve as program; {set_ports}; sys.exit(program.main(sys.argv[1:]))"
    return [sys.executable, "-c", start]


def test_the_default_ports_are_8000_to_8009() -> None:
    assert list(_DEFAULT_PORTS) == list(range(8000, 8010))


def test_a_default_port_that_is_taken_gives_way_to_the_next_and_says_so(start: Start) -> None:
    with taken_port() as first, taken_port() as second:
        program = start(command=with_default_ports(first, second, 0))
        program.read_url()
        assert program.ask("/hello.txt").status == 200
        _, _, error = program.stop()
    assert program.port not in (first, second)
    assert error.splitlines()[0] == f"Port {first} is in use, so this is port {program.port}."


def test_default_ports_that_are_all_taken_are_said_in_a_sentence(start: Start) -> None:
    with taken_port() as first, taken_port() as last:
        sentence = cannot_serve(start(command=with_default_ports(first, last)))
    assert sentence == f"all ports from {first} to {last} are in use; choose another with --port."


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_was_asked_for_does_not_give_way(start: Start, host: str) -> None:
    with taken_port(host) as port:
        sentence = cannot_serve(start("--port", str(port)))
    assert sentence.startswith(f"port {port} is in use; choose another with --port")


# --- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_bind_listens_on_one_address_only(serving: Start, folder: pathlib.Path, address: str, host: str) -> None:
    need_address(address)
    program = serving("--bind", address)
    assert program.url == f"http://{host}:{program.port}/"
    with connect(program.port, address) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert receive_all(client).startswith(b"HTTP/1.1 200 OK\r\n")
    assert program.stop()[2].splitlines()[0] == f"Serving {folder} at {program.url} (Ctrl-C to stop)"


def test_lan_prints_each_address_to_type_elsewhere(serving: Start, folder: pathlib.Path) -> None:
    addresses = local_addresses()
    program = serving("--lan", "--quiet")
    for address in ["127.0.0.1", *addresses]:
        with connect(program.port, address) as client:
            client.sendall(get("/hello.txt", "Connection: close"))
            assert receive_all(client).startswith(b"HTTP/1.1 200 OK\r\n")
    code, _, error = program.stop()
    assert code == 0
    first, *urls = error.splitlines()
    assert first == f"Serving {folder} to the whole network (Ctrl-C to stop). On other devices type:"
    assert urls == [f"  {url_of(address, program.port)}" for address in addresses]


# --- what is served -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "status", "is_listed"),
    [pytest.param([], 404, False, id="R144: not by default"), pytest.param(["--hidden"], 200, True, id="--hidden")],
)
def test_hidden_names_are_served_on_demand(
    serving: Start, folder: pathlib.Path, options: list[str], status: int, is_listed: bool
) -> None:
    (folder / ".secret").write_text("quiet")
    program = serving(*options)
    assert program.ask("/.secret").status == status
    assert (" .secret\n" in program.ask("/", "Accept: text/plain").text) is is_listed


@pytest.mark.parametrize(
    ("options", "status"),
    [pytest.param([], 404, id="R144: not by default"), pytest.param(["--follow-links"], 200, id="--follow-links")],
)
def test_links_that_lead_out_are_followed_on_demand(
    serving: Start, folder: pathlib.Path, options: list[str], status: int
) -> None:
    (folder.parent / "outside.txt").write_text("outside")
    (folder / "out.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "in.txt").symlink_to("hello.txt")
    program = serving(*options)
    assert program.ask("/out.txt").status == status
    assert program.ask("/in.txt").status == 200, "a link that stays inside is followed either way"


@pytest.mark.parametrize(
    ("options", "coding", "vary"),
    [
        pytest.param([], "gzip", "Accept-Encoding", id="R111: by default"),
        pytest.param(["--no-siblings"], None, None, id="--no-siblings"),
    ],
)
def test_siblings_are_turned_off_on_demand(
    serving: Start, folder: pathlib.Path, options: list[str], coding: str | None, vary: str | None
) -> None:
    (folder / "hello.txt.gz").write_bytes(gzip.compress(b"Hello, socket.\n"))
    os.utime(folder / "hello.txt.gz", (LONG_AGO, LONG_AGO))
    answer = serving(*options).ask("/hello.txt", "Accept-Encoding: gzip")
    assert (answer.field("Content-Encoding"), answer.field("Vary")) == (coding, vary)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], "no-cache", id="by default caches ask each time"),
        pytest.param(["--cache", "3600"], "max-age=3600", id="--cache says for how long they need not"),
        pytest.param(["--cache", "0"], "no-cache", id="for no time at all"),
        pytest.param(["--header", "cache-control: no-transform"], "no-transform", id="--header replaces it"),
        pytest.param(
            ["--cache", "9", "--header", "Cache-Control: public", "--header", "Cache-Control: immutable"],
            "public, immutable",
            id="two are one list",
        ),
    ],
)
def test_caches_are_told_how_long_a_file_is_good(serving: Start, options: list[str], expected: str) -> None:
    program = serving(*options)
    answer = program.ask("/hello.txt")
    assert answer.field("Cache-Control") == expected
    again = program.ask("/hello.txt", f"If-None-Match: {answer.field('ETag')}")
    assert (again.status, again.field("Cache-Control")) == (304, expected), "R125"
    assert program.ask("/nothing").field("Cache-Control") == "no-store", "a refusal is never kept"


def test_fields_are_added_to_every_response(serving: Start) -> None:
    added = ["--header", "Access-Control-Allow-Origin: *", "--header", "server:mine", "--header", "X-Two:  a \t"]
    program = serving(*added, "--header", "X-Two: b")
    for path in ("/hello.txt", "/nothing", "/sub", "/%00"):
        answer = program.ask(path)
        assert answer.field("Access-Control-Allow-Origin") == "*"
        assert answer.field("Server") == "mine", "a default field is replaced"
        assert [value for name, value in answer.fields if name == "X-Two"] == ["a", "b"]
        assert answer.field("X-Content-Type-Options") == "nosniff"


def test_a_field_beyond_ascii_is_sent_as_its_octets(serving: Start) -> None:
    program = serving("--header", "X-Greeting: grüße")
    assert b"\r\nX-Greeting: gr\xc3\xbc\xc3\x9fe\r\n" in talk(program.port, get("/hello.txt")), "R040"


# --- wrong arguments ------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the sentence with which *arguments* are refused; they are not even looked at with a folder that is not."""
    with pytest.raises(SystemExit) as left:
        main(["there is no such folder", *arguments])
    said = capsys.readouterr()
    assert (left.value.code, said.out) == (2, "")
    assert re.fullmatch(r"httpsock: [^\n]+; see httpsock --help\.\n", said.err), "one sentence, no usage"
    return said.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--nothing"], "unrecognized arguments: --nothing", id="an unknown option"),
        pytest.param(["--thread", "2"], "unrecognized arguments: --thread 2", id="an option cut short"),
        pytest.param(["second"], "unrecognized arguments: second", id="a second folder"),
        pytest.param(["--port"], "argument -p/--port: expected one argument", id="an option without its value"),
        pytest.param(["--port", "http"], "'http' is not a port from 0 to 65535", id="a port by name"),
        pytest.param(["--port", "65536"], "'65536' is not a port", id="a port too high"),
        pytest.param(["--port=-1"], "'-1' is not a port", id="a port too low"),
        pytest.param(["--port", "9" * 5000], "is not a port", id="a port of thousands of digits"),
        pytest.param(["--port", "1" + "0" * 9], "is not a port", id="a port whose last digits are a port"),
        pytest.param(["--port", "٨٠"], "is not a port", id="digits beyond ASCII"),
        pytest.param(["--port", ""], "'' is not a port", id="an empty port"),
        pytest.param(["--cache", "1.5"], "'1.5' is not a number of seconds", id="a fraction of seconds"),
        pytest.param(["--cache", "1" + "0" * 9], "is not a number of seconds", id="seconds for ever"),
        pytest.param(["--threads", "0"], "'0' is not a number from 1 to 128", id="no thread"),
        pytest.param(["--threads", "129"], "'129' is not a number from 1 to 128", id="too many threads"),
        pytest.param(["--log", "xml"], "invalid choice: 'xml'", id="an unknown log"),
        pytest.param(["--bind", "localhost"], "'localhost' is not an IPv4 or IPv6 address", id="a name for --bind"),
        pytest.param(["--bind", ""], "'' is not an IPv4 or IPv6 address", id="an empty address"),
        pytest.param(["--lan", "--bind", "::1"], "not allowed with argument", id="one address, and all"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_reason(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert reason in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("no colon", "'no colon' is not 'Name: value'", id="no colon"),
        pytest.param(": value", "the field name '' is not a token (RFC 9110 §5.1)", id="no name"),
        pytest.param("A name: value", "is not a token (RFC 9110 §5.1)", id="R038: a space within the name"),
        pytest.param("Name : value", "is not a token (RFC 9110 §5.1)", id="R036: a space before the colon"),
        pytest.param("Grüße: value", "is not a token (RFC 9110 §5.1)", id="a name beyond ASCII"),
        pytest.param(" Name: value", "is not a token (RFC 9110 §5.1)", id="R037: a folded line"),
        pytest.param("X: a\r\nY: b", "the value of X has a control character (RFC 9110 §5.5)", id="R143"),
        pytest.param("X: a\nb", "has a control character", id="a line feed"),
        pytest.param("X: a\rb", "has a control character", id="a carriage return"),
        pytest.param("X: \x1b[2J", "has a control character", id="an escape"),
        pytest.param("X: a\x7f", "has a control character", id="DEL"),
        pytest.param("X: a\n", "has a control character", id="a line feed at the end"),
        *(
            pytest.param(f"{name}: 1", f"{name} is set by each response itself", id=f"R115: {name}")
            for name in OWN_FIELDS
        ),
        pytest.param("Content-Length: 1", "Content-Length is set by each response", id="R115: in any case"),
    ],
)
def test_a_field_that_would_break_a_response_is_refused(
    capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    assert reason in refused(capsys, "--header", line)


def test_a_wrong_argument_ends_the_program_with_exit_code_2(start: Start) -> None:
    code, out, error = start("--port", "x").end()
    assert (code, out) == (2, "")
    assert error == (
        "httpsock: argument -p/--port: 'x' is not a port from 0 to 65535; see python3 -m httpsock --help.\n"
    )  # fmt: skip


# --- the log --------------------------------------------------------------------------------------------------------


def log_of(serving: Start, *options: str) -> list[str]:
    """Return the lines of the log of two requests."""
    program = serving(*options)
    program.ask("/hello.txt")
    program.ask("/nothing?\x1b[2J")
    code, more, error = program.stop()
    assert (code, more) == (0, "")
    first, *lines = error.splitlines()
    assert first.startswith("Serving ")
    # Each thread writes for itself.
    return sorted(lines, key=lambda line: "nothing" in line)


def test_the_log_is_text_on_standard_error(serving: Start) -> None:
    found, refusal = log_of(serving)
    clock = r"[0-2]\d:[0-5]\d:[0-6]\d"
    assert re.fullmatch(clock + r' 127\.0\.0\.1 "GET /hello\.txt HTTP/1\.1" 200 15 \d+\.\d ms', found)
    assert re.fullmatch(
        clock + r' 127\.0\.0\.1 "GET /nothing\?\\x1b\[2J HTTP/1\.1" 400 the request-target [^;]+; \d+ \d+\.\d ms',
        refusal,
    )


def test_the_log_can_be_in_the_common_log_format(serving: Start) -> None:
    found, _ = log_of(serving, "--log", "clf")
    date = r"\[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    assert re.fullmatch(r"127\.0\.0\.1 - - " + date + r' "GET /hello\.txt HTTP/1\.1" 200 15', found)


def test_the_log_can_be_json(serving: Start) -> None:
    found, refusal = (json.loads(line) for line in log_of(serving, "--log", "json"))
    assert (found["request"], found["status"], found["sent"]) == ("GET /hello.txt HTTP/1.1", 200, 15)
    assert (refusal["request"], refusal["status"]) == (r"GET /nothing?\x1b[2J HTTP/1.1", 400)


def test_quiet_means_no_log(serving: Start) -> None:
    assert log_of(serving, "--quiet") == []


def test_one_thread_serves_on_beside_a_silent_client(serving: Start) -> None:
    program = serving("--threads", "1")
    with connect(program.port):
        assert program.ask("/hello.txt").status == 200, "R093"
    assert program.stop()[0] == 0


# --- closed standard streams ----------------------------------------------------------------------------


def closing(descriptor: int) -> list[str]:
    """Return the command that starts the program without one of its standard descriptors."""
    return [tool("sh"), "-c", f'exec "$@" {descriptor}>&-', "sh", *COMMAND]


@pytest.fixture
def dead_pipe() -> Iterator[int]:
    """The writing end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def read_port(program: Program) -> None:
    """Take the URL from the first line of standard error instead."""
    assert program.process.stderr
    line = program.process.stderr.readline().decode()
    match = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert match, f"no URL in {line!r}"
    program.url = match[0]


def test_it_serves_without_standard_output(start: Start) -> None:
    program = start("--port", "0", command=closing(1))
    read_port(program)
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[0] == 0


def test_it_serves_with_a_closed_standard_output(start: Start, dead_pipe: int) -> None:
    program = start("--port", "0", stdout=dead_pipe)
    read_port(program)
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[0] == 0


def test_it_serves_without_standard_error(serving: Start) -> None:
    program = serving(command=closing(2))
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[:2] == (0, ""), "what belongs on standard error is not said on standard output"


def test_it_serves_with_a_closed_standard_error(serving: Start, dead_pipe: int) -> None:
    program = serving(stderr=dead_pipe)
    assert program.ask("/hello.txt").status == 200
    assert program.ask("/hello.txt").status == 200, "the log of the first has failed by now"
    assert program.stop()[:2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [pytest.param(["nowhere"], 1, id="cannot serve"), pytest.param(["--port", "x"], 2, id="a wrong argument")],
)
def test_a_fault_is_not_said_on_standard_output(start: Start, arguments: list[str], code: int) -> None:
    assert start(*arguments, command=closing(2)).end()[:2] == (code, "")


# --- signals --------------------------------------------------------------------------------------------------------


# Ctrl-C is pressed while this module is looked for.
INTERRUPTED_IMPORT = """
import os, signal, sys
# A shell may have started the tests with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "httpsock.cli.{}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from httpsock.cli.commands import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("options", []), ("get", ["get", "http://127.0.0.1/"]), ("find", ["find"])]
)
def test_ctrl_c_before_it_serves_ends_it_without_a_traceback(start: Start, module: str, arguments: list[str]) -> None:
    program = start(*arguments, command=[sys.executable, "-c", INTERRUPTED_IMPORT.format(module)])
    assert program.end() == (130, "", "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_hangup_while_it_exits_does_not_change_the_exit_code(serving: Start) -> None:
    program = serving("--quiet")
    program.process.send_signal(signal.SIGTERM)
    while program.process.poll() is None:
        program.process.send_signal(signal.SIGHUP)
    assert program.end()[0] == 0


@pytest.fixture
def film(folder: pathlib.Path) -> str:
    """A long file, which takes no room on the disk; its path."""
    with (folder / "film.bin").open("wb") as file:
        file.truncate(FILM_OCTETS)
    return "/film.bin"


def begin(client: socket.socket, request: bytes) -> bytes:
    """Send *request*; return the first octets of its answer."""
    client.sendall(request)
    return client.recv(1000)


def wait_until_it_stops(idle: socket.socket) -> None:
    """Return when the program has taken a signal: it then closes idle connections."""
    assert receive_all(idle) == b""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_lets_a_running_download_finish(serving: Start, film: str, number: int) -> None:
    program = serving()
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        first = begin(client, get(film, "Connection: close"))
        program.process.send_signal(number)
        wait_until_it_stops(idle)
        answer, _ = read_answer(first + receive_all(client))
    assert len(answer.content) == FILM_OCTETS, "R085: the last response arrives whole"
    code, _, error = program.end()
    assert code == 0
    assert f"200 {FILM_OCTETS} " in error
    assert "Traceback" not in error


def test_while_a_download_finishes_new_clients_are_refused(serving: Start, film: str) -> None:
    program = serving()
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        first = begin(client, get(film, "Connection: close"))
        program.process.send_signal(signal.SIGTERM)
        wait_until_it_stops(idle)
        latest = time.monotonic() + PATIENCE_SECONDS
        is_refused = False
        while not is_refused and time.monotonic() < latest:
            try:
                connect(program.port).close()
            except ConnectionRefusedError:
                is_refused = True
            except ConnectionResetError:
                continue
        assert is_refused
        answer, _ = read_answer(first + receive_all(client))
    assert len(answer.content) == FILM_OCTETS, "refused while the download was still under way, not because it was cut"


def test_a_client_that_has_its_download_is_let_go_at_once(folder: pathlib.Path, film: str) -> None:
    timeouts = httpsock.Timeouts(idle=3600)
    with httpsock.Server(folder, port=0, timeouts=timeouts) as server, connect(server.port) as client:
        first = begin(client, get(film))
        server.ask_to_stop(grace_seconds=3600)
        answer, rest = read_answer(first + receive_all(client))
        assert (len(answer.content), rest) == (FILM_OCTETS, b""), "it need not wait for the end of the grace"


@pytest.mark.parametrize("number", STOPPING)
def test_a_second_signal_leaves_at_once(serving: Start, film: str, number: int) -> None:
    program = serving()
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        begin(client, get(film))
        program.process.send_signal(number)
        wait_until_it_stops(idle)
        code, _, error = program.stop(number)
    assert code == 128 + number
    assert "Traceback" not in error


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_an_idle_server_quietly(serving: Start, number: int) -> None:
    program = serving("--quiet")
    with connect(program.port) as idle:
        begin(idle, get("/hello.txt"))
        code, more, error = program.stop(number)
        assert receive_all(idle) == b""
    assert (code, more) == (0, "")
    assert error.count("\n") == 1, "nothing but the announcement"


def test_a_signal_before_it_serves_is_not_forgotten(start: Start) -> None:
    # A full pipe for standard error: the program stops after line 1 of standard output, before it starts to serve.
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, b"." * 4096):
                pass
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, b"."):
                pass
        os.set_blocking(writing, True)
        program = start("--port", "0", stderr=writing)
        program.read_url()
        program.process.send_signal(signal.SIGTERM)
        while not os.read(reading, 4096).endswith(b"\n"):
            pass
        assert program.process.wait(PATIENCE_SECONDS) == 0
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", STOPPING)
def test_it_is_stopped_as_the_first_process_of_a_container(start: Start, tmp_path: pathlib.Path, number: int) -> None:
    # To the first process of a namespace a signal that it does not handle is not even delivered.
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    container = [tool("unshare"), *own_user, "--pid", "--fork", "--mount-proc", "--kill-child"]
    if run([*container, "true"], tmp_path).returncode != 0:
        pytest.skip("this system lets nobody make a namespace here")
    program = start("--port", "0", command=[*container, *COMMAND])
    program.read_url()
    assert program.ask("/hello.txt").status == 200
    outside = program.process.pid
    children = pathlib.Path(f"/proc/{outside}/task/{outside}/children")
    if not children.exists():
        pytest.skip("this system does not tell the children of a process")
    os.kill(int(children.read_text()), number)
    code, more, error = program.end()
    assert (code, more) == (0, "")
    assert "Traceback" not in error


# --- stopping in time, and giving up root ---------------------------------------------------------------------------


def test_responses_unfinished_after_the_grace_are_cut_and_counted(serving: Start, film: str) -> None:
    program = serving("--grace", "0")
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        begin(client, get(film))
        code, _, error = program.stop()
    assert code == 0
    assert "grace period over: 1 response cut off\n" in error
    assert re.search(rf'"GET {film} HTTP/1\.1" 200 \d+ of {FILM_OCTETS} ', error), "each is logged with what was sent"


def test_a_blocked_standard_error_delays_no_client(serving: Start) -> None:
    """A pager that is not scrolled: more is logged than the pipe and the waiting lines can hold."""
    program = serving()
    octets = get("/nothing?" + "x" * 900) * 500
    for _ in range(8):
        with connect(program.port) as client:
            client.sendall(octets + get("/hello.txt", "Connection: close"))
            assert receive_all(client).endswith(b"Hello, socket.\n")
    code, _, error = program.stop()
    assert code == 0
    assert len(error) < 3 << 20
    assert re.search(r"\d+ log lines dropped: standard error is blocked\n", error)


as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give up root")


@as_root
def test_root_is_given_up_once_the_port_is_bound(start: Start, folder: pathlib.Path) -> None:
    # Others may pass through the temporary folders.
    for parent in [folder, *folder.parents][:5]:
        parent.chmod(parent.stat().st_mode | 0o055)
    secret = folder / "secret.txt"
    secret.write_bytes(b"for root alone")
    secret.chmod(0o600)
    program = start("--user", "nobody", "--port", str(free_low_port()))
    program.read_url()
    assert program.ask("/hello.txt").status == 200
    assert program.ask("/secret.txt").status == 403
    status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
    assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.MULTILINE)
    assert "Uid:\t0" not in status
    assert "Gid:\t0" not in status
    assert program.stop()[0] == 0


def free_low_port() -> int:
    """Return a port that only root may bind."""
    for port in range(600, 1024):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.skip("no port below 1024 is free")


def test_an_unknown_user_is_reported_in_a_sentence(start: Start) -> None:
    sentence = cannot_serve(start("--user", "no such user", "--port", "0"))
    assert sentence == "there is no user 'no such user'; --user takes a name of this system."


def test_root_may_be_given_up_for_a_user_with_access_to_the_folder(
    monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path
) -> None:
    become: list[str] = []
    monkeypatch.setattr("httpsock.cli.serve.become_user", become.append)
    assert _drop_root(_parser().parse_args(["--user", "somebody"]), str(folder)) is None
    assert become == ["somebody"]


def test_only_root_can_become_another_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "initgroups", refuse)
    assert main(["--port", "0", "--user", "nobody"]) == 1
    assert capsys.readouterr().err == "httpsock: --user needs root, and this process is not root.\n"


def test_a_folder_that_the_user_may_not_read_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: pathlib.Path
) -> None:
    def become(name: str) -> None:
        def refuse(directory: str) -> None:
            raise PermissionError(13, "Permission denied", directory)

        monkeypatch.setattr(os, "scandir", refuse)

    monkeypatch.setattr("httpsock.cli.serve.become_user", become)
    assert main([str(folder), "--port", "0", "--user", "somebody"]) == 1
    assert capsys.readouterr().err == f"httpsock: somebody may not read the folder '{folder}'.\n"
