"""The strict reader: parse octets into responses, with a Fault for everything that a server must not send.

The reader covers RFC 9112 §4 (status line), §5 (fields), §6 and §7 (framing). It uses no sockets and never raises an
error.

    responses = *( interim ) response *( *( interim ) response )
    response  = status-line *( field-line CRLF ) CRLF [ content, as §6.3 delimits it ]
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

_STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9]) ([1-5][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*"
                         rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*")  # fmt: skip
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)
_ENTITY_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t \x21-\x7e\x80-\xff]*)?")
# Fields whose value is not a list, so that each may be sent only once (RFC 9110 §5.3).
_SINGLETONS = frozenset(
    b"content-length content-type content-range content-location date etag last-modified location age retry-after "
    b"expires server".split()
)
# Stop reading an endless response: after this many more responses than requests, or this many chunks.
_MAX_SURPLUS = 100
_MAX_CHUNKS = 100_000


class Response(NamedTuple):
    """One response.

    Field names are in lower case. *content* is decoded from chunks. *octets* is the entire response.
    """

    status: int
    phrase: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes
    octets: bytes
    version: bytes = b"1.1"

    def field(self, name: bytes | str) -> bytes | None:
        """Return the value of the field called *name*, or None. If there are several values, join them with commas."""
        wanted = name.encode("ascii") if isinstance(name, str) else name
        values = [value for known, value in self.fields if known == wanted.lower()]
        return b", ".join(values) if values else None

    def has_member(self, name: str, member: bytes) -> bool:
        """Return whether a list field contains *member*. *name* is the field's name, and *member* is in lower case."""
        return member in [part.strip(b" \t").lower() for part in (self.field(name) or b"").split(b",")]

    @property
    def closes(self) -> bool:
        """Whether the server says that this response is the last one (RFC 9112 §9.3)."""
        if self.has_member("connection", b"close"):
            return True
        return self.version == b"1.0" and not self.has_member("connection", b"keep-alive")


class FaultKind(Enum):
    """The kinds of faults. The kind decides which requirement a fault breaks."""

    NO_START = "the octets do not start like a response of HTTP/1"
    NO_ALLOW = "a 405 lacks Allow"
    CONTENT_OF_HEAD = "the response to HEAD has content"
    OTHER = "any other fault"


class Fault(NamedTuple):
    """A description of octets that no server may send, with the section of the RFC."""

    says: str
    kind: FaultKind = FaultKind.OTHER


class ParsedResponses(NamedTuple):
    """The result of parsing: the final and the interim responses, the faults, and the octets left over."""

    responses: list[Response]
    leftover: bytes
    faults: list[Fault]
    interim: list[Response]

    @property
    def is_under_way(self) -> bool:
        """Whether the octets end within the content of a response that has no fault so far."""
        return not self.faults and self.leftover.startswith(b"HTTP/1.") and b"\r\n\r\n" in self.leftover


class _Framed(NamedTuple):
    """The content of one response.

    *stop* is the position after the content. *fault* says why the content can't be read.
    """

    content: bytes
    stop: int
    fault: Fault | None = None
    is_whole: bool = True


def read_responses(octets: bytes, methods: Sequence[str], is_ended: object) -> ParsedResponses:
    """Parse *octets* as a server's responses. *methods* are the methods of the requests.

    If *is_ended* is true, the server closed the connection after *octets*. Additional responses, up to a limit, are
    read as responses to GET.
    """
    parsed = ParsedResponses([], b"", [], [])
    at = 0
    while at < len(octets) and len(parsed.responses) + len(parsed.interim) < len(methods) + _MAX_SURPLUS:
        number = len(parsed.responses)
        method = methods[number] if number < len(methods) else "GET"
        response, faults, stop = _read_response(octets, at, method, is_ended=bool(is_ended))
        parsed.faults.extend(faults)
        if response is None:
            break
        (parsed.interim if 100 <= response.status < 200 else parsed.responses).append(response)
        at = stop
    return parsed._replace(leftover=octets[at:])


