"""Servers that misbehave at one case. The user sees the name of the case. The case times out, and the run goes on."""

import io
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.semantics import ranges
from conformance.semantics import run as semantics_run

from . import target
from .progress import Progress
from .results import GONE, NO_TIME
from .site import DIGITS, SPARSE_OCTETS
from .testing import Script, reset, run_check, serving, url_of, wait
from .trials import LAST

PROJECT = Path(__file__).resolve().parents[2]
_FIRST = "Range: bytes=4294967295-4294967297 of 5 GiB has its bytes"
_ONE_OF_MANY = "An unknown method gets 501"
_CLOSING = b"Connection: close\r\n\r\n"
_DIGITS = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n" + _CLOSING + DIGITS
_PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/10\r\nContent-Length: 2\r\n" + _CLOSING + b"12"
_HEAD_OF_SPARSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % SPARSE_OCTETS + _CLOSING
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n" + _CLOSING

needs_terminals = pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system can't make terminals")


def file_server(misbehave: Script, at: bytes = b"GET /sparse.bin ") -> Script:
    """Return a small file server. If a request starts with *at*, the server calls *misbehave*."""

    def script(connected: socket.socket) -> None:
        asked = connected.recv(65536)
        if asked.startswith(at):
            misbehave(connected)
            return
        if asked.startswith(b"HEAD /sparse.bin"):
            connected.sendall(_HEAD_OF_SPARSE)
        elif asked.startswith(b"GET /digits.txt"):
            connected.sendall(_PART if b"\nRange: bytes=1-2\r" in asked else _DIGITS)
        else:
            connected.sendall(_NOT_FOUND)
        connected.shutdown(socket.SHUT_WR)
        wait(connected)

    return script


def answer_byte_by_byte(connected: socket.socket) -> None:
    """Send an endless head, one byte after the other, until the client closes."""
    connected.settimeout(0.05)
    while True:
        connected.sendall(b"x")
        try:
            if not connected.recv(65536):
                return
        except TimeoutError:
            pass


def eat_memory(connected: socket.socket) -> None:
    """Allocate memory, a little at a time, and answer nothing until the client closes."""
    connected.settimeout(0.01)
    eaten = []
    while True:
        eaten.append(bytes(1 << 16))
        try:
            if not connected.recv(65536):
                return
        except TimeoutError:
            pass


def flood(connected: socket.socket) -> None:
    """Send an answer without an end."""
    connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connected.sendall(bytes(1 << 16))


@pytest.mark.parametrize(
    ("misbehave", "how"),
    [
        (wait, " within 1.5 seconds"),
        (answer_byte_by_byte, ", although bytes come without end"),
        (eat_memory, " within 1.5 seconds"),
    ],
)
def test_a_server_that_does_not_answer_for_a_large_file_fails_that_check_by_name(
    misbehave: Script, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other checks of the large file are skipped, since each may cost the server gigabytes of memory."""
    monkeypatch.setattr(ranges, "_HEAVY_SECONDS", 1.5)
    monkeypatch.setattr(semantics_run, "_CHECK_SECONDS", 2.5)
    with serving(file_server(misbehave)) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", "5 GiB")
    assert code == 1
    assert len(results) == 4
    failed = results.pop(_FIRST)
    assert (failed["outcome"], failed["level"], failed["stops_server"]) == ("failed", "MUST", False)
    assert failed["why"] == f"no complete response to GET /sparse.bin HTTP/1.1{how}"
    says = f"not tried, to save memory: the server did not answer in time at: {_FIRST}"
    assert {result["why"] for result in results.values()} == {says}
    assert capsys.readouterr().err == f"conformance: {_FIRST}: {failed['why']}\n"


def test_a_server_too_slow_for_head_of_a_large_file_breaks_no_rule_of_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HEAD is slow if the server reads the whole file for each request, for example to make an entity-tag."""
    monkeypatch.setattr(ranges, "_HEAVY_SECONDS", 0.3)
    with serving(file_server(wait, b"HEAD /sparse.bin ")) as address:
        _, results = run_check(tmp_path, url_of(address), "--only", "R134")
    heavy = [result for name, result in results.items() if "5 GiB" in name]
    late = "HEAD of a file of 5 GiB fails: no complete response to HEAD /sparse.bin HTTP/1.1 within 0.3 seconds"
    others = f"not tried, to save memory: the server did not answer in time at: {_FIRST}"
    assert [(result["outcome"], result["why"]) for result in heavy] == [
        ("skipped", why) for why in (late, others, others, others)
    ]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("misbehave", "outcome", "why"),
    [
        (socket.socket.close, "failed", "no response to GET /sparse.bin HTTP/1.1: the connection closed"),
        (reset, "failed", "no response to GET /sparse.bin HTTP/1.1: the connection was reset"),
        (flood, "skipped", "the server sends the whole file, which is allowed"),
    ],
)
def test_a_server_that_ends_or_floods_the_answer_for_a_large_file_has_a_verdict_in_each_check_of_it(
    misbehave: Script, outcome: str, why: str, tmp_path: Path
) -> None:
    with serving(file_server(misbehave)) as address:
        _, results = run_check(tmp_path, url_of(address), "--only", "R134")
    heavy = [result for name, result in results.items() if "5 GiB" in name]
    assert [(result["outcome"], result["why"]) for result in heavy] == [(outcome, why)] * 4


