"""Faults while the command stops or restarts: a response that has an end is sent whole, and no client is lost."""

import contextlib
import os
import signal
import socket
import sys

import pytest

from httpsock import TestServer
from tests.support import connect, eventually, get, is_refused, read_answer, receive_all, receive_answer
from tests.support.folder import HELLO
from tests.support.marks import in_each_form
from tests.support.program import Program, Start

if not hasattr(os, "posix_spawn"):
    pytest.skip("this system has no signals for it", allow_module_level=True)

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reopens a listening socket")


def begin(program: Program) -> socket.socket:
    """Return a client that has received the first byte of its response."""
    client = connect(program.port)
    client.sendall(get("/hello.txt", "Connection: close"))
    assert client.recv(1) == b"H"
    return client


# --- Responses that take long ---------------------------------------------------------------------


@in_each_form
def test_a_slow_response_is_sent_whole_by_a_server_that_stops(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--fault", "drip=1000", "--grace", "60", "--processes", processes)
    with begin(program) as client:
        program.process.send_signal(signal.SIGTERM)

        assert read_answer(b"H" + receive_all(client))[0].content == HELLO

    assert program.end()[0] == 0


@in_each_form
def test_a_slow_response_is_sent_whole_by_a_server_that_restarts(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--fault", "/hello.txt:drip=1000", "--grace", "0", "--processes", processes)
    with connect(program.port) as client:
        client.sendall(get("/sub/index.html"))
        assert receive_answer(client).status == 200
        program.restart()
        client.sendall(get("/hello.txt", "Connection: close"))

        assert read_answer(receive_all(client))[0].content == HELLO

    assert program.stop()[0] == 0


@pytest.mark.parametrize("fault", ["stall", "endless-head", "endless-1xx"])
def test_an_endless_response_ends_when_the_server_stops(serving: Start, fault: str) -> None:
    program = serving("--quiet", "--fault", fault, "--grace", "3600")
    with begin(program):
        code, _, standard_error = program.stop()

    assert code == 0
    assert "cut off" not in standard_error


@pytest.mark.parametrize("fault", ["stall", "endless-head", "endless-1xx"])
def test_an_endless_response_ends_when_the_server_restarts(serving: Start, fault: str) -> None:
    program = serving("--quiet", "--fault", f"{fault}*1")
    with begin(program) as client:
        program.restart()
        with contextlib.suppress(ConnectionResetError):
            receive_all(client)

    assert program.stop()[0] == 0


def test_a_broken_response_tells_that_the_server_drains(server: TestServer) -> None:
    server.respond("/x", content=b"x")
    server.fault("drip=1000000")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        octets = b""
        while not octets.endswith(b"\r\n\r\nx"):
            octets += client.recv(65536)
        assert read_answer(octets)[0].field("Connection") is None
        server.drain()

        client.sendall(get("/x"))

        assert read_answer(receive_all(client))[0].field("Connection") == "close"


# --- Faults of listening sockets ------------------------------------------------------------------


@on_linux
@pytest.mark.parametrize("trace", [(), ("--trace",)], ids=["plain", "traced"])
def test_the_command_is_restarted_while_the_port_is_closed(serving: Start, trace: tuple[str, ...]) -> None:
    program = serving(*trace, "--bind", "127.0.0.1", "--fault", "refuse=3600")
    for _ in range(2):
        program.restart()
        assert is_refused(program.port)

    code, _, standard_error = program.stop()

    assert code == 0
    assert "Traceback" not in standard_error


@on_linux
def test_after_a_restart_the_port_opens_as_the_new_process_says(serving: Start) -> None:
    program = serving("--bind", "127.0.0.1", "--fault", "refuse=0.2*1")
    program.restart()

    assert eventually(lambda: not is_refused(program.port))
    assert program.ask("/hello.txt").content == HELLO

    assert program.stop()[0] == 0


@on_linux
def test_a_connection_that_waits_during_a_restart_is_answered_by_the_new_process(serving: Start) -> None:
    # With this number, the fault spares the first connection of each process, and applies to the second.
    program = serving("--bind", "127.0.0.1", "--fault", "slow-accept=3600@0.5", "--fault-seed", "1")
    program.ask("/hello.txt")
    with connect(program.port) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        program.restart()

        assert receive_all(client).startswith(b"HTTP/1.1 200 ")

    assert program.stop()[0] == 0