def _read_response(octets: bytes, at: int, method: str, *, is_ended: bool) -> tuple[Response | None, list[Fault], int]:
    """Parse the response at position *at*. Return the response, its faults, and the position after the response.

    If the response is incomplete, return None instead of a response.
    """
    head_stop = octets.find(b"\r\n\r\n", at)
    if head_stop < 0:
        return None, _faults_of_a_partial_head(octets[at:], is_ended=is_ended), at
    status_line, *field_lines = octets[at:head_stop].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        return None, [Fault(f"{_show(status_line)} is not a status line (RFC 9112 §4)")], at
    version, status, phrase = match[1], int(match[2]), match[3]
    faults: list[Fault] = []
    fields = _fields(field_lines, faults)
    head = Response(status, phrase, fields, b"", octets[at : head_stop + 4], version)
    faults.extend(_faults_of_a_head(head))
    framed = _content(octets, head_stop + 4, head, method, is_ended=bool(is_ended))
    if framed.fault is not None:
        faults.append(framed.fault)
    if not framed.is_whole:
        return None, faults, at
    return head._replace(content=framed.content, octets=octets[at : framed.stop]), faults, framed.stop


def _faults_of_a_partial_head(octets: bytes, *, is_ended: bool) -> list[Fault]:
    """Return the faults of an incomplete head."""
    if not b"HTTP/1.".startswith(octets[:7]):
        return [Fault(f"{_show(octets)} is not the start of a response (RFC 9112 §4)", FaultKind.NO_START)]
    return [Fault("the head of a response has no end (RFC 9112 §8)")] if is_ended else []


def _fields(lines: Sequence[bytes], faults: list[Fault]) -> tuple[tuple[bytes, bytes], ...]:
    """Parse the field lines. Return the names in lower case and the values. Append a fault for each invalid line."""
    fields = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            faults.append(Fault(f"{_show(line)} is not a field line (RFC 9112 §5)"))
        else:
            fields.append((match[1].lower(), match[2]))
    return tuple(fields)


def _faults_of_a_head(head: Response) -> list[Fault]:
    """Return a fault for each field of *head* that is missing, forbidden, repeated or malformed."""
    names = [name for name, _ in head.fields]
    faults = [
        Fault(f"{name.decode()} is sent {names.count(name)} times (RFC 9110 §5.3)")
        for name in sorted(_SINGLETONS & set(names))
        if names.count(name) > 1
    ]
    has_length, has_coding = b"content-length" in names, b"transfer-encoding" in names
    if has_length and has_coding:
        faults.append(Fault("Content-Length beside Transfer-Encoding (RFC 9112 §6.2)"))
    if head.status < 200 or head.status == 204:
        faults.extend(
            Fault(f"{name} in a {head.status} response ({section})")
            for name, section, is_there in (
                ("Content-Length", "RFC 9110 §8.6", has_length),
                ("Transfer-Encoding", "RFC 9112 §6.1", has_coding),
            )
            if is_there
        )
    for name, pattern, section in (
        ("date", _DATE, "RFC 9110 §5.6.7"),
        ("last-modified", _DATE, "RFC 9110 §5.6.7"),
        ("etag", _ENTITY_TAG, "RFC 9110 §8.8.3"),
    ):
        value = head.field(name)
        if value is not None and not pattern.fullmatch(value):
            faults.append(Fault(f"{name} is {_show(value)} ({section})"))
    return faults + _faults_of_a_status(head)


def _faults_of_a_status(head: Response) -> list[Fault]:
    """Check the fields that depend on the status. Some must be present, others must be absent."""
    if head.status == 405 and head.field("allow") is None:
        return [Fault("405 without Allow (RFC 9110 §15.5.6)", FaultKind.NO_ALLOW)]
    if head.status == 401 and head.field("www-authenticate") is None:
        return [Fault("401 without WWW-Authenticate (RFC 9110 §15.5.2)")]
    if head.status == 426 and head.field("upgrade") is None:
        return [Fault("426 without Upgrade (RFC 9110 §15.5.22)")]
    if head.status == 206:
        is_multipart = (head.field("content-type") or b"").lower().startswith(b"multipart/byteranges")
        if is_multipart and head.field("content-range") is not None:
            return [Fault("a multipart 206 with Content-Range outside its parts (RFC 9110 §15.3.7.2)")]
        if not is_multipart and head.field("content-range") is None:
            return [Fault("a 206 without Content-Range (RFC 9110 §15.3.7.1)")]
    return []


