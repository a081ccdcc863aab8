"""The strict reader: octets in, responses out, and a sentence about each fault that a server must not send.

It knows RFC 9112 §4 (status line), §5 (fields), §6 and §7 (framing), and no socket. It never raises an error.

    responses = *( interim ) response *( *( interim ) response )
    response  = status-line *( field-line CRLF ) CRLF [ content, as §6.3 delimits it ]
"""

import re
from collections.abc import Sequence
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
# Names whose grammar is one value, not a list (RFC 9110 §5.3).
_SINGLETONS = frozenset(
    b"content-length content-type content-range content-location date etag last-modified location age retry-after "
    b"expires server".split()
)
# Stop at these counts: reading an endless response must end.
_MAX_SURPLUS = 100
_MAX_CHUNKS = 100_000


class Response(NamedTuple):
    """One response: the names of its *fields* in lower case, its *content* without any chunks, all its *octets*."""

    status: int
    phrase: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes
    octets: bytes
    version: bytes = b"1.1"

    def field(self, name: bytes | str) -> bytes | None:
        """Return the value of the field *name*, of several lines as a list, or None."""
        wanted = name.encode("ascii") if isinstance(name, str) else name
        values = [value for known, value in self.fields if known == wanted.lower()]
        return b", ".join(values) if values else None

    def has_member(self, name: str, member: bytes) -> bool:
        """Return whether the list in the field *name* has *member*, which is in lower case."""
        return member in [part.strip(b" \t").lower() for part in (self.field(name) or b"").split(b",")]

    @property
    def closes(self) -> bool:
        """Whether the server says that this response is the last one (RFC 9112 §9.3)."""
        if self.has_member("connection", b"close"):
            return True
        return self.version == b"1.0" and not self.has_member("connection", b"keep-alive")


class Reading(NamedTuple):
    """The final *responses* in order; the octets *leftover* behind the last whole one; *faults*; *interim* ones."""

    responses: list[Response]
    leftover: bytes
    faults: list[str]
    interim: list[Response]


class _Framed(NamedTuple):
    """Content that ends at *stop*; or a fault."""

    content: bytes
    stop: int
    fault: str | None = None
    is_whole: bool = True


def read_responses(octets: bytes, methods: Sequence[str], is_ended: object) -> Reading:
    """Return the responses in *octets* that a server sent to requests of *methods*, in their order.

    *is_ended* says whether these are all octets until the server closed. Beyond *methods*, GET is assumed, for some
    surplus responses: an endless response is left over.
    """
    reading = Reading([], b"", [], [])
    at = 0
    while at < len(octets) and len(reading.responses) + len(reading.interim) < len(methods) + _MAX_SURPLUS:
        number = len(reading.responses)
        method = methods[number] if number < len(methods) else "GET"
        response, faults, stop = _read_response(octets, at, method, is_ended=bool(is_ended))
        reading.faults.extend(faults)
        if response is None:
            break
        (reading.interim if 100 <= response.status < 200 else reading.responses).append(response)
        at = stop
    return reading._replace(leftover=octets[at:])


def _read_response(octets: bytes, at: int, method: str, *, is_ended: bool) -> tuple[Response | None, list[str], int]:
    """Return the response at *at*, or None if it has no end; its faults; and where the next one starts."""
    head_stop = octets.find(b"\r\n\r\n", at)
    if head_stop < 0:
        return None, _faults_of_a_partial_head(octets[at:], is_ended=is_ended), at
    status_line, *field_lines = octets[at:head_stop].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        return None, [f"{_show(status_line)} is not a status line (RFC 9112 §4)"], at
    version, status, phrase = match[1], int(match[2]), match[3]
    faults: list[str] = []
    fields = _fields(field_lines, faults)
    head = Response(status, phrase, fields, b"", octets[at : head_stop + 4], version)
    faults.extend(_faults_of_a_head(head))
    framed = _content(octets, head_stop + 4, head, method, is_ended=bool(is_ended))
    if framed.fault is not None:
        faults.append(framed.fault)
    if not framed.is_whole:
        return None, faults, at
    return head._replace(content=framed.content, octets=octets[at : framed.stop]), faults, framed.stop


def _faults_of_a_partial_head(octets: bytes, *, is_ended: bool) -> list[str]:
    """Return the fault of *octets* without a whole head."""
    if not b"HTTP/1.".startswith(octets[:7]):
        return [f"{_show(octets)} is not the start of a response (RFC 9112 §4)"]
    return ["the head of a response has no end (RFC 9112 §8)"] if is_ended else []


