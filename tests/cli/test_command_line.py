"""The command line: the real program, started as by a user or a script, and its arguments."""

import contextlib
import pathlib
import re
import shlex

import pytest

import httpsock
from httpsock.__main__ import main
from httpsock.cli.options import _parser
from httpsock.cli.serve import _announcing
from httpsock.discovery.description_handler import DescriptionHandler
from tests.cli.programs import need_address
from tests.support import connect, get, receive_all
from tests.support.marks import needs_signals
from tests.support.program import PACKAGE, Start

pytestmark = needs_signals

README = PACKAGE.parent / "README.md"
# The constant fields of each response; given twice, or wrongly, they would break it.
OWN_FIELDS = """accept-ranges allow connection content-encoding content-length content-range content-type date etag
    keep-alive last-modified location trailer transfer-encoding upgrade vary""".split()


# --- the first lines of output --------------------------------------------------------------------------------------


def test_line_1_of_standard_output_is_the_url_alone(serving: Start, folder: pathlib.Path) -> None:
    program = serving("--bind", "127.0.0.1")
    assert program.url == f"http://127.0.0.1:{program.port}/"
    assert program.ask("/hello.txt").text == "Hello, socket.\n"
    code, more, error = program.stop()
    assert (code, more) == (0, "")
    assert error.splitlines()[0] == f"Serving {folder} at {program.url} (Ctrl-C to stop)"


def test_the_server_listens_on_both_loopback_addresses(serving: Start, folder: pathlib.Path) -> None:
    need_address("::1")
    program = serving()
    with connect(program.port, "::1") as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert receive_all(client).endswith(b"\r\n\r\nHello, socket.\n")
    _, _, error = program.stop()
    port = program.port
    announced = f"Serving {folder} at http://127.0.0.1:{port}/ and http://[::1]:{port}/ (Ctrl-C to stop)"
    assert error.splitlines()[0] == announced


def test_help_documents_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    help_text = capsys.readouterr().out
    assert help_text.isascii(), "it can be printed on any terminal"
    for action in _parser()._actions:
        assert action.help
        assert all(option in help_text for option in action.option_strings)


def test_a_loopback_only_server_is_not_announced(start: Start) -> None:
    code, out, error = start("--announce").end()
    assert (code, out) == (2, "")
    assert error == (
        "httpsock: a loopback-only server cannot be announced; add --lan or --bind; see python3 -m httpsock --help.\n"
    )


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_a_server_bound_to_one_loopback_address_is_announced_on_request(serving: Start, host: str) -> None:
    need_address(host)
    code, _, error = serving("--bind", host, "--announce").stop()
    assert code == 0
    assert error.count("\n") == 1, error


def test_a_server_that_cannot_be_announced_still_serves(
    server: httpsock.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.hosts = ["192.0.2.1"]
    with _announcing(server, DescriptionHandler()) as announcer:
        assert announcer is None
    message = "httpsock: the folder can't be announced: No such device; it is served all the same.\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("hosts", [["0.0.0.0", "::"], ["0.0.0.0"], ["::"], ["127.0.0.2"], ["127.0.0.1", "2001:db8::1"]])
def test_a_folder_is_announced_at_the_addresses_at_which_its_server_listens(
    hosts: list[str], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_address("::1")
    announced: list[str] = []

    def announce(directory: str, hosts: list[str], *rest: object, **more: object) -> contextlib.nullcontext[None]:
        announced.extend(hosts)
        return contextlib.nullcontext()

    monkeypatch.setattr("httpsock.discovery.announcer.Announcer", announce)
    server = httpsock.Server(folder, hosts=hosts, port=0)
    with _announcing(server, DescriptionHandler()):
        assert announced == [host for host in hosts if host != "2001:db8::1"]
    server.stop()


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


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_without_standard_output_nothing_is_printed_and_the_exit_code_is_23(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as left:
        main([argument])
    assert left.value.code == 23
    assert capsys.readouterr().err == "httpsock: can't write to standard output: it is closed.\n"


def test_the_readme_documents_every_option() -> None:
    text = README.read_text(encoding="utf-8")
    options = [option for action in _parser()._actions for option in action.option_strings if option.startswith("--")]
    assert [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)] == []


# --- wrong arguments ------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the program with *arguments*, which are wrong. Return the error message."""
    with pytest.raises(SystemExit) as left:
        main(["there is no such folder", *arguments])
    printed = capsys.readouterr()
    assert (left.value.code, printed.out) == (2, "")
    assert re.fullmatch(r"httpsock: [^\n]+; see httpsock --help\.\n", printed.err), "one sentence, no usage"
    return printed.err


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
        pytest.param(["--lan", "--bind", "::1"], "not allowed with argument", id="--lan with --bind"),
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
