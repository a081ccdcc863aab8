"""Checks on range requests: RFC 9110 §14, §15.3.7, §15.5.17, and If-Range (§13.1.5).

Ranges are optional. A server may answer any range request with the entire file, but never with a wrong part.
"""

import re
from functools import partial

from conformance.live.site import BIG, DIGITS, SPARSE_OCTETS
from conformance.live.wire import Response

from .session import (
    Chapter,
    FaultError,
    InapplicableError,
    OtherFault,
    Session,
    entity_tag,
    expect,
    field,
    get,
    last_modified,
    request,
    unless,
)

CHECKS = Chapter()

_PATH = "/digits.txt"
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
# RFC 2046 §5.1.1.
_BOUNDARY = re.compile(
    r"""multipart/byteranges *; *boundary=("?)([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\1""",
    re.IGNORECASE,
)


def ranges_of(response: Response) -> list[tuple[int, int, bytes]]:
    """Return the first position, the last position and the octets of each range in a 206.

    If the response is malformed, raise ValueError.
    """
    content_type = field(response, "content-type")
    if not content_type.lower().startswith("multipart/byteranges"):
        return [_range(field(response, "content-range"), response.content)]
    if response.field("content-range") is not None:
        raise ValueError("a multipart 206 has Content-Range outside its parts (RFC 9110 §15.3.7.2)")
    boundary = _BOUNDARY.fullmatch(content_type)
    if not boundary:
        raise ValueError(f"no valid boundary in Content-Type: {content_type[:100]}")
    delimiter = b"\r\n--" + boundary[2].encode()
    preamble, *parts, epilogue = (b"\r\n" + response.content).split(delimiter)
    if not re.match(rb"--[ \t]*(\r\n|$)", epilogue):
        raise ValueError("the multipart content does not end with its close delimiter (RFC 2046 §5.1.1)")
    if preamble.strip() or not parts:
        raise ValueError("the multipart content does not begin with its delimiter")
    return [_part(part) for part in parts]


def _part(part: bytes) -> tuple[int, int, bytes]:
    """Parse one part of a multipart response. Return its first position, last position and octets."""
    head, end_of_head, octets = part.partition(b"\r\n\r\n")
    if not end_of_head or not re.match(rb"[ \t]*\r\n", head + b"\r\n"):
        raise ValueError("a part has no head (RFC 2046 §5.1)")
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    values = [value.strip().decode("latin-1") for name, _, value in lines if name.lower() == b"content-range"]
    if len(values) != 1:
        raise ValueError(f"a part has {len(values)} Content-Range fields (RFC 9110 §15.3.7.2)")
    return _range(values[0], octets)


def _range(content_range: str, octets: bytes) -> tuple[int, int, bytes]:
    """Return the two positions in *content_range*, and *octets*.

    If *content_range* is malformed or does not fit *octets*, raise ValueError.
    """
    numbers = _CONTENT_RANGE.fullmatch(content_range)
    if not numbers:
        raise ValueError(f"a 206 with Content-Range {content_range!r}")
    first, last = int(numbers[1]), int(numbers[2])
    if last - first + 1 != len(octets):
        raise ValueError(f"a 206 with Content-Range {content_range}, but with {len(octets)} bytes")
    return first, last, octets


def _fault(response: Response, whole: bytes) -> str | None:
    """Return a fault if the octets in a 206 differ from the file. *whole* is the content of the file."""
    if response.status != 206:
        return None
    try:
        found = ranges_of(response)
    except ValueError as error:
        return str(error)
    wrong = [(first, last) for first, last, octets in found if whole[first : last + 1] != octets]
    return unless(not wrong, f"bytes that differ from the file at {wrong[:3]}")


def _ask(session: Session, value: str, *fields: str, path: str = _PATH) -> Response:
    """Send a GET with the Range field *value*.

    If the server does not support ranges, raise InapplicableError.
    """
    response = session.one(get(path, f"Range: {value}", *fields))
    if response.status == 200 and session.separate().one(get(_PATH, "Range: bytes=1-2")).status == 200:
        raise InapplicableError("the server does not support ranges, which is allowed")
    return response


