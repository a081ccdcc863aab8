"""``httpsock find``: its output, exit codes and arguments."""

import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import httpsock
from httpsock.__main__ import main
from httpsock.cli import find as find_module
from httpsock.discovery.announcer import Announcer
from httpsock.discovery.description_handler import DescriptionHandler
from httpsock.discovery.multicast import Interface
from tests.support import TIMEOUT_SECONDS
from tests.support.devices import NAMELESS, TO, devices
from tests.support.program import COMMAND, ENVIRONMENT
from tests.support.rows import each_row

Captured = pytest.CaptureFixture[str]


def run_find(port: int, *arguments: str) -> int:
    """Run ``httpsock find`` for one second with the devices at *port*. Return the exit code."""
    return main(["find", "--to", f"{TO}:{port}", "--seconds", "1", *arguments])


def test_find_prints_each_device_once_and_escapes_its_control_characters(capsys: Captured) -> None:
    evil = NAMELESS.replace(b"uuid:1::a", b"uuid:2\xc2\x9b2J")
    with devices(NAMELESS, evil, NAMELESS) as port:
        assert run_find(port) == 0
    out, error = capsys.readouterr()
    assert out == "uuid:1::a  nowhere  127.0.0.1\nuuid:2\\x9b2J  nowhere  127.0.0.1\n"
    assert error == ""


def test_find_accepts_a_status_line_without_a_reason_phrase(capfd: Captured) -> None:
    with devices(b"HTTP/1.1 200\r\n\r\n", NAMELESS.replace(b" OK", b"")) as port:
        assert run_find(port, "--trace") == 0
    out, error = capfd.readouterr()
    assert out == "uuid:1::a  nowhere  127.0.0.1\n"
    assert "Traceback" not in error


def test_json_output_is_one_object_for_each_device(capsys: Captured) -> None:
    with devices(NAMELESS) as port:
        assert run_find(port, "--json", "--all") == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "uuid:1::a", "url": "nowhere", "address": TO, "server": "b", "identity": "uuid:1"
    }  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_a_full_standard_output_gives_exit_code_23() -> None:
    with devices(NAMELESS) as port, open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "find", "--to", f"{TO}:{port}", "--seconds", "1"],
            env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 23
    assert done.stderr.startswith(b"httpsock find: can't write to standard output: ")
    assert b"Traceback" not in done.stderr


