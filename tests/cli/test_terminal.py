"""Safe text for a terminal, and the progress bar."""

import io
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.cli.serve import _log
from httpsock.cli.stderr import StderrWriter
from httpsock.cli.terminal import Progress, TerminalText
from httpsock.http.text import visible
from httpsock.server.access_log import Exchange
from tests.support import TIMEOUT_SECONDS
from tests.support.rows import each_row


def shown(*pieces: bytes) -> str:
    """Return the terminal output for content in *pieces*."""
    stream = io.StringIO(newline="")
    text = TerminalText(stream.write)
    for piece in pieces:
        text.write(piece)
    text.write(b"", is_last=True)
    return stream.getvalue()


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"a\tb\nc", "a\tb\nc", id="text, lines and tabs are unchanged"),
        pytest.param("Öl, 水, 😀".encode(), "Öl, 水, 😀", id="letters of all scripts"),
        pytest.param(b"a\r\nb", "a\nb", id="CRLF is a line's end"),
        pytest.param(b"safe\rforged", "safe\nforged", id="a lone CR overwrites nothing"),
        pytest.param(b"\x1b[2J\x07\x08", "\\x1b[2J\\x07\\x08", id="controls"),
        pytest.param(b"\xc2\x9b2J", "\\x9b2J", id="C1 controls in UTF-8"),
        pytest.param(b"\x9b2J\xff", "\\x9b2J\\xff", id="octets that are no UTF-8"),
        pytest.param("a\u202eb\u2028".encode(), "a\\u202eb\\u2028", id="marks of direction, other line ends"),
        pytest.param("\U000e0041".encode(), "\\U000e0041", id="invisible marks beyond 16 bits"),
    ],
)
def test_control_characters_for_a_terminal_are_escaped(octets: bytes, expected: str) -> None:
    assert shown(octets) == expected
    assert shown(*(bytes([octet]) for octet in octets)) == expected


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_only_printable_text_lines_and_tabs_reach_the_terminal(octets: bytes) -> None:
    assert all(character.isprintable() or character in "\n\t" for character in shown(octets))


def test_control_characters_in_one_line_do_not_break_it() -> None:
    assert visible("a\tb\r\n\x1b\x85") == "a\\x09b\\x0d\\x0a\\x1b\\x85"
    assert visible("as it is") == "as it is"


@pytest.fixture
def terminal() -> Iterator[tuple[io.TextIOWrapper, int]]:
    """Yield a stream that writes to a terminal, and the descriptor from which the test reads."""
    if not hasattr(os, "openpty"):
        pytest.skip("this system can't make terminals")
    watching, watched = os.openpty()
    with os.fdopen(watched, "w", newline="") as stream:
        yield stream, watching
    os.close(watching)


def test_a_line_of_the_access_log_is_as_wide_as_the_terminal_is_then(
    terminal: tuple[io.TextIOWrapper, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, watching = terminal
    termios = pytest.importorskip("termios")
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    exchange = Exchange(0.0, "127.0.0.1", b"GET /" + b"x" * 200 + b" HTTP/1.1", 200, 312, 312, 0.0004)
    lines = StderrWriter()
    log = _log("text", lines)
    for columns in (100, 40, 80):
        termios.tcsetwinsize(stream.fileno(), (24, columns))
        log([exchange])
        assert len(os.read(watching, 1000).decode()) == columns + len("\r\n")
    lines.close(TIMEOUT_SECONDS)


def test_a_short_transfer_has_no_progress_bar() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 0, 10, clock=iter([0.0, 0.4]).__next__)
    progress.advance(10)
    progress.finish()
    assert stream.getvalue() == ""


def test_a_progress_bar_is_drawn_after_a_delay_and_rarely() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 0, 4096, clock=iter([0.0, 1.0, 1.05, 2.0, 2.0]).__next__)
    progress.advance(1024)
    progress.advance(1024)
    progress.advance(2048)
    progress.finish()
    first, second, last = stream.getvalue().removeprefix("\r").split("\r")
    assert first == " 25% [######..................] 1.0 KiB  1.0 KiB/s  3 s left\x1b[K"
    assert second == "100% [########################] 4.0 KiB  2.0 KiB/s  0 s left\x1b[K"
    assert last == second + "\n"


def test_resumed_bytes_count_for_the_share_and_not_for_the_rate() -> None:
    stream = io.StringIO()
    Progress(stream, 100, 200, clock=iter([0.0, 1.0]).__next__).advance(0)
    assert stream.getvalue() == "\r 50% [############............] 100 B  0 B/s  0 s left\x1b[K"


@each_row(
    ("octets", "expected"),
    [
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (1 << 30, "1.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_without_a_total_the_bar_shows_the_bytes(octets: int, expected: str) -> None:
    stream = io.StringIO()
    Progress(stream, 0, None, clock=iter([0.0, 1.0]).__next__).advance(octets)
    assert stream.getvalue() == f"\r{expected}  {expected}/s\x1b[K"


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (60, b" 50% [############............] 50 B  50 B/s  1 s left"),
        (45, b" 50% [#######.......] 50 B  50 B/s  1 s left"),
        (36, b" 50% [##...] 50 B  50 B/s  1 s left"),
        (20, b" 50% [] 50 B  50 B/"),
    ],
)
def test_a_bar_stays_on_one_line_of_a_narrow_terminal(
    terminal: tuple[io.TextIOWrapper, int], columns: int, shown: bytes
) -> None:
    stream, watching = terminal
    termios = pytest.importorskip("termios")
    termios.tcsetwinsize(stream.fileno(), (24, columns))
    Progress(stream, 0, 100, clock=iter([0.0, 1.0]).__next__).advance(50)
    assert os.read(watching, 1000) == b"\r" + shown + b"\x1b[K"
