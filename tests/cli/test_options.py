"""The command line: options for files and for the access log."""

import gzip
import json
import os
import pathlib
import re

import pytest

from tests.support import connect, exchange, get
from tests.support.folder import LONG_AGO
from tests.support.marks import needs_signals
from tests.support.program import Start

pytestmark = needs_signals


# --- what is served -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "status", "is_listed"),
    [pytest.param([], 404, False, id="R144: without an option"), pytest.param(["--hidden"], 200, True, id="--hidden")],
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
    [pytest.param([], 404, id="R144: without an option"), pytest.param(["--follow-links"], 200, id="--follow-links")],
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
        pytest.param(["--cache", "3600"], "max-age=3600", id="--cache sets for how long they need not"),
        pytest.param(["--cache", "0"], "no-cache", id="--cache 0 is the default"),
        pytest.param(["--header", "cache-control: no-transform"], "no-transform", id="--header replaces it"),
        pytest.param(
            ["--cache", "9", "--header", "Cache-Control: public", "--header", "Cache-Control: immutable"],
            "public, immutable",
            id="two --header make one list",
        ),
    ],
)
def test_option_cache_sets_the_freshness_of_files(serving: Start, options: list[str], expected: str) -> None:
    program = serving(*options)
    answer = program.ask("/hello.txt")
    assert answer.field("Cache-Control") == expected
    again = program.ask("/hello.txt", f"If-None-Match: {answer.field('ETag')}")
    assert (again.status, again.field("Cache-Control")) == (304, expected), "R125"
    assert program.ask("/nothing").field("Cache-Control") == "no-store", "a refusal is never cached"


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
    assert b"\r\nX-Greeting: gr\xc3\xbc\xc3\x9fe\r\n" in exchange(program.port, get("/hello.txt")), "R040"


# --- the log --------------------------------------------------------------------------------------------------------


def log_of(serving: Start, *options: str) -> list[str]:
    """Send two requests and return their log lines. The line for hello.txt comes first."""
    program = serving(*options)
    program.ask("/hello.txt")
    program.ask("/nothing?\x1b[2J")
    code, more, error = program.stop()
    assert (code, more) == (0, "")
    first, *lines = error.splitlines()
    assert first.startswith("Serving ")
    # Two threads may write in either order.
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


def test_one_thread_serves_other_clients_beside_a_silent_one(serving: Start) -> None:
    program = serving("--threads", "1")
    with connect(program.port):
        assert program.ask("/hello.txt").status == 200, "R093"
    assert program.stop()[0] == 0
