"""The response parser: octets in, events out, within limits.

Takes the octets that a server sends, in pieces of any size. Gives heads, content and its end. Ambiguous octets are an
error, so a response reported as complete is complete. Knows no sockets or files. Next: client/connection, which calls
this parser.

RFC 9112 §4 (status line), §5 (field syntax), §6.3 (where content ends), §8 (incomplete messages), §9.3 (persistence).

    HTTP/1.1 100 Continue CRLF       interim responses, up to a limit
    CRLF
    HTTP/1.1 200 OK CRLF             status line: HTTP-version SP status-code SP [ reason-phrase ]
    Content-Length: 5 CRLF           field line
    CRLF                             the head ends
    hello                            content: of that length, or chunked, or up to the end of the connection
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from . import grammar
from .framing import (
    ChunkedDecoder,
    CloseDecoder,
    ContentLimits,
    FramingError,
    FramingFault,
    LengthDecoder,
    check_chunked,
    check_limits,
    content_too_large,
    is_persistent,
    parse_field_line,
    parse_length,
)
from .message_reader import Content, Decoder, EndOfContent, MessageReader, Pause, incomplete

_BEGINNING = b"HTTP/"
# Fields that are not lists, so only the first value counts (RFC 9111 §4.2.1, §5.1). A singleton has only one value.
_FIRST_VALUE_FIELDS = grammar.SINGLETONS | {b"age", b"expires", b"server"}
# If the first octets are not a response, wait for this many, so that the error can show them.
_MAX_SHOWN = 40


@dataclass(frozen=True)
class ResponseLimits:
    """Limits on the size of a response. *head* is in octets. *field_lines* and *interim_responses* are counts."""

    # Servers that set many long cookies stay below it; curl accepts 300 KiB, browsers 256.
    head: int = 256 * 1024
    field_lines: int = 1000
    # RFC 9110 §15.2 allows any number of interim responses. One a second for a minute is enough.
    interim_responses: int = 60
    # Content is passed on as it arrives and takes no memory, so the limit is 18 digits. A server that streams events
    # sends many small chunks.
    content: ContentLimits = field(
        default_factory=lambda: ContentLimits(content=10**18 - 1, chunk_framing=10**18, trailer_lines=1000)
    )

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError if a limit is invalid."""
        check_limits(self)


class ResponseError(Exception):
    """The octets received are not a valid response.

    *reason* names the fault and its place. *section* is the section of the RFC that the octets violate.
    """

    def __init__(self, reason: str, section: str) -> None:
        super().__init__(f"{reason} ({section})")
        self.reason = reason
        self.section = section


class IncompleteError(ResponseError):
    """The connection ended before the response was complete. The octets received so far may be valid."""


class ResponseHead(NamedTuple):
    """The parsed head of a response.

    *octets* are the octets received. *phrase* is the reason phrase. *field_lines* are in the order received. Names are
    in lower case, and values have no surrounding whitespace.
    """

    octets: bytes
    minor_version: int
    status: int
    phrase: bytes
    field_lines: tuple[tuple[bytes, bytes], ...]

    def field(self, name: bytes) -> bytes | None:
        """Return the value of the field *name*, or None if the field is missing. *name* must be in lower case.

        If the field has several lines, join their values with commas.
        """
        values = [value for key, value in self.field_lines if key == name]
        return b", ".join(values[:1] if name in _FIRST_VALUE_FIELDS else values) if values else None

    @property
    def is_interim(self) -> bool:
        """Whether this is an interim response. A final response follows an interim one (RFC 9110 §15.2)."""
        return 100 <= self.status <= 199

    @property
    def is_error(self) -> bool:
        """Whether the request failed. A status code out of range is treated as a 5xx (RFC 9110 §15)."""
        return self.status >= 400 or self.status < 100


ResponseEvent = ResponseHead | Content | EndOfContent | Pause


class _StatusLine(NamedTuple):
    minor_version: int
    status: int
    phrase: bytes


