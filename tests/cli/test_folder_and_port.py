"""The command line: which folder the program serves, and at which addresses and ports."""

import os
import pathlib
import sys

import pytest

import httpsock
from httpsock.cli.options import options_of
from httpsock.cli.serve import _DEFAULT_PORTS, _print_urls
from httpsock.server.addresses import local_addresses
from httpsock.server.listeners import url_of
from tests.cli.programs import cannot_serve, need_address, taken_port, unprivileged_command
from tests.support import connect, get, receive_all
from tests.support.marks import needs_signals
from tests.support.program import ENVIRONMENT, Start

pytestmark = needs_signals


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


def test_control_characters_in_the_name_of_the_folder_are_escaped(serving: Start, folder: pathlib.Path) -> None:
    (folder / "a\x1b[31m\n").mkdir()
    program = serving("a\x1b[31m\n", "--bind", "127.0.0.1")
    (line,) = program.stop()[2].splitlines()
    assert line == rf"Serving {folder}/a\x1b[31m\x0a at {program.url} (Ctrl-C to stop)"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=str)
def test_bytes_in_the_name_of_the_folder_that_are_not_utf_8_are_escaped(
    serving: Start, folder: pathlib.Path, variables: dict[str, str]
) -> None:
    name = os.fsdecode("ä".encode() + b"\xff")
    (folder / name).mkdir()
    program = serving(name, "--bind", "127.0.0.1", env=ENVIRONMENT | variables)
    (line,) = program.stop()[2].splitlines()
    shown = r"\xe4\xff" if variables else r"ä\xff"
    assert line == rf"Serving {folder}/{shown} at {program.url} (Ctrl-C to stop)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nowhere"], "there is no folder 'nowhere'.", id="no such folder"),
        pytest.param(["hello.txt"], "'hello.txt' is not a folder.", id="a file"),
        pytest.param([""], "there is no folder ''.", id="an empty name"),
        pytest.param(["--bind", "192.0.2.1"], "192.0.2.1 is not an address of this machine.", id="not our address"),
        pytest.param(
            ["--bind", "::1%no-such-interface"],
            "::1%no-such-interface is not an address of this machine.",
            id="not our interface",
        ),
        pytest.param(
            ["--bind", "fe80::1"],
            "fe80::1 can't be bound; an address such as fe80::1 needs its zone (fe80::1%eth0).",
            id="an address without its zone",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="other systems have another error, or none"),
        ),
    ],
)
def test_a_failed_start_is_reported_in_a_sentence(start: Start, arguments: list[str], sentence: str) -> None:
    assert cannot_serve(start(*arguments, "--port", "0")) == sentence


def test_any_other_error_is_reported_in_a_sentence(start: Start) -> None:
    assert "File name too long" in cannot_serve(start("x" * 300))


# This program runs httpsock, and leaves it only a few descriptors once the sockets are bound.
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
def test_too_few_descriptors_are_reported_in_a_sentence(start: Start, processes: str, spare: int) -> None:
    command = [sys.executable, "-c", FEW_DESCRIPTORS.format(spare)]
    program = start("--bind", "127.0.0.1", "--port", "0", "--processes", processes, command=command)

    assert cannot_serve(program) == "cannot serve: Too many open files."


def test_an_unreadable_folder_is_reported_in_a_sentence(start: Start, folder: pathlib.Path) -> None:
    (folder / "sub").chmod(0)
    try:
        assert cannot_serve(start("sub", command=unprivileged_command())) == "this user may not read the folder 'sub'."
    finally:
        (folder / "sub").chmod(0o700)


def test_a_privileged_port_is_reported_in_a_sentence(start: Start) -> None:
    first_free = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if first_free.exists() and int(first_free.read_text()) <= 1:
        pytest.skip("this system lets anybody bind any port")
    program = start("--port", "1", command=unprivileged_command())
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
def test_a_bare_number_that_is_not_a_folder_is_the_port(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], port: int | None, directory: str | None
) -> None:
    (folder / "2024").mkdir()
    monkeypatch.chdir(folder)
    options = options_of(arguments)
    assert (options.port, options.directory) == (port, directory)


def test_a_bare_number_that_is_not_a_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(["80800"])
    assert "'80800' is not a port from 0 to 65535" in capsys.readouterr().err


def test_bind_may_be_repeated(serving: Start) -> None:
    need_address("::1")
    program = serving("-b", "127.0.0.1", "--bind", "::1", "-b", "::1")
    for host in ("127.0.0.1", "::1"):
        connect(program.port, host).close()
    assert f"http://127.0.0.1:{program.port}/ and http://[::1]:{program.port}/ " in program.stop()[2]


