"""Known heads: if the parts of a request were parsed before, the parser reuses their results.

The parts are the request line, the stem (the fields that a client repeats) and the tail (the conditional fields).
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpsock.http import known_heads as stores
from httpsock.http.framing import FramingError
from httpsock.http.known_heads import Fields, FieldSection, KnownHeads, Parsers, RequestLine
from httpsock.http.message_reader import Pause
from httpsock.http.messages import Refusal, Request, RequestError
from httpsock.http.request_parser import Limits, RequestParser, _parsers, known_heads, parse_head
from tests.http.parsing import bounded, get_root, outcome_of_pieces
from tests.support import get


class Counted(KnownHeads):
    """A KnownHeads object that counts how often it parses each part."""

    def __init__(self, max_field_lines: int = 100) -> None:
        self.parsed: Counter[str] = Counter()
        parsers = _parsers(max_field_lines)

        def line(octets: bytes) -> RequestLine:
            self.parsed["line"] += 1
            return parsers.line(octets)

        def section(octets: bytes, minor_version: int) -> FieldSection:
            self.parsed["section"] += 1
            return parsers.section(octets, minor_version)

        def tail(octets: bytes) -> Fields | None:
            self.parsed["tail"] += 1
            return parsers.tail(octets)

        super().__init__(Parsers(line, section, tail, max_field_lines))

    def learn(self, *heads: bytes) -> None:
        """Parse *heads* until all their parts are stored. Then reset the counts."""
        for head in 3 * heads:
            assert self.parse(head) == parse_head(head, 100)
        self.parsed.clear()


BROWSER = ("User-Agent: a browser", "Accept-Encoding: gzip, br", "Connection: keep-alive")
CONDITION = 'If-None-Match: "a"'


def page(name: str, *field_lines: str) -> bytes:
    return get(f"/{name}", *BROWSER, *field_lines)


# --- Parts that are parsed again ------------------------------------------------------------------


def test_for_another_file_of_a_page_only_the_request_line_is_parsed() -> None:
    known = Counted()
    known.learn(page("a"))
    assert known.parse(page("b")) == parse_head(page("b"), 100)
    assert known.parsed == {"line": 1}


def test_for_another_client_of_a_page_only_the_field_section_is_parsed() -> None:
    known = Counted()
    known.learn(page("a"))
    other = page("a", "Cookie: b")
    assert known.parse(other) == parse_head(other, 100)
    assert known.parsed == {"section": 1}


def test_a_new_head_of_known_parts_is_not_parsed() -> None:
    known = Counted()
    known.learn(page("a"), page("b"), get("/a", "Accept: */*"))
    both = get("/b", "Accept: */*")
    assert known.parse(both) == parse_head(both, 100)
    assert not known.parsed


@pytest.mark.parametrize("first", [page("a"), page("a", CONDITION)], ids=["loaded", "loaded again"])
def test_for_a_page_that_is_loaded_again_only_the_conditions_are_parsed(first: bytes) -> None:
    known = Counted()
    known.learn(page("a"), first)
    again = page("a", 'If-None-Match: "b"', "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "Priority: u=5")
    assert known.parse(again) == parse_head(again, 100)
    assert known.parsed == {"tail": 1}


def test_for_a_known_page_loaded_by_another_client_nothing_is_parsed() -> None:
    known = Counted()
    *heads, last = (
        page(name, f"Cookie: {client}", f'If-None-Match: "{name}"') for client in "abcde" for name in "fghij"
    )
    for head in heads:
        known.parse(head)
    known.parsed.clear()
    assert known.parse(last) == parse_head(last, 100)
    assert not known.parsed


@pytest.mark.parametrize("head", [page("a"), page("a", CONDITION)], ids=["loaded", "loaded again"])
def test_a_head_that_comes_several_times_is_stored_whole(head: bytes) -> None:
    known = Counted()
    known.learn(page("a"), page("b"), head, head)
    assert known.requests[head] == parse_head(head, 100)


def test_a_stem_is_learned_from_conditional_requests_only() -> None:
    known = Counted()
    known.learn(*(page("a", f'If-None-Match: "{number}"') for number in range(3)))
    known.parse(page("a", CONDITION))
    assert known.parsed == {"tail": 1}


def test_a_head_that_comes_once_is_not_stored() -> None:
    known = Counted()
    for number in range(10):
        known.parse(page(f"{number}", f"Cookie: {number}"))
    assert not known.requests
    assert not known._lines
    assert not known._sections


# --- Parts that must not be joined ----------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param((CONDITION, "Connection: close"), id="persistence"),
        pytest.param((CONDITION, "Content-Length: 2"), id="a length"),
        pytest.param((CONDITION, "Transfer-Encoding: chunked"), id="chunks"),
        pytest.param((CONDITION, "Host: again"), id="a second host"),
        pytest.param((CONDITION, "Accept-Encoding: br"), id="a field that the stem has, too"),
        pytest.param((CONDITION, 'If-None-Match: "b"'), id="a list in two lines"),
        pytest.param(("If-Range: a", "If-Range: b"), id="two values of a field that has one"),
        pytest.param((CONDITION, "Range: bytes=0-1", "Expect: 100-continue"), id="fields that decide nothing"),
        pytest.param((CONDITION, "X: " + 300 * "x"), id="a long line"),
        pytest.param((CONDITION, "X: " + 300 * "x", "If-Range: a"), id="a condition long before another"),
        pytest.param((CONDITION, "X: \0"), id="a control character"),
        pytest.param((CONDITION, " folded"), id="a line that is folded"),
        pytest.param(("If-None-Match : a",), id="a space before a colon"),
    ],
)
def test_a_tail_has_the_same_meaning_as_in_a_whole_head(tail: tuple[str, ...]) -> None:
    known = Counted()
    known.learn(page("a"), page("a", CONDITION))
    assert_alike(known, page("a", *tail), 100)


def test_a_host_in_the_tail_counts() -> None:
    known = KnownHeads(_parsers(100))
    head = b'GET / HTTP/1.1\r\nAccept: a\r\nIf-None-Match: "a"\r\nHost: a\r\n\r\n'
    for _ in range(4):
        assert_alike(known, head, 100)


def test_known_fields_are_interpreted_by_the_version_of_each_request() -> None:
    known = KnownHeads(_parsers(100))
    for _ in range(4):
        for version in ("HTTP/1.1", "HTTP/1.0", "HTTP/1.9"):
            assert_alike(known, get_root(b"Accept: a", version=version), 100)
            assert_alike(known, get_root(b"Transfer-Encoding: chunked", version=version), 100)


@pytest.mark.parametrize("count", [7, 8, 9])
@pytest.mark.parametrize("maximum", [9, 10, 11])
def test_the_lines_of_stem_and_tail_are_counted_together(count: int, maximum: int) -> None:
    known = KnownHeads(_parsers(maximum))
    for head in 3 * [get_root(b"A: 1"), get_root(b"A: 1", b"If-Match: *")]:
        known.parse(head)
    for _ in range(3):
        assert_alike(known, get_root(b"A: 1", b"If-Match: *", *(count - 1) * [b"B: 1"]), maximum)


def test_a_known_head_is_refused_if_the_limits_are_lower() -> None:
    head = page("limited", "X: " + 60 * "x")
    for _ in range(5):
        outcome_of_pieces([head])
    assert head in known_heads(100).requests
    (refusal,) = outcome_of_pieces([head], Limits(head=100))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "the head is longer than 100 bytes"
    (refusal,) = outcome_of_pieces([head], Limits(field_lines=1))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "there are more than 1 field lines"


def test_a_known_head_may_be_followed_by_another() -> None:
    head = page("pipelined")
    for _ in range(5):
        outcome_of_pieces([head])
    parser = RequestParser(Limits())
    parser.receive(head + head)
    assert [parser.next_event(), parser.next_event()] == 2 * [parse_head(head, 100)]


def test_a_long_head_is_not_stored() -> None:
    head = page("long", "X: " + 2048 * "x")
    for _ in range(5):
        outcome_of_pieces([head])
    assert head not in known_heads(100).requests


def test_a_long_head_that_a_connection_repeats_is_not_parsed_again() -> None:
    head, other = (page(name, "X: " + 300 * "x") for name in "ab")
    parser = RequestParser(Limits())
    requests = []
    for octets in (head, head, head, other, head):
        parser.receive(octets)
        requests.append(parser.next_event())
    assert requests == [parse_head(octets, 100) for octets in (head, head, head, other, head)]
    assert requests[1] is requests[2]


def test_the_content_behind_a_long_head_that_is_repeated_is_read() -> None:
    message = [page("c", "X: " + 300 * "x", "Content-Length: 2"), b"ab"]
    assert outcome_of_pieces(3 * message) == [*3 * outcome_of_pieces(message)[:-1], Pause.NEED_DATA]


_lines = st.sampled_from(
    (
        *(b"GET / HTTP/1.1", b"GET /a?b HTTP/1.0", b"GET //a HTTP/1.1", b"GET /% HTTP/1.1", b"GET * HTTP/1.1"),
        *(b"CONNECT /a HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET / HTTP/2.0", b"GET  HTTP/1.1"),
        b"GET http://a/b HTTP/1.1",
    )
)
_field_lines = st.lists(
    st.sampled_from(
        (
            *(b"Host: a", b"host: a", b"If-Match: *", b"if-match: *", b'If-None-Match: "a"', b"If-Range: a", b"If-: a"),
            *(b"Connection: close", b"connection: keep-alive", b"Content-Length: 2", b"Transfer-Encoding: chunked"),
            *(b"Accept:  a ", b"Accept: b", b"A: b", b"A : b", b"A: \0", b" a", b"Range: bytes=0-1"),
        )
    ),
    max_size=5,
)


_heads = st.builds(lambda line, lines: b"\r\n".join([line, *lines, b"", b""]), _lines, _field_lines)


@bounded
@given(st.lists(_heads, min_size=1, max_size=4), st.sampled_from([4, 12]))
def test_any_heads_in_any_order_are_parsed_as_by_a_new_parser(heads: list[bytes], maximum: int) -> None:
    known = KnownHeads(_parsers(maximum))
    for head in [*heads, *heads, *reversed(heads), *heads]:
        assert_alike(known, head, maximum)


@bounded
@given(st.lists(_heads, min_size=1, max_size=3), _heads)
def test_a_head_before_others_is_parsed_as_if_it_were_alone(heads: list[bytes], behind: bytes) -> None:
    known = KnownHeads(_parsers(12))
    for head in [*heads, *heads, *reversed(heads)]:
        assert outcome_or_fault(known, head + behind) == outcome_or_fault(KnownHeads(_parsers(12)), head)
        outcome_or_fault(known, head)


def assert_alike(known: KnownHeads, head: bytes, max_field_lines: int) -> None:
    """Assert that *known* gives the same result for *head* as an empty KnownHeads."""
    assert outcome_or_fault(known, head) == outcome_or_fault(KnownHeads(_parsers(max_field_lines)), head)


def outcome_or_fault(known: KnownHeads, head: bytes) -> Request | str:
    try:
        return known.parse(head)
    except (RequestError, FramingError) as fault:
        return str(fault)


# --- Memory ---------------------------------------------------------------------------------------


def test_the_number_of_stored_parts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_MAX_PARTS", 3)
    monkeypatch.setattr(stores, "_MAX_HASHES", 20)
    known = KnownHeads(_parsers(100))
    sizes = set()
    for number in range(50):
        for _ in range(5):
            for condition in ((), (f'If-None-Match: "{number}"',)):
                head = page(f"{number}", f"Cookie: {number}", *condition)
                assert known.parse(head) == parse_head(head, 100)
        stores_of_parts = (known.requests, known._lines, known._sections, known._stems, known._tails)
        sizes |= {len(store) for store in stores_of_parts}
        assert len(known._hashes) <= 20
    # Which parts share an index of their hashes differs from run to run, but they never all do.
    assert max(sizes) == 3
