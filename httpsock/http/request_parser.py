"""The request parser: octets in, events out, within limits.

Takes the octets of a connection, in pieces of any size. Gives requests and their content. Knows no files, sockets or
time. Next: target. Then the connection passes each Request to the handler (files/handler).

RFC 9112 §2.2 (message parsing), §3 (request line), §5 (field syntax), §9.3 (persistence).

    GET /hello.txt?x=1 HTTP/1.1 CRLF      request line: method SP request-target SP HTTP-version
    Host: localhost:8000 CRLF             field line
    CRLF                                  the head ends

One pattern validates the request line, another one validates all field lines. If a head is invalid, it is parsed again
line by line, to find the reason. Clients repeat heads and parts of heads, so known_heads caches the results.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from . import grammar
from .framing import (
    ChunkedDecoder,
    ContentLimits,
    FramingError,
    FramingFault,
    LengthDecoder,
    field_line_fault,
    is_persistent,
    parse_content_length,
)
from .known_heads import MAX_KNOWN_OCTETS, MAX_WHOLE_OCTETS, Fields, FieldSection, KnownHeads, Parsers, RequestLine
from .message_reader import Content, EndOfContent, MessageReader, Pause, incomplete
from .messages import Request, RequestError, Status, Target, TargetForm
from .protocols import foreign_protocol
from .target import check_host, parse_target


class Limits(NamedTuple):
    """Limits on the size of a request. *field_lines* and *empty_lines* count lines. All other limits are in octets."""

    # RFC 9112 §3 asks for at least 8000.
    request_line: int = 8192
    # Browsers with many cookies stay below 16 KiB; other servers allow 8 to 64 KiB.
    head: int = 32 * 1024
    field_lines: int = 100
    # RFC 9112 §2.2 asks for at least one; some old clients send an extra CRLF after a POST.
    empty_lines: int = 4
    content: ContentLimits = ContentLimits()


RequestEvent = Request | Content | EndOfContent | Pause


class _Passed(NamedTuple):
    """The part of an incomplete head that is already validated."""

    octets: int = 0
    lines: int = 0
    empty_lines: int = 0


_NOTHING_PASSED = _Passed()
_CR = ord(b"\r")
# A look-up of the enum's member each time would take a tenth of the time for a request line.
_ORIGIN = TargetForm.ORIGIN
# The end of the last line of a head, and the empty line.
_END = b"\r\n\r\n"
_END_OCTETS = len(_END)

# A pattern can count this far, and no head has this many lines.
_MAX_REPETITIONS = 2**31

# The fields that a server of files uses. All other lines are validated but not stored: storing them would take half
# the time of a browser's head (measured: 7 of 15 µs).
MEANINGFUL_FIELDS = (
    *(b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"range", b"accept"),
    *(b"accept-encoding", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"),
)
# The fields that decide about host, framing and persistence.
_DECISIVE_FIELDS = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding"))
_initials = {initial for name in MEANINGFUL_FIELDS for initial in (name[:1], name[:1].upper())}
# A lookahead at the first letter skips most other fields quickly.
_MEANINGFUL_FIELD = rb"\r\n(?=[%b])((?i:%b)):[ \t]*+([^\r]*+)" % (
    b"".join(sorted(_initials)),
    b"|".join(MEANINGFUL_FIELDS),
)


class RequestParser(MessageReader):
    """Parser of one connection. Call ``receive`` with octets, then call ``next_event`` until it returns a Pause.

    If the octets are not a request, ``next_event`` raises RequestError. After that the parser must not be used.
    """

    __slots__ = ("_known_heads", "_known_octets", "_last", "_last_octets", "_limits", "_passed", "_usual_head")

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        # A head below this length is within both limits.
        self._usual_head = min(limits.request_line, limits.head - _END_OCTETS)
        self._known_octets = min(self._usual_head, MAX_KNOWN_OCTETS)
        # A client that repeats a long head mostly does so on one connection. The last request is cached only if the
        # head before had the same length. So a connection with a single request caches none.
        self._last: Request | None = None
        self._last_octets = 0
        self._passed = _NOTHING_PASSED
        self._known_heads = known_heads(limits.field_lines)

    @property
    def content_left(self) -> int:
        """The number of octets of content still to come. For chunked content, this counts only the current chunk."""
        return 0 if self._decoder is None else self._decoder.remaining

    def next_event(self) -> RequestEvent:
        """Return the next event in the octets received."""
        buffer = self.unread
        try:
            if self._decoder is not None:
                return self._next_content(self._decoder)
            if not buffer:
                return Pause.CLOSED if self._has_ended else Pause.NEED_DATA
            # The usual case: one head, which came before as a whole or in parts.
            length = len(buffer)
            if length <= self._known_octets:
                if length <= MAX_WHOLE_OCTETS:
                    request = self._known_heads.requests.get(buffer)
                else:
                    request = self._last if self._last and buffer == self._last.head else None
                if request is None and buffer[0] != _CR and buffer.endswith(_END):
                    request = self._known_heads.parse(buffer)
                    self._last = request if length == self._last_octets else None
                    self._last_octets = length
                if request is not None:
                    return self._consume(request)
            last_line = buffer.find(_END)
            if 0 < last_line < self._usual_head and buffer[0] != _CR:
                return self._request(last_line + _END_OCTETS)
            return self._next_unusual(last_line)
        except FramingError as fault:
            raise request_error(fault) from None

    def _request(self, stop: int) -> Request:
        """Return the request whose head ends at *stop* in the buffer."""
        head = self.unread[:stop]
        is_short = stop <= MAX_KNOWN_OCTETS
        return self._consume(self._known_heads.parse(head) if is_short else parse_head(head, self._limits.field_lines))

    def _consume(self, request: Request) -> Request:
        """Remove the head of *request* from the buffer, and choose the decoder for its content. Return *request*."""
        self.unread = self.unread[len(request.head) :]
        self._passed = _NOTHING_PASSED
        if request.content_length is None:
            self._decoder = ChunkedDecoder(self._limits.content)
        elif request.content_length:
            self._decoder = LengthDecoder(request.content_length)
        return request

    def _next_unusual(self, last_line: int) -> RequestEvent:
        """Return the next event if the head is long or incomplete, or follows an empty line.

        *last_line* is the position where the head's last line ends. If the head is incomplete, *last_line* is -1.
        """
        if self.unread.startswith(b"\r\n"):
            self._skip_empty_line()
            return self.next_event()
        self._check_partial_head()
        if 0 <= last_line <= self._limits.head - _END_OCTETS:
            return self._request(last_line + _END_OCTETS)
        if len(self.unread) > self._limits.head:
            raise RequestError(
                Status.FIELDS_TOO_LARGE, f"the head is longer than {self._limits.head} bytes", "RFC 6585 §5"
            )
        if self._has_ended:
            raise incomplete("head")
        return Pause.NEED_DATA

    def _skip_empty_line(self) -> None:
        """Drop an empty line before a request line (RFC 9112 §2.2)."""
        self.unread = self.unread[len(b"\r\n") :]
        self._passed = self._passed._replace(empty_lines=self._passed.empty_lines + 1)
        if self._passed.empty_lines > self._limits.empty_lines:
            reason = f"more than {self._limits.empty_lines} empty lines before the request line"
            raise RequestError(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")

    def _check_partial_head(self) -> None:
        """If an incomplete head has an invalid line, raise the error for this line.

        Check each line once it is complete. Check the method and the length of the first line even earlier.
        """
        octets, lines, empty_lines = self._passed
        if lines == 0:
            _check_first_line(self.unread, self._limits.request_line)
        stop = self.unread.rfind(b"\n", octets, self._limits.head) + 1
        if stop <= octets:
            return
        complete = self.unread[octets:stop]
        if fault := next(_line_faults(complete, lines, self._limits.field_lines), None):
            raise fault
        self._passed = _Passed(stop, lines + complete.count(b"\n"), empty_lines)


# The status codes for framing errors. For any other error, the status is 400.
_STATUSES = {
    FramingFault.LENGTH_TOO_LARGE: Status.CONTENT_TOO_LARGE,
    FramingFault.CONTENT_TOO_LARGE: Status.CONTENT_TOO_LARGE,
    FramingFault.TRAILERS_TOO_LARGE: Status.FIELDS_TOO_LARGE,
    FramingFault.UNKNOWN_CODING: Status.NOT_IMPLEMENTED,
}


def request_error(fault: FramingError) -> RequestError:
    """Return *fault* as a RequestError with the matching status code."""
    return RequestError(_STATUSES.get(fault.kind, Status.BAD_REQUEST), fault.reason, fault.section)


def parse_head(head: bytes, max_field_lines: int) -> Request:
    """Return the request with this *head*, which must be complete, including its empty line.

    Raise RequestError if *head* is invalid. Raise FramingError if a field line or the framing is invalid.
    """
    line_end = head.find(b"\r\n")
    line = _parse_request_line(head[:line_end])
    return Request._make((head, *line, *_parsers(max_field_lines).section(head[line_end:], line[3])))


@lru_cache(maxsize=16)
def known_heads(max_field_lines: int) -> KnownHeads:
    """Return the cache of heads. All connections with the same limit share the cache."""
    return KnownHeads(_parsers(max_field_lines))


def _parse_request_line(octets: bytes) -> RequestLine:
    """Return the parsed request line. Raise RequestError if the line is invalid.

    The result depends only on *octets* and is immutable, so the result can be cached.
    """
    match = grammar.request_line.fullmatch(octets)
    if match is None or match[4] != b"1":
        raise next(_line_faults(octets + b"\r\n", 0, 0))
    method, path, query, _, minor_digit = match.groups()
    if path is None or method == b"CONNECT":
        target = parse_target(method, octets[len(method) + 1 : -len(b" HTTP/1.1")])
    else:
        target = Target._make((_ORIGIN, path, query, True))
    # RFC 9110 §2.5, §6.2: process a higher minor version as the highest supported one.
    return octets, method.decode("ascii"), target, 0 if minor_digit == b"0" else 1


@lru_cache(maxsize=16)
def _parsers(max_field_lines: int) -> Parsers:
    """Return the functions that parse a head with at most *max_field_lines* field lines."""
    is_valid = re.compile(grammar.FIELD_SECTION % min(max_field_lines, _MAX_REPETITIONS)).fullmatch
    find_meaningful = re.compile(_MEANINGFUL_FIELD).findall

    def parse_section(octets: bytes, minor_version: int) -> FieldSection:
        if not is_valid(octets):
            raise next(_line_faults(octets[len(b"\r\n") :], 1, max_field_lines))
        fields: dict[bytes, bytes] = {}
        for name, value in find_meaningful(octets):
            key, text = name.lower(), value.rstrip(b" \t")
            fields[key] = _join(key, fields[key], text) if key in fields else text
        check_host(fields.get(b"host"), minor_version)
        content_length = parse_content_length(fields, minor_version)
        return fields, content_length, is_persistent(fields.get(b"connection"), minor_version)

    def parse_tail(octets: bytes) -> Fields | None:
        if not is_valid(octets):
            return None
        found = find_meaningful(octets)
        fields = {name.lower(): value.rstrip(b" \t") for name, value in found}
        return fields if len(fields) == len(found) and _DECISIVE_FIELDS.isdisjoint(fields) else None

    return Parsers(_parse_request_line, parse_section, parse_tail, max_field_lines)


def _join(name: bytes, first: bytes, second: bytes) -> bytes:
    """Join two values of the field *name* (RFC 9110 §5.3). Raise RequestError for a repeated Host or Content-Length."""
    if name == b"host":
        raise RequestError(Status.BAD_REQUEST, "there is more than one Host field line", "RFC 9112 §3.2")
    if name == b"content-length":
        raise RequestError(Status.BAD_REQUEST, "there is more than one Content-Length field line", "RFC 9112 §6.3")
    if name not in grammar.SINGLETONS:
        return first + b", " + second
    # RFC 9110 §13.1.3, §13.1.4, §14.2: contradictory dates are ignored, and a contradictory Range may be ignored. An
    # empty value has this effect. A joined value could be a date or ranges that neither line has.
    return first if first == second else b""


# --- Faults of a head -----------------------------------------------------------------------------


def _line_faults(lines: bytes, passed_lines: int, max_field_lines: int) -> Iterator[RequestError | FramingError]:
    """Yield the faults of the head's *lines*, up to the empty line.

    *passed_lines* is how many valid lines came before.
    """
    fault: RequestError | FramingError | None
    for number, line in enumerate(lines.split(b"\n")[:-1], start=passed_lines):
        if number == 0:
            fault = _request_line_fault(line + b"\n")
        elif line == b"\r":
            return
        elif number > max_field_lines:
            fault = _too_many_fault(max_field_lines)
        elif number == 1 and line.startswith((b" ", b"\t")):
            reason = "there is whitespace between the request line and the first field line"
            fault = RequestError(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")
        else:
            fault = field_line_fault(line + b"\n", f"field line {number}")
        if fault:
            yield fault


def _too_many_fault(max_field_lines: int) -> RequestError:
    return RequestError(Status.FIELDS_TOO_LARGE, f"there are more than {max_field_lines} field lines", "RFC 6585 §5")


def _version_fault(version: bytes) -> RequestError:
    reason = f"HTTP/{version.decode('ascii')} is not supported; use HTTP/1.1"
    return RequestError(Status.VERSION_NOT_SUPPORTED, reason, "RFC 9110 §15.6.6")


def _check_first_line(octets: bytes, maximum: int) -> None:
    """Raise RequestError if the method is invalid, or if the first line has a bare CR or is longer than *maximum*."""
    first = octets[: maximum + len(b"\r\n")]
    if fault := _method_fault(first):
        raise fault
    if b"\n" in first:
        return
    # If all lines end with CR alone, there will be no complete line.
    if b"\r" in first[:-1]:
        raise RequestError(Status.BAD_REQUEST, *_request_line_reason(first + b"\r\n", first))
    if len(first) < maximum + len(b"\r\n"):
        return
    if b" " not in first:
        raise RequestError(Status.NOT_IMPLEMENTED, f"the method is longer than {maximum} bytes", "RFC 9112 §3")
    raise RequestError(Status.URI_TOO_LONG, f"the request line is longer than {maximum} bytes", "RFC 9110 §15.5.15")


def _method_fault(octets: bytes) -> RequestError | None:
    """If the method in the first line is invalid, return its fault, else None. The method may be incomplete."""
    method = octets.partition(b"\n")[0].removesuffix(b"\r").partition(b" ")[0]
    passed = grammar.token.match(method)
    valid = passed.end() if passed else 0
    if valid == len(method):
        return None
    reason = f"the method has the byte \\x{method[valid]:02x} at position {valid}, and is not a token"
    return RequestError(Status.BAD_REQUEST, foreign_protocol(octets) or reason, "RFC 9112 §3.1")


def _request_line_fault(line: bytes) -> RequestError | None:
    """Return the fault of a request line, or None if the line is valid. The line ends in LF."""
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    match = grammar.request_line.fullmatch(text)
    if match and match[4] != b"1":
        return _version_fault(match[4] + b"." + match[5])
    if match and line.endswith(b"\r\n"):
        try:
            _parse_request_line(text)
        except RequestError as fault:
            return fault
        return None
    return _method_fault(line) or RequestError(Status.BAD_REQUEST, *_request_line_reason(line, text))


def _request_line_reason(line: bytes, text: bytes) -> tuple[str, str]:
    """Return why *line* is not a request line, and the section of the RFC. *text* is *line* without its line end."""
    section = "RFC 9112 §3"
    if protocol := foreign_protocol(line):
        return protocol, section
    if b"\r" in text or not line.endswith(b"\r\n"):
        fault = "has a bare CR" if b"\r" in text else "ends with a bare LF, not with CRLF"
        return f"the request line {fault}", "RFC 9112 §2.2"
    if text.startswith(b" "):
        return "the request line starts with a space", section
    _, *rest = text.split(b" ")
    if len(rest) < 2:
        return f"the request line has {len(rest) + 1} of its three parts: method, request-target, HTTP-version", section
    if len(rest) == 2 and not rest[0]:
        return "the request-target is empty", section
    if len(rest) > 2:
        return "the request line has more than two spaces", section
    if not re.fullmatch(grammar.HTTP_VERSION, rest[1]):
        return f'the HTTP-version is "{grammar.printable(rest[1])}", not HTTP/1.1', section
    return f'the request-target "{grammar.printable(rest[0])}" has a control character', section