class Awaited(Enum):
    """The part of a response that comes next on the connection."""

    NOTHING = "no response: every request has been answered"
    HEAD = "the head of a response"
    CONTENT = "its content"


class ResponseParser(MessageReader):
    """Parser of one connection. Call ``expect`` for each request, ``receive`` with octets, then ``next_event``.

    If the octets are not a response, ``next_event`` raises ResponseError. After that the parser must not be used.
    """

    def __init__(self, limits: ResponseLimits) -> None:
        super().__init__()
        self._limits = limits
        self._awaited = Awaited.NOTHING
        self._method = ""
        self._interim_responses = 0
        self._begin_head()
        self._content_octets = 0
        self._trailers: tuple[tuple[bytes, bytes], ...] = ()
        self._content_length: int | None = None
        self._is_persistent = True

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can be used for another request.

        If the last response is incomplete, or if octets follow the response, the connection can't be used. Otherwise a
        client could take these octets for the response to a later request (RFC 9112 §9.3).
        """
        is_quiet = not self.unread and not self._has_ended
        return self._awaited is Awaited.NOTHING and self._is_persistent and is_quiet

    @property
    def is_idle(self) -> bool:
        """Whether every expected response is complete."""
        return self._awaited is Awaited.NOTHING

    @property
    def has_begun(self) -> bool:
        """Whether any octet of the expected response has arrived."""
        return bool(self._head or self.unread or self._interim_responses) or self._awaited is not Awaited.HEAD

    @property
    def content_length(self) -> int | None:
        """The expected length of the content in octets, or None if the last head announced no length."""
        return self._content_length

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The trailer fields of the last response. Names are in lower case."""
        return self._trailers

    def expect(self, method: str) -> None:
        """Prepare for the response to a request. The request's *method* determines whether the response has content."""
        self._method = method
        self._awaited = Awaited.HEAD
        self._interim_responses = 0
        self._begin_head()

    def next_event(self) -> ResponseEvent:
        """Return the next event in the octets received."""
        try:
            if self._decoder is not None:
                return self._next_content(self._decoder)
            if self._awaited is Awaited.HEAD:
                return self._next_head()
        except FramingError as fault:
            raise self._error(fault) from None
        return Pause.CLOSED if self._has_ended else Pause.NEED_DATA

    def _error(self, fault: FramingError) -> ResponseError:
        """Return *fault* as a ResponseError. Replace a reason that is worded for a server."""
        match fault.kind:
            case FramingFault.INCOMPLETE:
                return self.incomplete("ended")
            case FramingFault.CONTENT_TOO_LARGE:
                reason = f"the content is longer than {self._limits.content.content} bytes"
                return ResponseError(reason, "RFC 9110 §8.6")
            case FramingFault.CODED_IN_1_0:
                return ResponseError("there is Transfer-Encoding in an HTTP/1.0 response", "RFC 9112 §6.1")
            case FramingFault.FRAMED_TWICE:
                return ResponseError("there are both Transfer-Encoding and Content-Length", "RFC 9112 §6.3")
            case FramingFault.UNFRAMED | FramingFault.UNKNOWN_CODING:
                reason = f'Transfer-Encoding is "{grammar.printable(fault.value)}"; only chunked is supported'
                return ResponseError(reason, "RFC 9112 §7.4")
            case _:
                return ResponseError(fault.reason, fault.section)

    # --- The head ---------------------------------------------------------------------------------

    def _begin_head(self) -> None:
        self._head: list[bytes] = []
        self._head_octets = 0
        self._field_lines: list[tuple[bytes, bytes]] = []
        self._status_line = _StatusLine(1, 0, b"")

    def _next_head(self) -> ResponseHead | Pause:
        """Return the head if it is complete, else a Pause. Check each line as soon as it is complete."""
        if not self._head:
            _check_beginning(self.unread, is_all=self._has_ended)
        while line := self._next_line():
            self._head.append(line)
            self._head_octets += len(line)
            if line == b"\r\n" and len(self._head) > 1:
                return self._end_head()
            self._parse_line(line)
        if self._has_ended:
            raise incomplete("head")
        return Pause.NEED_DATA

    def _next_line(self) -> bytes:
        """Return the next line with its LF, or b"" if the line is incomplete.

        Raise ResponseError if the head is too long.
        """
        allowed = self._limits.head - self._head_octets
        stop = self.unread.find(b"\n", 0, allowed) + 1
        if not stop and len(self.unread) >= allowed:
            raise ResponseError(f"the head is longer than {self._limits.head} bytes", "RFC 9110 §5.4")
        line, self.unread = self.unread[:stop], self.unread[stop:]
        return line

    def _parse_line(self, line: bytes) -> None:
        """Parse one line of the head, and store its field. Append a folded line to the last field."""
        number = len(self._head) - 1
        if number == 0:
            self._status_line = _parse_status_line(line)
        elif number > self._limits.field_lines:
            raise ResponseError(f"there are more than {self._limits.field_lines} field lines", "RFC 9110 §5.4")
        elif not line.startswith((b" ", b"\t")):
            self._field_lines.append(parse_field_line(line, f"field line {number}"))
        elif number == 1:
            reason = "there is whitespace between the status line and the first field line"
            raise ResponseError(reason, "RFC 9112 §2.2")
        else:
            # RFC 9112 §5.2: unlike a server, a client must accept a folded line, and replace the fold by spaces.
            _, continued = parse_field_line(b"folded:" + line, f"field line {number}")
            name, value = self._field_lines[-1]
            self._field_lines[-1] = name, (value + b" " + continued).strip(b" ")

    def _end_head(self) -> ResponseHead:
        """Choose the decoder for the content, and return the complete head (RFC 9112 §6.3)."""
        _check_singletons(self._field_lines)
        head = ResponseHead(b"".join(self._head), *self._status_line, tuple(self._field_lines))
        self._begin_head()
        if head.is_interim:
            self._count_interim(head)
            return head
        self._is_persistent = is_persistent(head.field(b"connection"), head.minor_version)
        self._content_octets = 0
        self._content_length = None
        self._trailers = ()
        self._decoder = self._content_decoder(head)
        self._awaited = Awaited.CONTENT
        return head

    def _count_interim(self, head: ResponseHead) -> None:
        """Count an interim response.

        Raise ResponseError if there are too many interim responses, or if *head* is a 101.
        """
        if head.status == 101:
            raise ResponseError("the server switches protocols (101), which was not requested", "RFC 9110 §15.2.2")
        self._interim_responses += 1
        if self._interim_responses > self._limits.interim_responses:
            reason = f"there are more than {self._limits.interim_responses} interim responses"
            raise ResponseError(reason, "RFC 9110 §15.2")

    # --- The content ------------------------------------------------------------------------------

    def _content_decoder(self, head: ResponseHead) -> Decoder:
        """Return the decoder for the content. Raise ResponseError or FramingError if the framing is ambiguous."""
        transfer_encoding, content_length = head.field(b"transfer-encoding"), head.field(b"content-length")
        length = None if content_length is None else _parse_lengths(content_length)
        if self._method == "HEAD" or head.status in (204, 304):
            # The fields describe the content of a response to GET, which is not sent here.
            self._content_length = 0
            return LengthDecoder(0)
        if transfer_encoding is not None:
            check_chunked(transfer_encoding, content_length, head.minor_version)
            return ChunkedDecoder(self._limits.content)
        if length is None:
            self._is_persistent = False
            return CloseDecoder()
        if length > self._limits.content.content:
            raise content_too_large(self._limits.content.content)
        self._content_length = length
        return LengthDecoder(length)

    def _next_content(self, decoder: Decoder) -> Content | EndOfContent | Pause:
        """Return the next piece of content, its end, or a Pause."""
        event = super()._next_content(decoder)
        if isinstance(event, Content):
            self._content_octets += len(event.octets)
        if isinstance(event, EndOfContent):
            self._awaited = Awaited.NOTHING
            self._trailers = tuple(decoder.trailers) if isinstance(decoder, ChunkedDecoder) else ()
        return event

    def incomplete(self, how: str) -> IncompleteError:
        """Return the error for a connection lost within a response. *how* is "ended" or "was reset"."""
        if self._awaited is Awaited.HEAD:
            what = "within the head" if self.has_begun else "before any byte"
            return IncompleteError(f"the connection {how} {what} of the response", "RFC 9112 §8")
        announced = "" if self._content_length is None else f" of {self._content_length}"
        reason = f"the connection {how} after {self._content_octets}{announced} bytes of content"
        if isinstance(self._decoder, ChunkedDecoder):
            reason += ", before the last chunk"
        return IncompleteError(reason, "RFC 9112 §8")