def test_the_run_goes_on_behind_a_case_that_is_never_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the case without an answer times out. Standard error has its name."""
    with serving(file_server(wait, b"BREW /digits")) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", "R099")
    late = {name for name, result in results.items() if "no complete response" in result["why"]}
    assert code == 0
    assert late == {_ONE_OF_MANY}
    assert not any(result["why"].startswith(("no time", GONE)) for result in results.values())
    assert capsys.readouterr().err == (
        f"conformance: {_ONE_OF_MANY}: no complete response to BREW /digits.txt HTTP/1.1 within 2 seconds\n"
    )


def test_a_check_of_many_requests_ends_within_its_own_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the time of a check is over before a request is sent, the check has no verdict."""
    monkeypatch.setattr(semantics_run, "_CHECK_SECONDS", 0.0)
    with serving(file_server(wait)) as address:
        assert main(["check", url_of(address), "--only", _ONE_OF_MANY]) == 2
    assert capsys.readouterr().err == f"conformance: no case could be tried: {NO_TIME}\n"


def test_a_server_that_one_case_keeps_from_answering_others_stalls_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this test, the server handles one connection at a time. A request with the method BREW blocks it for 2 s."""
    monkeypatch.setattr(target, "_ANSWER_SECONDS", 1.0)
    turn = threading.Lock()

    def brew(connected: socket.socket) -> None:
        wait(connected)
        threading.Event().wait(2.0)

    def script(connected: socket.socket) -> None:
        with turn:
            file_server(brew, b"BREW /digits")(connected)

    with serving(script) as address:
        code, results = run_check(tmp_path, url_of(address), "--only", "R099")
    stops = {name for name, result in results.items() if result["stops_server"]}
    assert code == 1
    assert stops == {_ONE_OF_MANY}
    assert results[_ONE_OF_MANY]["why"].startswith("the server stalls: it answered no other request for ")
    assert (results[_ONE_OF_MANY]["requirement"], results[_ONE_OF_MANY]["level"]) == ("R093", "SECURITY")
    assert not any(result["why"].startswith(("no time", GONE)) for result in results.values())
    assert f"conformance: {_ONE_OF_MANY}: the server stalls: " in capsys.readouterr().err


def test_if_a_server_closes_its_listening_socket_the_report_names_the_cases_in_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check did not start the server in this test, so it can't restart the server.

    The remaining cases are not tried.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threads: list[threading.Thread] = []
    is_closed = threading.Event()

    def close(connected: socket.socket) -> None:
        is_closed.set()
        wait(connected)

    def serve_one(connected: socket.socket) -> None:
        with connected:
            file_server(close, b"BREW /digits")(connected)

    def serve() -> None:
        with listener:
            listener.settimeout(0.05)
            while not is_closed.is_set():
                try:
                    connected = listener.accept()[0]
                except TimeoutError:
                    continue
                connected.settimeout(None)
                threads.append(threading.Thread(target=serve_one, args=(connected,)))
                threads[-1].start()

    address = listener.getsockname()[:2]
    server = threading.Thread(target=serve)
    server.start()
    code, results = run_check(tmp_path, url_of(address), "--only", "R099")
    for thread in (server, *threads):
        thread.join()
    assert code == 1
    assert results[LAST]["why"].startswith("the server stops: it no longer accepts connections; in progress: ")
    assert _ONE_OF_MANY in results[LAST]["why"]
    assert f"conformance: {LAST}: the server stops: it no longer accepts connections" in capsys.readouterr().err


def _terminal_shows(terminal: int, text: bytes) -> bytes:
    """Read from *terminal* until *text* appears. Return all output."""
    shown = b""
    while text not in shown:
        shown += os.read(terminal, 4096)
    return shown


@needs_terminals
def test_a_terminal_shows_the_case_in_progress_and_how_many_are_done(tmp_path: Path) -> None:
    """The progress line goes only to the terminal, and not into the report on standard output."""
    is_seen = threading.Event()

    def hold(connected: socket.socket) -> None:
        is_seen.wait()
        connected.sendall(_NOT_FOUND)

    ours, theirs = os.openpty()
    with serving(file_server(hold, b"BREW /digits")) as address:
        command = [sys.executable, "-m", "conformance", "check", url_of(address), "--only", "R099"]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=theirs) as program:
            shown = _terminal_shows(ours, f" s: {_ONE_OF_MANY}".encode())
            is_seen.set()
            assert program.stdout is not None
            report = program.stdout.read()
        os.close(theirs)
    os.close(ours)
    assert b" of " in shown
    assert b" tried; " in shown
    assert b"\r" not in report


@needs_terminals
def test_the_line_of_progress_is_as_wide_as_its_terminal() -> None:
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 16))
    with (
        open(theirs, "w", encoding="utf-8") as terminal,
        Progress(terminal) as progress,
        progress.running("a-step-with-a-long-name"),
    ):
        shown = _terminal_shows(ours, b" s: ")
    # At its end, a terminal of Linux gives an error.
    with suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert b" s: a-step-wit\r" in shown
    assert {len(line) for line in shown.split(b"\r")} == {15, 0}


def test_after_five_cases_the_others_are_only_counted() -> None:
    printed = io.StringIO()
    with Progress(printed) as progress:
        for number in (1, 2, 3, 3, 4, 5, 6, 7):
            progress.report(f"case-{number}", "it ran out of time")
    lines = printed.getvalue().splitlines()
    assert lines[:5] == [f"conformance: case-{number}: it ran out of time" for number in (1, 2, 3, 4, 5)]
    assert lines[5:] == ["conformance: 2 more cases and checks stop the server or run out of time"]


@needs_terminals
def test_a_message_on_a_terminal_erases_the_line_of_progress_first() -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        with Progress(terminal) as progress, progress.running("a-step"):
            shown = _terminal_shows(ours, b"0 s: a-step")
            progress.report("a-case", "why")
            shown += _terminal_shows(ours, b"why\r\n")
        assert b"a-step\r" + b" " * len("0 s: a-step") + b"\rconformance: a-case: why\r\n" in shown
    os.close(ours)
