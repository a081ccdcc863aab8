"""Trace events as text and as JSON. Control characters are escaped."""

import json
import re
from typing import Any

from httpsock.tracing.events import EXTRA_ATTRIBUTES, FORMATS, Event, TextFormatter, format_json, visible_octets
from tests.support.rows import each_row

HEAD = b'GET / HTTP/1.1\r\nHost: localhost\r\nX: "\\\x1b[2J\xff\r\n\r\n'
TCP = dict.fromkeys(
    """segment_octets round_trip_us round_trip_variation_us congestion_window_segments retransmits octets_acknowledged
    least_round_trip_us limited_by_window_us peer_window_octets""".split(),
    1,
)


def event(
    name: str, attributes: dict[str, Any], head: bytes = b"", octets: bytes = b"", seconds: float = 0.0012
) -> Event:
    """Return an event of one connection."""
    return Event(1795000000.25, 4711, 3, "127.0.0.1:52814", seconds, name, attributes, head, octets)


# --- Text ---------------------------------------------------------------------------------------------------------


@each_row(
    ("seconds", "shown"),
    [
        (0.0, "0 µs"),
        (0.000_041, "41 µs"),
        (0.001_2, "1.200 ms"),
        (0.999_999_1, "999.999 ms"),
        (20.0, "20.000 s"),
        (1234.567, "1234.567 s"),
    ],
)
def test_a_time_is_shown_in_a_suitable_unit(seconds: float, shown: str) -> None:
    assert TextFormatter()(event("accept", {}, seconds=seconds)) == f"#3 127.0.0.1:52814  {shown:>10}  accept\n"


@each_row(
    ("name", "attributes", "sentence"),
    [
        ("socket", {"family": "AF_INET", "type": "SOCK_STREAM"}, "socket AF_INET, SOCK_STREAM"),
        ("bind", {"address": "[::1]:80"}, "bind [::1]:80"),
        ("bind", {"address": "[::1]:80", "error": "EACCES", "message": "No"}, "bind [::1]:80: EACCES, No"),
        ("listen", {"backlog": 5, "address": "[::1]:80"}, "listen 5 at [::1]:80"),
        ("wait", {"for": "a request", "seconds": 0.5}, "wait for a request, at most 0.5 s"),
        ("timeout", {"for": "a request", "seconds": 20.0}, "timeout after 20 s of waiting for a request"),
        ("evict", {"for": "a request"}, "evict while it waits for a request: another client needs the connection"),
        ("recv", {"octets": 78}, "recv 78"),
        ("recv", {"octets": 0}, "recv 0: the peer has ended its side"),
        ("recv", {"error": "ECONNRESET", "message": "Reset"}, "recv: ECONNRESET, Reset"),
        ("stat", {"name": "a", "kind": "file", "octets": 5}, "stat a: file, 5 bytes"),
        ("stat", {"name": "a", "error": "ENOENT", "message": "No"}, "stat a: ENOENT, No"),
        ("cache", {"name": "a", "octets": 5}, "cache hit a, 5 bytes"),
        (
            "unverified",
            {"name": "a.gz", "coding": "gzip"},
            "unverified a.gz: its bytes are not verified as the file in gzip",
        ),
        ("scandir", {"name": "a", "error": "ENOENT", "message": "No"}, "scandir a: ENOENT, No"),
        ("sendfile", {"octets": 1048576}, "sendfile 1048576"),
        ("close", {}, "close"),
        ("close", {"address": "[::1]:80"}, "close [::1]:80"),
        ("lost", {"events": 5}, "lost 5 events: they came faster than they could be written"),
    ],
)
def test_an_event_is_shown_with_the_name_of_the_system_call(
    name: str, attributes: dict[str, Any], sentence: str
) -> None:
    assert TextFormatter()(event(name, attributes)) == f"#3 127.0.0.1:52814    1.200 ms  {sentence}\n"


def test_received_and_sent_octets_are_shown_below_the_event() -> None:
    parsed = TextFormatter()(event("parse", {"method": "GET", "target": "/"}, HEAD))
    sent = TextFormatter()(event("send", {"octets": 30, "content": 1234}, b"HTTP/1.1 200 OK\r\n\r\n"))
    assert parsed.splitlines()[1:] == [
        "      > GET / HTTP/1.1",
        "      > Host: localhost",
        r'      > X: "\x5c\x1b[2J\xff',
        "      >",
    ]
    assert sent.splitlines()[1:] == ["      < HTTP/1.1 200 OK", "      <", "      < (1,234 bytes of content)"]


def test_a_refusal_shows_its_reason_and_the_refused_bytes() -> None:
    attributes = {"status": 400, "phrase": "Bad Request", "reason": "it is wrong", "section": "RFC 9112 §3"}
    assert TextFormatter()(event("refuse", attributes, b"GET")).splitlines() == [
        "#3 127.0.0.1:52814    1.200 ms  refuse 400 Bad Request",
        "      ! it is wrong (RFC 9112 §3)",
        "      > GET",
    ]


def test_octets_are_dumped_in_rows_that_fit_80_columns() -> None:
    text = TextFormatter()(event("recv", {"octets": 20}, octets=b"GET / HTTP/1.1\r\nHost"))
    rows = text.splitlines()[1:]
    assert rows == [
        "      > 0000  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..",
        "      > 0010  48 6f 73 74                                      Host",
    ]
    assert max(map(len, rows)) <= 80


def test_the_process_is_named_if_there_are_several() -> None:
    assert TextFormatter(shows_process=True)(event("accept", {})) == "4711 #3 127.0.0.1:52814   1.200 ms  accept\n"


def test_colours_leave_the_text_unchanged() -> None:
    attributes = {"status": 400, "phrase": "Bad Request", "reason": "it is wrong", "section": "RFC 9112 §3"}
    for each in (
        event("refuse", attributes, HEAD),
        event("send", {"octets": 4}, HEAD),
        event("close", {"tcp": TCP}),
    ):
        coloured = TextFormatter(is_coloured=True)(each)
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == TextFormatter()(each)
        # Each line resets the colours at its end, so that other output has none.
        for line in coloured.splitlines():
            assert line.endswith("\x1b[0m")


def test_invisible_characters_are_escaped() -> None:
    assert visible_octets(bytes(range(256))).isprintable()
    assert visible_octets(b"\x1b[0m \\ \x9b") == r"\x1b[0m \x5c \x9b"


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_json_is_one_object_a_line() -> None:
    line = format_json(event("parse", {"method": "GET", "target": "/"}, HEAD))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2026-11-18T11:06:40.250000Z",
        "process": 4711,
        "connection": 3,
        "peer": "127.0.0.1:52814",
        "microseconds": 1200,
        "event": "parse",
        "method": "GET",
        "target": "/",
        "head": ["GET / HTTP/1.1", "Host: localhost", 'X: "\\\x1b[2J\xff', ""],
    }
    assert line.isascii()


def test_json_names_the_kernels_figures() -> None:
    assert json.loads(format_json(event("close", {"tcp": TCP})))["tcp"] == TCP


def test_extra_attributes_belong_to_known_events() -> None:
    assert set(EXTRA_ATTRIBUTES) <= set(FORMATS)
