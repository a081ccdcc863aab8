"""The access log: each response has one line, and no request can add or forge a line."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http.grammar import printable
from httpsock.server import access_log
from httpsock.server.access_log import FORMATS, Exchange, TextFormat, format_clf, format_json, format_text, shorten
from tests.support.rows import each_row

# The time 2026-11-22 14:03:59.125 UTC.
ENDED = 1_795_356_239.125
HELLO = Exchange(ENDED, "127.0.0.1", b"GET /hello.txt HTTP/1.1", 200, 312, 312, 0.000_4)

TEXT_LINE = re.compile(
    r'[0-9:]{8} [0-9a-f.:]+ "(?P<request>[^"\n]*)" [0-9]{3} [0-9]+(?: of [0-9]+)? [0-9]+\.[0-9] ms\n'
)
CLF_LINE = re.compile(
    r"[0-9a-f.:]+ - - \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}\]"
    r' "(?P<request>[^"\n]*)" [0-9]{3} [0-9]+\n'
)


@pytest.fixture(autouse=True)
def two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time zone to UTC+2."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EET-2")
        time.tzset()
        access_log._clock.cache_clear()
        yield
    time.tzset()
    access_log._clock.cache_clear()


def test_the_text_format_has_local_time_bytes_and_milliseconds() -> None:
    assert format_text(HELLO) == '16:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 312 0.4 ms\n'


def test_the_common_log_format_has_local_time_and_its_offset() -> None:
    assert format_clf(HELLO) == ('127.0.0.1 - - [22/Nov/2026:16:03:59 +0200] "GET /hello.txt HTTP/1.1" 200 312\n')


def test_json_has_utc_and_names_each_value() -> None:
    line = format_json(HELLO)
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2026-11-22T14:03:59.125Z",
        "client": "127.0.0.1",
        "request": "GET /hello.txt HTTP/1.1",
        "status": 200,
        "sent": 312,
        "length": 312,
        "milliseconds": 0.4,
    }


def test_the_line_of_a_truncated_response_has_both_lengths() -> None:
    cut = HELLO._replace(sent=100)
    assert format_text(cut) == '16:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 100 of 312 0.4 ms\n'
    assert format_clf(cut).endswith(" 200 100\n")
    assert json.loads(format_json(cut))["sent"] == 100
    assert json.loads(format_json(cut))["length"] == 312


def test_the_line_of_a_response_without_content_has_length_zero() -> None:
    nothing = HELLO._replace(status=304, sent=0, length=0)
    assert format_text(nothing).endswith(" 304 0 0.4 ms\n")
    assert format_clf(nothing).endswith(" 304 0\n")


def test_a_client_is_shown_by_its_ipv6_address() -> None:
    assert format_text(HELLO._replace(client="::1")).startswith('16:03:59 ::1 "GET ')


@each_row("ended", [0.0, 0.999_999_9, 1_795_356_239.0, 4_102_444_799.999_9])
def test_milliseconds_in_json_are_three_digits(ended: float) -> None:
    assert re.fullmatch(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z",
        json.loads(format_json(HELLO._replace(ended=ended)))["time"],
    )


FORGERIES = [
    pytest.param(b"GET /\n127.0.0.1 - -", r"GET /\x0a127.0.0.1 - -", id="a line feed does not start a line"),
    pytest.param(b"GET /\r\x00", r"GET /\x0d\x00", id="a carriage return and a NUL"),
    pytest.param(b"GET /\x1b[2J\x1b]0;x\x07", r"GET /\x1b[2J\x1b]0;x\x07", id="escape sequences move no cursor"),
    pytest.param(b"GET /\xc2\x9b2J\x7f", r"GET /\xc2\x9b2J\x7f", id="control characters beyond ASCII"),
    pytest.param(b'GET /" 200 1\\', r"GET /\x22 200 1\x5c", id="quotes and backslashes do not end the request line"),
    pytest.param(b"GET /%0a%22 HTTP/1.1", "GET /%0a%22 HTTP/1.1", id="what is percent-encoded is not decoded"),
    pytest.param("GET /ü\u202e".encode(), r"GET /\xc3\xbc\xe2\x80\xae", id="no letters that run backwards"),
    pytest.param(b"", "", id="no request line"),
    pytest.param(b"a" * 1015 + b" HTTP/1.1", "a" * 1015 + " HTTP/1.1", id="the longest shown whole"),
    pytest.param(
        b"a" * 1016 + b" HTTP/1.1", "a" * 1016 + " HTTP/1.…", id="one octet more is cut, and the cut is marked"
    ),
    pytest.param(b"a" * 61, "a" * 60 + "…", id="what is no request line is cut sooner"),
    pytest.param(
        b"\x16\x03\x01" + b"\0" * 99, r"\x16\x03\x01" + r"\x00" * 9 + "…", id="binary octets are truncated sooner"
    ),
    pytest.param(b"GET http://u:p@a/ HTTP/1.1", "GET http://***@a/ HTTP/1.1", id="a password in a URI"),
    pytest.param(b"GET //u:p@h/ HTTP/1.1", "GET //***@h/ HTTP/1.1", id="a password in a reference"),
    pytest.param(b"CONNECT u:p@h:80 HTTP/1.1", "CONNECT ***@h:80 HTTP/1.1", id="a password in an authority"),
    pytest.param(b"GET /?token=p HTTP/1.1", "GET /?token=*** HTTP/1.1", id="a token in a query"),
    pytest.param(b"Authorization: Basic p", "Authorization: Basic ***", id="a field line where a request line was due"),
]


@each_row(("request_line", "shown"), FORGERIES)
def test_a_request_line_cannot_forge_a_log_line(request_line: bytes, shown: str) -> None:
    """The log escapes control characters and quotes (RFC 9110 §17.4, requirement R143)."""
    exchange = HELLO._replace(request_line=request_line)
    text = TEXT_LINE.fullmatch(format_text(exchange))
    clf = CLF_LINE.fullmatch(format_clf(exchange))
    assert text
    assert text["request"] == shown
    assert clf
    assert clf["request"] == shown
    assert json.loads(format_json(exchange))["request"] == shown


PIECES = [b"/", b"//", b"?", b"&", b";", b"#", b"=", b"%3d", b"%40", b"@", b":", b"u:p@h", b"token", b"pass", b"word"]
PIECES += [
    b"session-id",
    b"[]",
    b"Authorization",
    b"a.png",
    b" ",
    b'"',
    b"\\",
    b"\x1b",
    b"\xc3\xa4",
    b"%C3%A4",
    b"a" * 500,
]


@given(
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"TOKEN"]), target=st.lists(st.sampled_from(PIECES)).map(b"".join)
)
@settings(derandomize=True, deadline=None, max_examples=1000)
def test_a_request_line_is_masked_and_escaped_like_any_other_text(method: bytes, target: bytes) -> None:
    request_line = b"%b %b HTTP/1.1" % (method, target)
    text = TEXT_LINE.fullmatch(format_text(HELLO._replace(request_line=request_line)))
    assert text
    assert text["request"] == printable(request_line, 1024)


@given(request_line=st.binary(max_size=1100))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_any_octets_give_one_line_that_can_be_parsed_again(request_line: bytes) -> None:
    exchange = HELLO._replace(request_line=request_line)
    assert TEXT_LINE.fullmatch(format_text(exchange))
    assert CLF_LINE.fullmatch(format_clf(exchange))
    assert set(json.loads(format_json(exchange))) == {
        "time", "client", "request", "status", "sent", "length", "milliseconds",
    }  # fmt: skip
    for format_line in FORMATS.values():
        line = format_line(exchange)
        assert line.endswith("\n")
        assert line[:-1].isprintable()


REFUSED = HELLO._replace(status=400, reason='there is no "/x" here')


def test_all_formats_have_the_reason_of_a_refusal() -> None:
    assert '"GET /hello.txt HTTP/1.1" 400 there is no "/x" here; 312 0.4 ms\n' in format_text(REFUSED)
    assert format_clf(REFUSED).endswith(r'"GET /hello.txt HTTP/1.1" 400 312 "there is no \"/x\" here"' + "\n")
    assert json.loads(format_json(REFUSED))["reason"] == 'there is no "/x" here'


@each_row("width", [72, 80, 100, 132])
@each_row("client", ["127.0.0.1", "::1"])
@each_row("reason", ["", "a TLS handshake on a plain HTTP port", 'there is no "/' + "x" * 60 + '…" here'])
def test_a_line_is_at_most_as_wide_as_the_terminal(width: int, client: str, reason: str) -> None:
    exchange = HELLO._replace(request_line=b"GET /" + b"y" * 500 + b"z HTTP/1.1", client=client, reason=reason)
    line = TextFormat(width)(exchange).removesuffix("\n")
    assert len(line) <= width
    assert re.search(r'"GET /y+…\S*z? ?HTTP/1\.1"|"GET /y+….*" 200', line), "both ends are shown"
    assert line.endswith("312 0.4 ms")


def test_a_line_that_fits_is_shown_whole() -> None:
    line = format_text(REFUSED)
    assert TextFormat(len(line) - 1)(REFUSED) == line
    assert TextFormat(len(line) - 2)(REFUSED) == line.replace(" HTTP/1.1", ""), "the version is the first loss"


LONG = HELLO._replace(request_line=b"GET /films/" + b"y" * 99 + b"/film.webm HTTP/1.1", sent=10_000, length=317_023)
MISSING = HELLO._replace(request_line=b"GET /gone.txt HTTP/1.1", status=404, reason='there is no "/gone.txt"')
FAR = MISSING._replace(client="2001:db8:1234:5678:9abc:def0:1234:5678")
NARROW = [
    (80, HELLO, '16:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 312 0.4 ms'),
    (80, LONG, '16:03:59 127.0.0.1 "GET /films/yyyyyyyyyy…/film.webm" 200 10000 of 317023 0.4 ms'),
    (80, MISSING, '16:03:59 127.0.0.1 "GET /gone.txt" 404 there is no "/gone.txt"; 312 0.4 ms'),
    (80, FAR, '16:03:59 2001:db8:1…5678 "GET /gone.txt" 404 there is no "/gone.txt"; 312 0.4 ms'),
    (60, HELLO, '16:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 312 0.4 ms'),
    (60, LONG, '16:03:59 127.0.0.1 "GET /films/yyyyyyyyyyyy…y/film.webm" 200'),
    (60, MISSING, '16:03:59 127.0.0.1 "GET /gone.txt" 404 there is no "/…e.txt"'),
    (60, FAR, '16:03:59 2001:db8…678 "GET /gone.txt" 404 there is no ….txt"'),
    (40, HELLO, '127.0.0.1 "GET /hello.txt" 200'),
    (40, HELLO._replace(request_line=b"GET / HTTP/1.1"), '127.0.0.1 "GET /" 200 312 0.4 ms'),
    (40, LONG, '127.0.0.1 "GET /films/yyyyy…lm.webm" 200'),
    (40, MISSING, '127.0.0.1 "GET /gone.txt" 404 there …xt"'),
    (40, FAR, '2001:db8…678 "GET /gone.txt" 404 ther…t"'),
]


@each_row(("width", "exchange", "shown"), NARROW)
def test_a_narrow_terminal_shows_the_status_and_both_ends_of_the_target(
    width: int, exchange: Exchange, shown: str
) -> None:
    """If the line is still too long, the size and the duration are omitted; below 60 columns, also the time of day."""
    line = TextFormat(width)(exchange).removesuffix("\n")
    assert len(line) <= width
    assert line == shown


@given(
    width=st.integers(37, 200),
    client=st.text("0123456789abcdef:", max_size=39),
    request_line=st.binary(max_size=200),
    reason=st.text("abc ", max_size=99),
    sent=st.integers(0, 1 << 60),
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_line_fits_into_a_terminal_of_37_columns_or_more(
    width: int, client: str, request_line: bytes, reason: str, sent: int
) -> None:
    exchange = HELLO._replace(client=client, request_line=request_line, reason=reason, sent=sent, status=503)
    line = TextFormat(width)(exchange).removesuffix("\n")
    assert len(line) <= width
    assert re.search('" 503( |$)', line)


def test_a_narrower_terminal_keeps_the_status() -> None:
    assert TextFormat(10)(MISSING) == '127.0.0.1 "GET /gone.txt" 404 …\n'


@each_row(("status", "colour"), [(200, "32"), (206, "32"), (304, "36"), (404, "33"), (503, "1;31")])
def test_on_a_terminal_the_status_has_the_colour_of_its_class(status: int, colour: str) -> None:
    exchange = HELLO._replace(status=status)
    line = TextFormat(80, is_coloured=True)(exchange)
    assert f'" \x1b[{colour}m{status}\x1b[0m 312 ' in line
    assert re.sub(r"\x1b\[[0-9;]*m", "", line) == TextFormat(80)(exchange)


@each_row(("text", "maximum", "short"), [("abc", 3, "abc"), ("abcdefgh", 7, "abcd…gh"), ("abcd", 2, "a…")])
def test_a_long_value_is_shortened_in_its_middle(text: str, maximum: int, short: str) -> None:
    assert shorten(text, maximum) == short


def test_the_formats_are_known_by_name() -> None:
    assert list(FORMATS.items()) == [("text", format_text), ("clf", format_clf), ("json", format_json)]