def _fields(lines: Sequence[bytes], faults: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return names, in lower case, and values; invalid lines are left out and added to *faults*."""
    fields = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            faults.append(f"{_show(line)} is not a field line (RFC 9112 §5)")
        else:
            fields.append((match[1].lower(), match[2]))
    return tuple(fields)


def _faults_of_a_head(head: Response) -> list[str]:
    """Return the fields of *head* that a server must not send."""
    names = [name for name, _ in head.fields]
    faults = [
        f"{name.decode()} is there {names.count(name)} times (RFC 9110 §5.3)"
        for name in sorted(_SINGLETONS & set(names))
        if names.count(name) > 1
    ]
    has_length, has_coding = b"content-length" in names, b"transfer-encoding" in names
    if has_length and has_coding:
        faults.append("Content-Length beside Transfer-Encoding (RFC 9112 §6.2)")
    if head.status < 200 or head.status == 204:
        faults.extend(
            f"{name} in a {head.status} response ({section})"
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
            faults.append(f"{name} is {_show(value)} ({section})")
    return faults + _faults_of_a_status(head)


def _faults_of_a_status(head: Response) -> list[str]:
    """Return the missing and surplus fields of *head* for its status."""
    if head.status == 405 and head.field("allow") is None:
        return ["405 without Allow (RFC 9110 §15.5.6)"]
    if head.status == 401 and head.field("www-authenticate") is None:
        return ["401 without WWW-Authenticate (RFC 9110 §15.5.2)"]
    if head.status == 426 and head.field("upgrade") is None:
        return ["426 without Upgrade (RFC 9110 §15.5.22)"]
    if head.status == 206:
        is_multipart = (head.field("content-type") or b"").lower().startswith(b"multipart/byteranges")
        if is_multipart and head.field("content-range") is not None:
            return ["a multipart 206 with Content-Range outside its parts (RFC 9110 §15.3.7.2)"]
        if not is_multipart and head.field("content-range") is None:
            return ["a 206 without Content-Range (RFC 9110 §15.3.7.1)"]
    return []


def _content(octets: bytes, at: int, head: Response, method: str, *, is_ended: bool) -> _Framed:
    """Return the content of the response with *head* to *method*, which starts at *at*, as RFC 9112 §6.3 says."""
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
        return _Framed(b"", at, f"Content-Length is {_show(length)} (RFC 9110 §8.6)", is_whole=False)
    stop = at + int(length)
    if stop > len(octets):
        fault = f"{len(octets) - at} bytes of content of {int(length)} promised (RFC 9112 §8)" if is_ended else None
        return _Framed(b"", at, fault, is_whole=False)
    return _Framed(octets[at:stop], stop)


def _no_content(octets: bytes, at: int, head: Response, method: str) -> _Framed:
    """Return no content; only another response may follow."""
    rest = octets[at : at + 5]
    if rest and not b"HTTP/".startswith(rest) and head.status != 101:
        what = "HEAD" if method == "HEAD" else str(head.status)
        return _Framed(b"", at, f"a response has no content when it answers or is {what} (RFC 9112 §6.3)")
    return _Framed(b"", at)


def _chunks(octets: bytes, at: int, *, is_ended: bool) -> _Framed:
    """Return chunked content, which starts at *at* (RFC 9112 §7.1)."""
    content = bytearray()
    cut = _Framed(b"", at, "chunked content has no end (RFC 9112 §8)" if is_ended else None, is_whole=False)
    for _ in range(_MAX_CHUNKS):
        line_stop = octets.find(b"\r\n", at)
        if line_stop < 0:
            return cut
        match = _CHUNK_SIZE.fullmatch(octets[at:line_stop])
        if match is None:
            return cut._replace(fault=f"{_show(octets[at:line_stop])} is not a chunk size (RFC 9112 §7.1)")
        size, at = int(match[1], 16), line_stop + 2
        if size == 0:
            break
        content += octets[at : at + size]
        if len(octets) < at + size + 2:
            return cut
        if octets[at + size : at + size + 2] != b"\r\n":
            return cut._replace(fault="chunk data doesn't end at its size (RFC 9112 §7.1)")
        at += size + 2
    else:
        return cut._replace(fault=f"more than {_MAX_CHUNKS} chunks, and no end")
    while octets[at : at + 2] != b"\r\n":
        line_stop = octets.find(b"\r\n", at)
        if line_stop < 0:
            return cut
        if not _FIELD_LINE.fullmatch(octets[at:line_stop]):
            return cut._replace(fault=f"{_show(octets[at:line_stop])} is not a trailer (RFC 9112 §7.1.2)")
        at = line_stop + 2
    return _Framed(bytes(content), at + 2)


def _show(octets: bytes) -> str:
    """Return *octets* for a sentence, shortened."""
    text = ascii(octets)[1:]
    return text if len(text) <= 60 else f"{text[:60]}…"
