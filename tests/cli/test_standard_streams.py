"""The command line: closed and full standard streams."""

import os
import pathlib
import re
from collections.abc import Iterator

import pytest

from tests.support import fill_pipe
from tests.support.marks import needs_signals
from tests.support.program import COMMAND, ENVIRONMENT, Program, Start
from tests.support.rows import each_row
from tests.support.tools import tool

pytestmark = needs_signals

# As for most users, the interpreter buffers standard output.
BUFFERED = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}


def closing(descriptor: int) -> list[str]:
    """Return a command that closes a standard descriptor and starts the program."""
    return [tool("sh"), "-c", f'exec "$@" {descriptor}>&-', "sh", *COMMAND]


@pytest.fixture
def dead_pipe() -> Iterator[int]:
    """Yield the writing end of a pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a full pipe, the reading end first."""
    reading, writing = os.pipe()
    fill_pipe(writing)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read_port(program: Program) -> None:
    """Read the URL from standard error. The program has no standard output."""
    assert program.process.stderr
    line = program.process.stderr.readline().decode()
    match = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert match, f"no URL in {line!r}"
    program.url = match[0]


def test_the_program_serves_without_standard_output(start: Start) -> None:
    program = start("--port", "0", command=closing(1))
    read_port(program)
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[0] == 0


def test_the_program_serves_when_the_reader_of_standard_output_is_gone(start: Start, dead_pipe: int) -> None:
    program = start("--port", "0", "--quiet", stdout=dead_pipe, env=BUFFERED)
    read_port(program)
    assert program.ask("/hello.txt").status == 200
    assert program.stop() == (0, "", "")


PRINTING = each_row("arguments", [["--help"], ["--version"], ["get", "--help"], ["find", "--help"]])


@PRINTING
def test_output_that_cannot_be_written_is_reported_in_a_sentence(
    start: Start, dead_pipe: int, arguments: list[str]
) -> None:
    program = start(*arguments, stdout=dead_pipe, env=BUFFERED)
    assert program.end() == (23, "", f"{program_of(arguments)}: can't write to standard output: Broken pipe.\n")


@PRINTING
def test_output_to_a_closed_standard_output_is_reported_in_a_sentence(start: Start, arguments: list[str]) -> None:
    program = start(*arguments, command=closing(1), env=BUFFERED)
    assert program.end() == (23, "", f"{program_of(arguments)}: can't write to standard output: it is closed.\n")


def program_of(arguments: list[str]) -> str:
    """Return the program name that begins the error message of a command with *arguments*."""
    return "httpsock" if arguments[0].startswith("-") else f"httpsock {arguments[0]}"


def test_the_program_serves_without_standard_error(serving: Start) -> None:
    program = serving(command=closing(2))
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[:2] == (0, ""), "what belongs on standard error is not written to standard output"


def test_the_program_serves_when_the_reader_of_standard_error_is_gone(serving: Start, dead_pipe: int) -> None:
    program = serving(stderr=dead_pipe)
    assert program.ask("/hello.txt").status == 200
    assert program.ask("/hello.txt").status == 200, "the log of the first has failed by now"
    assert program.stop()[:2] == (0, "")


def test_the_program_serves_when_standard_output_is_a_full_pipe(start: Start, full_pipe: tuple[int, int]) -> None:
    program = start("--port", "0", stdout=full_pipe[1])
    read_port(program)
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[0] == 0


@pytest.mark.parametrize("arguments", [[], ["--processes", "2"], ["--trace"]], ids=" ".join)
def test_the_program_serves_when_standard_error_is_a_full_pipe(
    serving: Start, full_pipe: tuple[int, int], arguments: list[str]
) -> None:
    program = serving(*arguments, stderr=full_pipe[1])
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[:2] == (0, "")


def test_the_program_serves_a_folder_with_a_long_name_when_standard_error_is_almost_full(
    serving: Start, folder: pathlib.Path, full_pipe: tuple[int, int]
) -> None:
    """A pipe with room for a page is writable, but a longer write to it would block."""
    long = folder.joinpath(*["\x01" * 250] * 5)
    long.mkdir(parents=True)
    (long / "hello.txt").write_bytes(b"Hello")
    reading, writing = full_pipe
    os.read(reading, 4096)
    program = serving(str(long), stderr=writing)
    assert program.ask("/hello.txt").status == 200
    assert program.stop()[:2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [pytest.param(["nowhere"], 1, id="cannot serve"), pytest.param(["--port", "x"], 2, id="a wrong argument")],
)
def test_an_error_is_not_printed_on_standard_output(start: Start, arguments: list[str], code: int) -> None:
    assert start(*arguments, command=closing(2)).end()[:2] == (code, "")