def _refusal(response: Response) -> OtherFault | None:
    """Return a fault if the server refuses a range that it could send. The status should be 206 (RFC 9110 §14.2)."""
    if response.status not in {400, 416}:
        return None
    return OtherFault(f"the range can be satisfied, but is answered with {response.status}", "R127")


def _single(session: Session, value: str, first: int, last: int) -> str | None:
    """Request one range. Check that the server sends only bytes from *first* to *last*, or the entire file."""
    response = _ask(session, value)
    if response.status == 200:
        return unless(response.content == DIGITS, "the 200 does not have the whole file")
    fault = _refusal(response) or expect(response, 206) or _fault(response, DIGITS)
    if fault or "multipart" in field(response, "content-type"):
        return fault or "a multipart response to a request for one range (RFC 9110 §15.3.7.2)"
    # RFC 9110 §15.3.7: a server may send less than was asked for.
    sent_first, sent_last, _ = ranges_of(response)[0]
    is_within = first <= sent_first and sent_last <= last
    return unless(is_within, f"Content-Range is {field(response, 'content-range')}, not within {first} to {last}")


_HUGE = "340282366920938463463374607431768211456"
for _value, _first, _last, _requirement in (
    ("bytes=0-0", 0, 0, "R128"),
    ("bytes=0-4", 0, 4, "R128"),
    ("bytes=2-7", 2, 7, "R128"),
    # The grammar lacks the space of the example in RFC 9110 §14.1.2: erratum 7306.
    ("bytes= 2-7", 2, 7, "R128"),
    ("bytes=9-9", 9, 9, "R128"),
    ("bytes=5-", 5, 9, "R128"),
    ("bytes=9-", 9, 9, "R128"),
    ("bytes=0-", 0, 9, "R128"),
    ("bytes=-1", 9, 9, "R128"),
    ("bytes=-9", 1, 9, "R128"),
    ("bytes=-10", 0, 9, "R128"),
    ("bytes=-11", 0, 9, "R128"),
    ("bytes=-99999", 0, 9, "R128"),
    ("bytes=0-9", 0, 9, "R128"),
    ("bytes=0-10", 0, 9, "R128"),
    ("bytes=9-99", 9, 9, "R128"),
    ("bytes=004-006", 4, 6, "R128"),
    ("bytes=5-4294967296", 5, 9, "R134"),
    ("bytes=5-9223372036854775808", 5, 9, "R134"),
    ("bytes=5-18446744073709551616", 5, 9, "R134"),
    (f"bytes=5-{_HUGE}", 5, 9, "R134"),
    ("bytes=-4294967297", 0, 9, "R134"),
    ("bytes=-18446744073709551617", 0, 9, "R134"),
    (f"bytes=-{_HUGE}", 0, 9, "R134"),
):
    _run = partial(_single, value=_value, first=_first, last=_last)
    CHECKS.add(f"Range: {_value} of ten bytes is {_first} to {_last}", _requirement, "MUST", _run)


@CHECKS.check("Byte ranges are supported", "R127", "SHOULD")
def _are_supported(session: Session) -> str | None:
    return expect(session.one(get(_PATH, "Range: bytes=1-2")), 206)


def _unsatisfiable(session: Session, value: str) -> str | None:
    # RFC 9110 §14.2: the server should answer with 416, but may ignore Range.
    return expect(_ask(session, value), 416, 200)


for _value in ("bytes=10-", "bytes=10-20", "bytes=99-", "bytes=10-10", "bytes=-0", "bytes=99-100,200-"):
    CHECKS.add(f"Range: {_value} of ten bytes is unsatisfiable", "R132", "MUST", partial(_unsatisfiable, value=_value))
for _value in ("bytes=4294967296-", "bytes=18446744073709551616-", "bytes=18446744073709551620-18446744073709551622"):
    CHECKS.add(f"Range: {_value} of ten bytes is unsatisfiable", "R134", "MUST", partial(_unsatisfiable, value=_value))


def _of_empty(session: Session, value: str) -> str | None:
    response = session.one(get("/empty.txt", f"Range: {value}"))
    return expect(response, 200, 416) or unless(
        response.status == 416 or not response.content, "the 200 has content, but the file is empty"
    )


for _value in ("bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=1-2"):
    CHECKS.add(f"Range: {_value} of an empty file is no 206", "R132", "MUST", partial(_of_empty, value=_value))