def test_each_requested_address_must_exist(start: Start) -> None:
    sentence = cannot_serve(start("--bind", "127.0.0.1", "--bind", "2001:db8::1", "--port", "0"))
    assert sentence == "127.0.0.1 or 2001:db8::1 is not an address of this machine."


def test_a_zone_is_encoded_in_the_url() -> None:
    assert url_of("fe80::1%eth0", 8000) == "http://[fe80::1%25eth0]:8000/"


def test_a_zone_in_the_url_is_explained(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = httpsock.Server(folder, port=0)
    server.urls = [url_of("fe80::1%eth0", 8000)]
    _print_urls(server, options_of(["--port", "0"]), None)
    server.stop()
    out, error = capfd.readouterr()
    assert out == "http://[fe80::1%25eth0]:8000/\n"
    assert error.endswith("\nBrowsers open no address with a zone, such as %eth0; curl and httpsock get do.\n")


@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits_the_terminal(start: Start, columns: int) -> None:
    for arguments in (["--help"], ["get", "--help"], ["find", "--help"]):
        code, out, _ = start(*arguments, env={**ENVIRONMENT, "COLUMNS": str(columns)}).end()
        assert code == 0
        command = " ".join(["python3 -m httpsock", *arguments[:-1]])
        assert out.startswith(f"usage: {command} [")
        assert [line for line in out.splitlines() if len(line) > columns] == []


# --- which port -----------------------------------------------------------------------------------------------------


def with_default_ports(*ports: int) -> list[str]:
    """Return a command that runs the program with other default ports, since 8000 may be in use."""
    set_ports = f"program._DEFAULT_PORTS = {ports}; program.DEFAULT_PORT = {ports[0]}"
    start = f"import sys, httpsock.cli.serve as program; {set_ports}; sys.exit(program.main(sys.argv[1:]))"
    return [sys.executable, "-c", start]


def test_the_default_ports_are_8000_to_8009() -> None:
    assert list(_DEFAULT_PORTS) == list(range(8000, 8010))


def test_a_default_port_in_use_is_skipped_and_reported(start: Start) -> None:
    with taken_port() as first, taken_port() as second:
        program = start(command=with_default_ports(first, second, 0))
        program.read_url()
        assert program.ask("/hello.txt").status == 200
        _, _, error = program.stop()
    assert program.port not in (first, second)
    assert error.splitlines()[0] == f"Port {first} is in use, so this is port {program.port}."


def test_default_ports_that_are_all_in_use_are_reported_in_a_sentence(start: Start) -> None:
    with taken_port() as first, taken_port() as last:
        sentence = cannot_serve(start(command=with_default_ports(first, last)))
    assert sentence == f"all ports from {first} to {last} are in use; choose another with --port."


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_requested_port_is_not_replaced_by_another(start: Start, host: str) -> None:
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


def test_lan_prints_each_address_for_other_devices(serving: Start, folder: pathlib.Path) -> None:
    addresses = local_addresses()
    program = serving("--lan", "--quiet")
    for address in ["127.0.0.1", *addresses]:
        with connect(program.port, address) as client:
            client.sendall(get("/hello.txt", "Connection: close"))
            assert receive_all(client).startswith(b"HTTP/1.1 200 OK\r\n")
    code, _, error = program.stop()
    assert code == 0
    first, *urls = error.splitlines()
    assert first.startswith(f"Serving {folder} to the whole network (Ctrl-C to stop). ")
    assert urls == [f"  {url_of(address, program.port)}" for address in addresses]


@pytest.mark.parametrize(
    ("addresses", "hint"),
    [
        (
            ["192.0.2.1", "2001:db8::1"],
            "On other devices type:\n  http://192.0.2.1:{0}/\n  http://[2001:db8::1]:{0}/\n",
        ),
        ([], "But this machine is in no network now.\n"),
    ],
)
def test_lan_says_how_other_devices_reach_the_server(
    folder: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    addresses: list[str],
    hint: str,
) -> None:
    monkeypatch.setattr("httpsock.cli.serve.local_addresses", lambda: addresses)
    with httpsock.Server(folder, port=0) as server:
        _print_urls(server, options_of(["--lan", "--port", "0"]), None)
    expected = f"Serving {folder} to the whole network (Ctrl-C to stop). {hint.format(server.port)}"
    assert capfd.readouterr().err == expected
