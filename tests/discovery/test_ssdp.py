"""SSDP: parsing and formatting datagrams."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.discovery.ssdp import Datagram, DatagramError, Device, Search, format_search, parse_datagram, search_of
from tests.support.rows import each_row

IDENTITY = uuid.UUID("12345678-1234-5678-1234-567812345678")
DEVICE = Device(IDENTITY, "http://192.0.2.1:8001/device.xml", "Linux/6 UPnP/2.0 httpsock/0.1.0", 1_700_000_000)


def search(*fields: bytes, start: bytes = b"M-SEARCH * HTTP/1.1") -> bytes:
    """Return a search with the field lines *fields*."""
    return b"\r\n".join([start, *fields, b"", b""])


def test_a_search_reads_back_as_itself() -> None:
    octets = format_search("ssdp:all", 2)
    assert octets.startswith(b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\n')
    assert octets.endswith(b"\r\n\r\n")
    assert search_of(parse_datagram(octets)) == Search("ssdp:all", 2)


MAN = b'MAN: "ssdp:discover"'


@each_row(
    ("fields", "expected"),
    [
        pytest.param([MAN, b"MX: 3", b"ST: a"], Search("a", 3), id="valid"),
        pytest.param([b'man:"ssdp:discover"', b"mx:3", b"st:a"], Search("a", 3), id="in any case"),
        pytest.param([MAN, b"MX: 0", b"ST: a"], Search("a", 1), id="less than a second"),
        pytest.param([MAN, b"MX: 120", b"ST: a"], Search("a", 5), id="an MX of more than 5"),
        pytest.param([MAN, b"ST: a"], Search("a", 0), id="without MX, to one device"),
        pytest.param([MAN], "the search has no target", id="without a target"),
        pytest.param([MAN, b"MX: 1"], "the search has no target", id="without a target, with MX"),
        pytest.param([MAN, b"MX: -1", b"ST: a"], "MX is not a number", id="a sign"),
        pytest.param([MAN, b"MX: " + b"9" * 10, b"ST: a"], "MX is not a number", id="ten digits"),
        pytest.param([MAN, "MX: ٣".encode(), b"ST: a"], "MX is not a number", id="digits of another script"),
        pytest.param([b"MAN: ssdp:discover", b"MX: 1", b"ST: a"], "it is not a search", id="without quotes"),
        pytest.param([b"MX: 1", b"ST: a"], "it is not a search", id="without MAN"),
    ],
)
def test_a_search_is_answerable_or_ignored(fields: list[bytes], expected: Search | str) -> None:
    datagram = parse_datagram(search(*fields))
    if isinstance(expected, Search):
        assert search_of(datagram) == expected
    else:
        with pytest.raises(DatagramError, match=expected):
            search_of(datagram)


def test_a_request_with_another_method_is_not_a_search() -> None:
    with pytest.raises(DatagramError, match="it is not a search"):
        search_of(parse_datagram(search(MAN, b"MX: 1", b"ST: a", start=b"NOTIFY * HTTP/1.1")))


def test_a_response_is_parsed() -> None:
    datagram = parse_datagram(b"HTTP/1.1 200 OK\r\nLOCATION:  http://a/\t\r\nX: \xff\r\nEXT:\r\n\r\n")
    fields = {b"location": b"http://a/", b"x": b"\xff", b"ext": b""}
    assert datagram == Datagram(b"HTTP/1.1 200 OK", fields, status=200, phrase="OK")
    assert (datagram.field("location"), datagram.field("x"), datagram.field("none")) == ("http://a/", "\\xff", "")


@each_row(
    ("octets", "reason"),
    [
        (b"", 'the start line "" is neither that of a request nor of a response (RFC 9112 §2.1)'),
        (b"M-SEARCH * HTTP/1.1", "is neither"),
        (b"M-SEARCH *\r\n\r\n", 'the start line "M-SEARCH *" is neither'),
        (b"\0\r\n\r\n", 'the start line "\\x00" is neither'),
        (search()[:-2], "there is no empty line"),
        (search(b"A: b")[:-1], "there is no empty line"),
        (search() + b"more", "there is no empty line"),
        (search(*[b"A: b"] * 65), "there is no empty line after at most 64 field lines"),
        (search(b"A b"), 'field line 1 "A b" has no colon (RFC 9112 §5)'),
        (search(b"A: b", b"C: \x1b"), "field line 2 has the control character \\x1b in its value"),
        (search(b"A: b", b" c"), "field line 2 starts with whitespace"),
        (search(b"A: b\nC: d"), "field line 1 has the control character \\x0a"),
        (search(b"A: " + b"b" * 8192), "bytes; the limit is 8192 (UDA 2.0 §1.1.2)"),
    ],
)
def test_a_malformed_message_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(DatagramError) as caught:
        parse_datagram(octets)
    assert reason in str(caught.value)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.binary(max_size=120), st.integers(0, 200), st.booleans())
def test_any_octets_are_a_message_or_an_error(octets: bytes, at: int, whole: bool) -> None:
    valid = format_search("ssdp:all", 2)
    altered = octets if whole else valid[:at] + octets[:3] + valid[at + 3 :]
    try:
        search_of(parse_datagram(altered))
    except DatagramError as error:
        assert str(error).endswith(")")  # noqa: PT017


def test_a_device_answers_for_each_of_its_types() -> None:
    answers = [parse_datagram(octets) for octets in DEVICE.answers(Search("ssdp:all", 1))]
    own = f"uuid:{IDENTITY}"
    assert [answer.field("st") for answer in answers] == [
        "upnp:rootdevice",
        own,
        "urn:schemas-upnp-org:device:Basic:1",
    ]
    assert [answer.field("usn") for answer in answers] == [
        f"{own}::upnp:rootdevice",
        own,
        f"{own}::urn:schemas-upnp-org:device:Basic:1",
    ]
    for answer in answers:
        assert answer.start_line == b"HTTP/1.1 200 OK"
        assert answer.field("location") == DEVICE.location
        assert answer.field("cache-control") == "max-age=1800"
        assert b"ext" in answer.fields
        assert answer.field("bootid.upnp.org") == "1700000000"


@each_row(("target", "count"), [("upnp:rootdevice", 1), (f"uuid:{IDENTITY}", 1), ("urn:else", 0)])
def test_a_device_answers_only_searches_for_its_own_targets(target: str, count: int) -> None:
    assert len(list(DEVICE.answers(Search(target, 1)))) == count


def test_a_device_announces_alive_and_byebye() -> None:
    alive = [parse_datagram(octets) for octets in DEVICE.alive()]
    byebye = [parse_datagram(octets) for octets in DEVICE.byebye()]
    assert {datagram.start_line for datagram in alive + byebye} == {b"NOTIFY * HTTP/1.1"}
    assert {datagram.field("nts") for datagram in alive} == {"ssdp:alive"}
    assert {datagram.field("nts") for datagram in byebye} == {"ssdp:byebye"}
    assert [datagram.field("nt") for datagram in alive] == [datagram.field("nt") for datagram in byebye]
    assert all(datagram.field("location") == DEVICE.location for datagram in alive)


def test_each_sent_datagram_fits_into_one_frame() -> None:
    assert max(map(len, [*DEVICE.answers(Search("ssdp:all", 1)), *DEVICE.alive()])) < 512


def test_ipv6_uses_another_multicast_group() -> None:
    device = Device(uuid.UUID(int=1), "http://[fe80::1]:1/0.xml", "a", 1)
    datagrams = [*device.alive(), *device.byebye(), format_search("a", 1, is_ipv6=True)]
    assert {parse_datagram(datagram).field("host") for datagram in datagrams} == {"[ff02::c]:1900"}


@each_row(
    ("start_line", "summary"),
    [
        (b"M-SEARCH * HTTP/1.1", {"method": "M-SEARCH", "target": "*"}),
        (b"HTTP/1.1 200 OK", {"status": 200, "phrase": "OK"}),
        (b"HTTP/1.1 200 ", {"status": 200, "phrase": ""}),
        (b"HTTP/1.1 200", {"status": 200, "phrase": ""}),
        (b"HTTP/9.9 000", {"status": 0, "phrase": ""}),
        (b"HTTP/1.1 204 No  Content ", {"status": 204, "phrase": "No  Content "}),
        (b"HTTP/ \xff HTTP/1.1", None),
        (b"HTTP / HTTP/1.1", {"method": "HTTP", "target": "/"}),
        (b"HTTP/1.1 200 \xc2\x9b2J", {"status": 200, "phrase": "\\x9b2J"}),
    ],
)
def test_a_message_has_a_summary_for_the_trace(start_line: bytes, summary: dict[str, str | int] | None) -> None:
    if summary is None:
        with pytest.raises(DatagramError, match="is neither"):
            parse_datagram(start_line + b"\r\n\r\n")
    else:
        assert parse_datagram(start_line + b"\r\n\r\n").summary == summary


@each_row(
    ("octets", "is_answer", "identity"),
    [
        (b"HTTP/1.1 200 OK\r\nUSN: uuid:1::upnp:rootdevice\r\n\r\n", True, "uuid:1"),
        (b"HTTP/1.1 200\r\nUSN: uuid:1\r\n\r\n", True, "uuid:1"),
        (b"HTTP/1.1 200\r\n\r\n", False, ""),
        (b"HTTP/1.1 200 OK\r\nUSN: ::upnp:rootdevice\r\n\r\n", False, ""),
        (b"HTTP/1.1 404 Not Found\r\nUSN: uuid:1\r\n\r\n", False, "uuid:1"),
        (b"NOTIFY * HTTP/1.1\r\nUSN: uuid:1\r\n\r\n", False, "uuid:1"),
    ],
)
def test_an_answer_has_status_200_and_names_its_device(octets: bytes, is_answer: bool, identity: str) -> None:
    datagram = parse_datagram(octets)
    assert (datagram.is_answer, datagram.identity) == (is_answer, identity)


def computed(octets: bytes) -> list[object]:
    """Return everything that an announcer, a search and a trace compute from a datagram."""
    try:
        datagram = parse_datagram(octets)
    except DatagramError as error:
        return [error.attributes, str(error)]
    values: list[object] = [getattr(datagram, name) for name in dir(datagram) if not name.startswith("_")]
    values += [datagram.field(name) for name in ("location", "usn", "st", "mx", "server", "cache-control", "host")]
    try:
        values.append(list(DEVICE.answers(search_of(datagram))))
    except DatagramError as error:
        values.append(error.attributes)
    return values


SEEDS = [
    format_search("ssdp:all", 2),
    *DEVICE.answers(Search("ssdp:all", 1)),
    *DEVICE.alive(),
    *DEVICE.byebye(),
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.1 200 \r\nUSN: \xff\r\n\r\n",
]
PIECES = [
    b" ",
    b"\t",
    b"\r\n",
    b":",
    b"::",
    b"HTTP/1.1",
    b"200",
    b"\xff",
    b"\0",
    b"%",
    b"[",
    b"9" * 5000,
    b"\xc2\x9b",
    b"",
]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40), st.sampled_from(PIECES)), max_size=8),
)
def test_every_value_of_a_datagram_is_defined_for_every_datagram(
    valid: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, length, piece in changes:
        valid = valid[:at] + piece + valid[at + length :]
    assert computed(valid)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from([b"HTTP/1.1 200", b"HTTP/1.1 ", b"NOTIFY * HTTP/1.1", b"M-SEARCH"]), st.binary(max_size=40))
def test_every_accepted_start_line_is_parsed(beginning: bytes, rest: bytes) -> None:
    assert computed(beginning + rest + b"\r\nUSN: uuid:1\r\n\r\n")