def test_a_closed_standard_output_gives_exit_code_23(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with devices(NAMELESS) as port:
        assert run_find(port) == 23
    assert capsys.readouterr().err == "httpsock find: can't write to standard output: it is closed.\n"


def test_characters_outside_the_encoding_of_standard_output_are_escaped() -> None:
    named = NAMELESS.replace(b"uuid:1::a", "uuid:ä".encode())
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    with devices(named) as port:
        command = [*COMMAND, "find", "--to", f"{TO}:{port}", "--seconds", "1"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"uuid:\\xe4  nowhere  {TO}\n".encode())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_an_interrupt_gives_exit_code_130(interruptible: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(TIMEOUT_SECONDS)
        asked.bind((TO, 0))
        command = [*COMMAND, "find", "--to", f"{TO}:{asked.getsockname()[1]}", "--seconds", "60"]
        with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as program:
            asked.recv(1000)
            program.send_signal(signal.SIGINT)
            _, error = program.communicate(timeout=TIMEOUT_SECONDS)
    assert (program.returncode, error) == (130, b"httpsock find: interrupted.\n")


class InterruptingOutput(io.StringIO):
    """A standard output that raises SIGINT at each write, as if the user pressed Ctrl-C."""

    def write(self, text: str) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_an_interrupt_between_two_devices_gives_exit_code_130(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    with devices(NAMELESS, NAMELESS.replace(b"uuid:1", b"uuid:2")) as port:
        monkeypatch.setattr("sys.stdout", output := InterruptingOutput())
        assert run_find(port) == 130
    assert (output.getvalue(), capsys.readouterr().err) == ("", "httpsock find: interrupted.\n")


def test_a_search_that_finds_no_device_gives_exit_code_1(capsys: Captured) -> None:
    with devices() as port:
        assert run_find(port) == 1
    assert capsys.readouterr() == ("", "httpsock find: no device answered within 1 s.\n")


def test_a_search_that_cannot_be_sent_is_reported(capsys: Captured) -> None:
    assert main(["find", "--bind", "192.0.2.1"]) == 1
    assert re.fullmatch(r"httpsock find: cannot send a search: .*\.\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "nobody"], "'nobody' is not an IPv4 or IPv6 address"),
        (["--to", "127.0.0.1:0"], "'0' is not a port from 1 to 65535"),
        (["--to", "[::1]1900"], "'::1]1900' is not an IPv4 or IPv6 address"),
        (["--to", "::1", "--bind", "::1"], "not allowed with"),
        (["--to", "fe80::1%no-such-interface"], "'fe80::1%no-such-interface' can't be searched: "),
        (["--bind", "here"], "'here' is not an IPv4 or IPv6 address"),
        (["--bind", "fe80::1%no-such-interface"], "'fe80::1%no-such-interface' is not an address of this machine: "),
        (["--seconds", "0"], "'0' is not a number of seconds from 1 to 60"),
    ],
)
def test_an_invalid_argument_gives_exit_code_2(arguments: list[str], reason: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        main(["find", *arguments])
    assert left.value.code == 2
    assert reason in capsys.readouterr().err


@each_row(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 1900)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("::1", ("::1", 1900, 0, 0)),
        ("[::1]", ("::1", 1900, 0, 0)),
        ("[::1]:80", ("::1", 80, 0, 0)),
        ("[fe80::1%1]:80", ("fe80::1", 80, 0, 1)),
    ],
)
def test_option_to_takes_an_address_with_an_optional_port(text: str, expected: tuple[object, ...]) -> None:
    assert find_module._peer(text) == expected


def test_one_trace_shows_the_search_and_the_download_of_the_description(folder: pathlib.Path, capfd: Captured) -> None:
    description = DescriptionHandler()
    server = httpsock.Server(folder, port=0, middleware=[description])
    with server, Announcer(server.directory, [TO], server.port, description, group_port=0) as running:
        assert run_find(running.group_port, "--trace=json") == 0
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    calls = [(event["connection"], event["event"]) for event in events]
    asked = [(0, "socket"), (0, "sendto"), (0, "sendto"), (0, "wait")]
    assert calls[:4] == asked
    assert set(calls[4:-10]) <= {(0, "recvfrom"), (0, "parse"), (0, "repeated")}
    described = ["getaddrinfo", "socket", "connect", "send", "recv", "parse", "content", "close"]
    assert calls[-10:-8] == [(0, "timeout"), (0, "close")]
    assert calls[-8:] == [(1, name) for name in described]


def test_without_a_network_interface_the_system_chooses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "announcing_interfaces", list)
    assert find_module._networks() == [Interface("0.0.0.0")]
    monkeypatch.setattr(find_module, "announcing_interfaces", lambda: [Interface("127.0.0.1")])
    assert find_module._networks() == [Interface("127.0.0.1")]


def test_the_trace_reports_a_device_that_answers_twice(capfd: Captured) -> None:
    with devices(NAMELESS, NAMELESS) as port:
        assert run_find(port, "-v") == 0
    assert re.search(r"  repeated: uuid:1 has answered already\n", capfd.readouterr().err)


def test_the_trace_says_why_a_description_is_skipped(capfd: Captured) -> None:
    with devices(NAMELESS) as port:
        assert run_find(port, "-v") == 0
    error = capfd.readouterr().err
    assert error.endswith('  skip the description of uuid:1: the URL "nowhere" does not begin with http://\n')