@CHECKS.check("416 states the length of the file", "R133", "SHOULD")
def _length_in_416(session: Session) -> str | None:
    response = _ask(session, "bytes=10-")
    return expect(response, 416) or unless(
        field(response, "content-range") == "bytes */10", f"Content-Range is {field(response, 'content-range')!r}"
    )


def _not_served(session: Session, value: str) -> str | None:
    response = session.one(get(_PATH, f"Range: {value}"))
    return expect(response, 200, 400, 416) or unless(
        response.status != 200 or response.content == DIGITS, "the 200 does not have the whole file"
    )


for _value in (
    "bytes=5-2", "bytes=a-b", "bytes=", "bytes=,", "bytes=0-4-5", "bytes=-", "bytes=--1", "bytes=0x1-5", "bytes=1.5-2",
    "bytes 0-4", "bytes:0-4", "bytes", "0-4", "=0-4", "bytes=\xb2-3",
):  # fmt: skip
    CHECKS.add(f"Range: {_value!a} is invalid and not served", "R131", "MUST", partial(_not_served, value=_value))
# RFC 9110 §14.2 lets a server ignore or reject these; it may still serve their valid parts.
for _value in ("bytes=+1-2", "bytes=1-2,x", "bytes=x,1-2", "bytes=5-2,0-1", "bytes=1-2;q=1", "bytes=1-2bytes=3-4"):
    CHECKS.add(f"Range: {_value} is invalid and not served", "R131", "POLICY", partial(_not_served, value=_value))


def _ignored(session: Session, value: str) -> str | None:
    response = session.one(get(_PATH, f"Range: {value}"))
    return expect(response, 200) or unless(response.content == DIGITS, "the content is not the whole file")


for _value in ("seconds=0-4", "bytesx=0-4", "xbytes=0-4", "items=99-", "none=0-0"):
    CHECKS.add(f"Range: {_value} has an unknown unit and is ignored", "R131", "MUST", partial(_ignored, value=_value))


def _head_ignores(session: Session, value: str) -> str | None:
    response = session.one(request("HEAD", _PATH, f"Range: {value}"))
    return expect(response, 200) or unless(
        response.field("content-range") is None, "the response to HEAD has Content-Range"
    )


def _other_ignores(session: Session, method: str) -> str | None:
    response = session.one(request(method, _PATH, "Range: bytes=99-"))
    return unless(response.status not in {206, 416}, f"{method} with Range is answered with {response.status}")


for _value in ("bytes=0-4", "bytes=99-", "bytes=0-1,4-5"):
    CHECKS.add(f"HEAD ignores Range: {_value}", "R130", "MUST", partial(_head_ignores, value=_value))
for _method in ("POST", "OPTIONS", "PUT", "BREW"):
    CHECKS.add(f"{_method} ignores Range", "R130", "MUST", partial(_other_ignores, method=_method))

for _field in ("Date", "ETag", "Content-Type", "Cache-Control", "Expires", "Vary", "Content-Location"):

    def _same_field(session: Session, name: str = _field.lower()) -> str | None:
        full, partial_response = session.whole("/style.css"), _ask(session, "bytes=1-2", path="/style.css")
        if full.field(name) is None:
            raise InapplicableError(f"the 200 has no {name}")
        found = partial_response.field(name)
        return unless(found is not None, f"the 206 lacks {name}, which the 200 has") or unless(
            name in {"date", "expires"} or found == full.field(name), f"{name} of the 206 is not that of the 200"
        )

    CHECKS.add(f"206 has the {_field} of the 200", "R129", "MUST", _same_field)


def _several(session: Session, value: str) -> str | None:
    """Request several ranges. Check that the server sends correct parts or the entire file."""
    response = _ask(session, value)
    # RFC 9110 §5.6.1.2: a server that refuses a list for an empty member breaks a MUST, not only R127.
    fault = None if ",," in value else _refusal(response)
    return fault or expect(response, 200, 206) or _fault(response, DIGITS)