def _content(octets: bytes, at: int, head: Response, method: str, *, is_ended: bool) -> _Framed:
    """Read the content at position *at*. *head* and *method* decide how long it is (RFC 9112 §6.3)."""
    is_tunnel = method == "CONNECT" and 200 <= head.status < 300
    if method == "HEAD" or head.status < 200 or head.status in (204, 304) or is_tunnel:
        return _no_content(octets, at, head, method)
    if head.field("transfer-encoding") is not None:
        if (head.field("transfer-encoding") or b"").lower() == b"chunked":
            return _chunks(octets, at, is_ended=is_ended)
        return _Framed(octets[at:], len(octets), is_whole=is_ended)
    length = head.field("content-length")
    if length is None:
        return _Framed(octets[at:], len(octets), is_whole=is_ended)
    if not re.fullmatch(rb"[0-9]{1,30}", length):
        return _Framed(b"", at, Fault(f"Content-Length is {_show(length)} (RFC 9110 §8.6)"), is_whole=False)
    stop = at + int(length)
    if stop > len(octets):
        says = f"{len(octets) - at} bytes of content arrived, but Content-Length promised {int(length)} (RFC 9112 §8)"
        return _Framed(b"", at, Fault(says) if is_ended else None, is_whole=False)
    return _Framed(octets[at:stop], stop)


def _no_content(octets: bytes, at: int, head: Response, method: str) -> _Framed:
    """Check that no content follows the head. If content follows, return a fault."""
    rest = octets[at : at + 5]
    if rest and not b"HTTP/".startswith(rest) and head.status != 101:
        if method == "HEAD":
            return _Framed(
                b"", at, Fault("the response to HEAD has content (RFC 9110 §9.3.2)", FaultKind.CONTENT_OF_HEAD)
            )
        return _Framed(b"", at, Fault(f"a {head.status} response must not have content (RFC 9112 §6.3)"))
    return _Framed(b"", at)


def _chunks(octets: bytes, at: int, *, is_ended: bool) -> _Framed:
    """Read chunked content at position *at* (RFC 9112 §7.1)."""
    content = bytearray()
    cut = _Framed(b"", at, Fault("chunked content has no end (RFC 9112 §8)") if is_ended else None, is_whole=False)
    for _ in range(_MAX_CHUNKS):
        line_stop = octets.find(b"\r\n", at)
        if line_stop < 0:
            return cut
        match = _CHUNK_SIZE.fullmatch(octets[at:line_stop])
        if match is None:
            return cut._replace(fault=Fault(f"{_show(octets[at:line_stop])} is not a chunk size (RFC 9112 §7.1)"))
        size, at = int(match[1], 16), line_stop + 2
        if size == 0:
            break
        content += octets[at : at + size]
        if len(octets) < at + size + 2:
            return cut
        if octets[at + size : at + size + 2] != b"\r\n":
            return cut._replace(
                fault=Fault("the chunk size is not followed by data of that size and CRLF (RFC 9112 §7.1)")
            )
        at += size + 2
    else:
        return cut._replace(fault=Fault(f"more than {_MAX_CHUNKS} chunks, and no end"))
    while octets[at : at + 2] != b"\r\n":
        line_stop = octets.find(b"\r\n", at)
        if line_stop < 0:
            return cut
        if not _FIELD_LINE.fullmatch(octets[at:line_stop]):
            return cut._replace(fault=Fault(f"{_show(octets[at:line_stop])} is not a trailer (RFC 9112 §7.1.2)"))
        at = line_stop + 2
    return _Framed(bytes(content), at + 2)


def _show(octets: bytes) -> str:
    """Return *octets* as text, quoted and shortened."""
    text = ascii(octets)[1:]
    return text if len(text) <= 60 else f"{text[:60]}…{text[0]}"