# --- Faults of a response -------------------------------------------------------------------------


def _check_beginning(octets: bytes, *, is_all: bool) -> None:
    """Raise ResponseError if *octets* are not the start of a response.

    If *is_all* is false, more octets may follow. In this case, raise ResponseError only if there are enough *octets* to
    quote in the error's message.
    """
    if _BEGINNING.startswith(octets[: len(_BEGINNING)]):
        return
    if octets.startswith(b"\x15"):
        reason = "the first byte is \\x15, as in a TLS alert; the server may want https, which is not supported"
        raise ResponseError(reason, "RFC 9112 §4")
    line, lf, _ = octets[:_MAX_SHOWN].partition(b"\n")
    if lf or is_all or len(octets) >= _MAX_SHOWN:
        shown = grammar.printable(line.removesuffix(b"\r"))
        raise ResponseError(f'the response begins with "{shown}", not with "HTTP/"', "RFC 9112 §4")


def _parse_status_line(line: bytes) -> _StatusLine:
    """Return the parsed status line. Raise ResponseError if *line* is malformed, or if the version is not HTTP/1.x."""
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line.endswith(b"\r\n"):
        raise ResponseError("the status line ends with a bare LF, not with CRLF", "RFC 9112 §2.2")
    match = re.fullmatch(grammar.STATUS_LINE, text)
    if match is None:
        reason = f'the status line "{grammar.printable(text)}" is not HTTP-version, three digits and a phrase'
        raise ResponseError(reason, "RFC 9112 §4")
    if match[1] != b"1":
        version = grammar.printable(match[1] + b"." + match[2])
        raise ResponseError(f"the response is HTTP/{version}; only HTTP/1.1 is supported", "RFC 9110 §2.5")
    # RFC 9110 §2.5: process a higher minor version as the highest supported one.
    return _StatusLine(0 if match[2] == b"0" else 1, int(match[3]), match[4] or b"")


def _check_singletons(field_lines: list[tuple[bytes, bytes]]) -> None:
    """Raise ResponseError if a singleton field has two different values (RFC 9110 §5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in field_lines:
        if name in grammar.SINGLETONS and found.setdefault(name, value) != value:
            spelled = "ETag" if name == b"etag" else name.decode("ascii").title()
            shown = f'"{grammar.printable(found[name])}" and "{grammar.printable(value)}"'
            raise ResponseError(f"there are two different {spelled} field lines, {shown}", "RFC 9110 §5.3")


def _parse_lengths(content_length: bytes) -> int:
    """Return the number in Content-Length. The field may repeat the same number (RFC 9112 §6.3)."""
    members = [member.strip(b" \t") for member in content_length.split(b",")]
    lengths = {parse_length(member) for member in members}
    if len(lengths) > 1:
        reason = f'Content-Length is "{grammar.printable(content_length)}", which gives different lengths'
        raise ResponseError(reason, "RFC 9112 §6.3")
    return lengths.pop()