def _all_of_several(session: Session, value: str, wanted: str) -> str | None:
    """Request several ranges. Check that the parts cover all positions in *wanted*.

    Each digit of *wanted* is one position.
    """
    response = _ask(session, value)
    if response.status != 206 or _fault(response, DIGITS):
        raise InapplicableError("the server sends no valid ranges")
    covered = {place for first, last, _ in ranges_of(response) for place in range(first, last + 1)}
    # RFC 9110 §15.3.7.2: the server may also send small gaps between the ranges.
    return unless({int(digit) for digit in wanted} <= covered, f"only the bytes at {sorted(covered)} are sent")


for _value, _wanted in (
    ("bytes=0-1,4-5", "0145"),
    ("bytes=0-1, 4-5, 8-9", "014589"),
    ("bytes=0-0,-1", "09"),
    ("bytes=5-9,0-4", "0123456789"),
    ("bytes=0-4,5-9", "0123456789"),
    ("bytes=0-5,3-8", "012345678"),
    ("bytes=0-1,99-", "01"),
    ("bytes=99-,4-5,200-300", "45"),
    ("bytes=0-1,,4-5", "0145"),
    ("bytes=-3,0-1", "01789"),
    ("bytes=0-9,0-9", "0123456789"),
):
    # RFC 9110 §5.6.1.2: empty members of a list are ignored.
    _requirement = "R041" if ",," in _value else "R135"
    _run = partial(_several, value=_value)
    CHECKS.add(f"Range: {_value} of ten bytes is understood", _requirement, "MUST", _run)
    # RFC 9110 §15.3.7: a server may send less, but the client would then likely request the rest.
    _run = partial(_all_of_several, value=_value, wanted=_wanted)
    CHECKS.add(f"Range: {_value} of ten bytes gives all requested bytes", "R135", "SHOULD", _run)


@CHECKS.check("The parts have the Content-Type that the 200 has", "R135", "SHOULD")
def _parts_have_type(session: Session) -> str | None:
    response = _ask(session, "bytes=0-0,1700-1700", path="/style.css")
    if "multipart" not in field(response, "content-type"):
        raise InapplicableError("the server sends no multipart response")
    content_type = session.separate().whole("/style.css").field("content-type") or b""
    return unless(
        b"content-type: " + content_type.lower() in response.content.lower(), "no part has the Content-Type of the 200"
    )


def _not_multiplied(session: Session, value: str) -> str | None:
    """Return a fault if the response to many ranges is more than twice as long as the file."""
    octets = len(_ask(session, value, path="/big.bin").content)
    return unless(octets <= 2 * len(BIG), f"{octets} bytes for a file of {len(BIG)}")


for _what, _value in {
    "a hundred times the whole": "bytes=" + ",".join(["0-"] * 100),
    "overlapping ranges": "bytes=" + ",".join(f"{first}-" for first in range(60)),
    "a hundred suffixes": "bytes=" + ",".join(f"-{3_000_000 + count}" for count in range(100)),
    "a thousand bytes": "bytes=" + ",".join(f"{2 * place}-{2 * place}" for place in range(1000)),
}.items():
    CHECKS.add(
        f"Ranges do not multiply the content: {_what}", "R136", "SECURITY", partial(_not_multiplied, value=_value)
    )


def _if_range(session: Session, value: str, *, is_whole: bool) -> str | None:
    if "{tag}" in value:
        value = value.replace("{tag}", entity_tag(session))
    if "{date}" in value:
        value = value.replace("{date}", last_modified(session))
    response = _ask(session, "bytes=2-4", f"If-Range: {value}")
    if not is_whole:
        return expect(response, 200, 206) or _fault(response, DIGITS)
    return expect(response, 200) or unless(response.content == DIGITS, "the content is not the whole file")


for _value, _is_whole in (
    ("{tag}", False),
    ("{date}", False),
    ('"no-such-tag"', True),
    ("W/{tag}", True),
    ('W/"no-such-tag"', True),
    ("Fri, 01 Jan 2100 00:00:00 GMT", True),
    ("Sun, 06 Nov 1994 08:49:37 GMT", True),
    ("yesterday", True),
    ('"a", {tag}', True),
    ('""', True),
):
    CHECKS.add(
        f"If-Range: {_value} gives the {'whole file' if _is_whole else 'range, or the whole file'}",
        "R137", "MUST", partial(_if_range, value=_value, is_whole=_is_whole),
    )  # fmt: skip


@CHECKS.check("If-Range without Range is ignored", "R137", "MUST")
def _if_range_alone(session: Session) -> str | None:
    return expect(session.one(get(_PATH, 'If-Range: "no-such-tag"')), 200)


@CHECKS.check("If-Range that fails gives the whole file, even if the range is unsatisfiable", "R137", "MUST")
def _if_range_fails_before_416(session: Session) -> str | None:
    return expect(_ask(session, "bytes=99-", 'If-Range: "no-such-tag"'), 200)


@CHECKS.check("If-Range that fails gives the whole file, even if several ranges are requested", "R137", "MUST")
def _if_range_fails_before_several(session: Session) -> str | None:
    return expect(_ask(session, "bytes=0-1,4-5", 'If-Range: "no-such-tag"'), 200)


def _of_big(session: Session, value: str) -> str | None:
    response = _ask(session, value, path="/big.bin")
    return _refusal(response) or expect(response, 200, 206) or _fault(response, BIG)


for _value in ("bytes=1048575-1048577", "bytes=-1", "bytes=65535-262144", "bytes=1-", "bytes=0-0,3000000-3000010"):
    CHECKS.add(f"Range: {_value} of a large file has its bytes", "R128", "MUST", partial(_of_big, value=_value))


# A server that reads the whole file into memory for each request may take this long for one.
_HEAVY_SECONDS = 5.0


def _of_sparse(session: Session, value: str, content_range: str, octets: bytes) -> str | None:
    session.silence_seconds = _HEAVY_SECONDS
    try:
        head = session.one(request("HEAD", "/sparse.bin"))
    except FaultError as fault:
        raise InapplicableError(f"HEAD of a file of 5 GiB fails: {fault}") from fault
    if field(head, "content-length") != str(SPARSE_OCTETS):
        raise InapplicableError("the folder has no file of 5 GiB, or HEAD does not give its length")
    if session.separate().one(get(_PATH, "Range: bytes=1-2")).status != 206:
        raise InapplicableError("the server does not support ranges, which is allowed")
    try:
        response = session.one(get("/sparse.bin", f"Range: {value}"))
    except FaultError as fault:
        if session.transcript and session.transcript.ended == "flooded":
            raise InapplicableError("the server sends the whole file, which is allowed") from fault
        raise
    return (
        _refusal(response)
        or expect(response, 206)
        or unless(
            field(response, "content-range") == content_range and response.content == octets,
            f"Content-Range is {field(response, 'content-range')}, with {len(response.content)} bytes",
        )
    )


for _value, _first, _last, _octets in (
    ("bytes=4294967295-4294967297", 4294967295, 4294967297, bytes(3)),
    ("bytes=-4", SPARSE_OCTETS - 4, SPARSE_OCTETS - 1, b"\0end"),
    (f"bytes={SPARSE_OCTETS - 3}-", SPARSE_OCTETS - 3, SPARSE_OCTETS - 1, b"end"),
    ("bytes=2147483647-2147483648", 2147483647, 2147483648, bytes(2)),
):
    _content_range = f"bytes {_first}-{_last}/{SPARSE_OCTETS}"
    _run = partial(_of_sparse, value=_value, content_range=_content_range, octets=_octets)
    CHECKS.add(f"Range: {_value} of 5 GiB has its bytes", "R134", "MUST", _run, is_heavy=True)


# RFC 9110 §5.3 lets a recipient join the lines of a field that is a list. Range is no such list: a server that joins
# two Range lines serves ranges that neither line requests.
def _not_joined(session: Session, first: str, second: str) -> str | None:
    """Return a fault if the server joins two Range lines into one list of ranges."""
    _ask(session.separate(), "bytes=1-2")
    response = session.one(get(_PATH, f"Range: {first}", f"Range: {second}"))
    if 400 <= response.status < 500:
        return None
    if response.status == 206:
        return unless("multipart" not in field(response, "content-type"), "the two lines are joined into one list")
    return expect(response, 200)


for _one, _other in (("bytes=0-0", "2-2"), ("bytes=0-0", "bytes=2-2"), ("bytes=0-0,", "4-5")):
    CHECKS.add(
        f"Range: {_one} and Range: {_other} are not joined",
        "R148",
        "SECURITY",
        partial(_not_joined, first=_one, second=_other),
    )
