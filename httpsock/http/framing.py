"""Framing: find where the content of a message ends, and decode it, in the same way for requests and responses.

Takes the fields of a head and then octets, gives the content without its framing.
Every ambiguity is an error, since request smuggling needs two programs that disagree about where a request ends.
Knows no targets, files or sockets. Servers and clients use the same code. Each parser converts a FramingError to an
error of its own class. Next: message_reader, which calls the decoders.

RFC 9112 §6 (message body), §7 (transfer codings); RFC 9110 §8.6 (Content-Length).

    Content-Length: 5            Transfer-Encoding: chunked
                                 5;extension=1 CRLF
    hello                        hello         CRLF
                                 0             CRLF
                                 Trailer: x    CRLF
                                 CRLF
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import NamedTuple, Protocol

from . import grammar
from .checks import check_kind, check_number

# re compiles this pattern on first use, and then remembers it.
_DIGITS = rb"[0-9]++"
# 18 digits exceed the capacity of every file system, and fit into 64 bits.
_MAX_DIGITS = 18
_MAX_HEX_DIGITS = 15
# A longer list of codings is refused without parsing: a second coding is refused anyway, and parsing takes time.
_MAX_CODINGS = 16


class FramingFault(Enum):
    """The kinds of FramingError that a server or a client distinguishes."""

    MALFORMED = "octets that are neither a field line nor a chunk"
    INCOMPLETE = "a message that the end of the connection cut off"
    LENGTH_TOO_LARGE = "a Content-Length of too many digits"
    CONTENT_TOO_LARGE = "more content than the limit"
    TRAILERS_TOO_LARGE = "longer trailers, or more of them, than the limit"
    CODED_IN_1_0 = "Transfer-Encoding in HTTP/1.0"
    FRAMED_TWICE = "both Transfer-Encoding and Content-Length"
    UNFRAMED = "transfer codings that do not end with chunked, apply it twice, or are too many"
    UNKNOWN_CODING = "a transfer coding before chunked"


class FramingError(Exception):
    """The octets received are not a message, or their framing is ambiguous.

    *reason* names the fault and its place. *section* is the section of the RFC that the octets violate. *value* is the
    invalid Transfer-Encoding, or b"" for another fault. A client quotes the value in a reason of its own.
    """

    def __init__(
        self, reason: str, section: str, kind: FramingFault = FramingFault.MALFORMED, value: bytes = b""
    ) -> None:
        super().__init__(f"{reason} ({section})")
        self.reason = reason
        self.section = section
        self.kind = kind
        self.value = value


class ContentLimits(NamedTuple):
    """Limits on the content of a message, in octets. The defaults are for a server that only discards content."""

    # Enough to discard a stray form or JSON document and keep the connection.
    content: int = 1024 * 1024
    # RFC 9112 §7.1.1: extensions are ignored, and a recipient ought to limit their total.
    chunk_line: int = 4096
    chunk_extensions: int = 16 * 1024
    # All chunk lines and line ends together may be this much longer than the content. Honest clients gather output
    # into larger chunks. 4,094 chunks of one octet pass, and so does any number of chunks of five octets.
    chunk_framing: int = 16 * 1024
    # The same limits as for a head: trailers are fields.
    trailers: int = 32 * 1024
    trailer_lines: int = 100


class _Limits(Protocol):
    @property
    def content(self) -> ContentLimits: ...


def check_limits(limits: _Limits) -> None:
    """Raise TypeError or ValueError if any of *limits* is invalid. *limits* include the limits on content.

    A limit must be a whole number from 0 to 10**18.
    """
    check_kind("content", limits.content, ContentLimits, "ContentLimits")
    names: Iterable[str] = getattr(limits, "_fields", None) or vars(limits)
    for name in names:
        if name != "content":
            check_number(name, getattr(limits, name), 0, 10**18)
    for name, value in limits.content._asdict().items():
        check_number(f"content.{name}", value, 0, 10**18)


def parse_content_length(fields: Mapping[bytes, bytes], minor_version: int) -> int | None:
    """Return the length of a request's content in octets, or None if the content is chunked (RFC 9112 §6.3).

    Raise FramingError if the fields are ambiguous.
    """
    transfer_encoding = fields.get(b"transfer-encoding")
    content_length = fields.get(b"content-length")
    if transfer_encoding is not None:
        check_chunked(transfer_encoding, content_length, minor_version)
        return None
    if content_length is None:
        return 0
    return parse_length(content_length)


def parse_length(content_length: bytes) -> int:
    """Return the number in a Content-Length value (RFC 9110 §8.6).

    Raise FramingError if the value is not one decimal number, or if the number has more than 18 significant digits.
    """
    if not re.fullmatch(_DIGITS, content_length):
        reason = f'Content-Length is "{grammar.printable(content_length)}", not one decimal number'
        raise FramingError(reason, "RFC 9112 §6.3")
    significant = content_length.lstrip(b"0")
    if len(significant) > _MAX_DIGITS:
        reason = f"Content-Length has {len(significant)} digits"
        raise FramingError(reason, "RFC 9110 §8.6", FramingFault.LENGTH_TOO_LARGE)
    return int(significant or b"0")


def check_chunked(transfer_encoding: bytes, content_length: bytes | None, minor_version: int) -> None:
    """Raise FramingError if the framing is ambiguous, or if Transfer-Encoding is anything but chunked."""
    if minor_version == 0:
        reason = "Transfer-Encoding in an HTTP/1.0 request"
        raise FramingError(reason, "RFC 9112 §6.1", FramingFault.CODED_IN_1_0)
    # RFC 9112 §6.1: a request framed twice may be smuggling. A server may trust the coding or reject the request.
    # This server rejects it.
    # RFC 9112 §6.3: a response framed twice may be splitting, which ought to be handled as an error.
    if content_length is not None:
        reason = "both Transfer-Encoding and Content-Length"
        raise FramingError(reason, "RFC 9112 §6.1", FramingFault.FRAMED_TWICE)
    codings = list(islice(grammar.each_member(transfer_encoding.lower()), _MAX_CODINGS + 1))
    if codings == [b"chunked"]:
        return
    shown = grammar.printable(transfer_encoding)
    section, kind = "RFC 9112 §6.1", FramingFault.UNFRAMED
    if len(codings) > _MAX_CODINGS:
        reason = f'Transfer-Encoding "{shown}" has more than {_MAX_CODINGS} codings'
    elif not codings or codings[-1] != b"chunked":
        reason = f'Transfer-Encoding is "{shown}"; the last coding is not exactly "chunked", so the content has no end'
        section = "RFC 9112 §6.3"
    elif b"chunked" in codings[:-1]:
        reason = f'Transfer-Encoding "{shown}" applies chunked twice'
    else:
        reason = f'Transfer-Encoding "{shown}" has a coding that is not implemented'
        kind = FramingFault.UNKNOWN_CODING
    raise FramingError(reason, section, kind, transfer_encoding)


def is_persistent(connection: bytes | None, minor_version: int) -> bool:
    """Return whether the connection persists after a message (RFC 9112 §9.3).

    *connection* is the value of the message's Connection field. If the message has no such field, *connection* is None.
    """
    if connection is None:
        return minor_version == 1
    # Options are tokens, never quoted strings, so a comma always separates and "close" is found anywhere.
    if b"close" in connection.lower() and re.search(grammar.CLOSE_OPTION, connection):
        return False
    return minor_version == 1 or re.search(grammar.KEEP_ALIVE_OPTION, connection) is not None


class Decoded(NamedTuple):
    """The result of one decoding step: the decoded *content*, and how many octets of the input were *used*."""

    content: bytes
    used: int


class LengthDecoder:
    """Decodes content of a known length (RFC 9112 §6.2)."""

    def __init__(self, content_length: int) -> None:
        # How many octets are still to come.
        self.remaining = content_length

    @property
    def is_complete(self) -> bool:
        """Whether the last octet of the content has been decoded."""
        return self.remaining == 0

    def decode(self, octets: bytes) -> Decoded:
        """Return the part of *octets* that belongs to the content."""
        content = octets[: self.remaining]
        self.remaining -= len(content)
        return Decoded(content, len(content))


class CloseDecoder:
    """Decodes content that ends when the connection is closed (RFC 9112 §6.3, the last case)."""

    is_complete = False
    # 0, since the number of octets to come is unknown.
    remaining = 0

    def decode(self, octets: bytes) -> Decoded:
        """Return all of *octets*, since all octets are content."""
        return Decoded(octets, len(octets))


class ChunkState(Enum):
    """The part of chunked content that the decoder expects next (RFC 9112 §7.1)."""

    SIZE = "a chunk's line: its size and extensions"
    DATA = "a chunk's data"
    DATA_END = "the CRLF after a chunk's data"
    TRAILERS = "a trailer field line, or the empty line that ends the content"
    COMPLETE = "the end: the content is complete"


class ChunkedDecoder:
    """Decodes chunked content, and checks the trailer fields.

    *trailers* has the trailer fields in the order received. Names are in lower case, and values have no surrounding
    whitespace. Trailers are never merged into the head (RFC 9110 §6.5.1).
    """

    def __init__(self, limits: ContentLimits) -> None:
        self._limits = limits
        self._state = ChunkState.SIZE
        # How many octets of this chunk are still to come.
        self.remaining = 0
        self._content_octets = 0
        self._extension_octets = 0
        # Octets of framing minus octets of content; usually negative.
        self._excess = 0
        self._trailer_octets = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self._lines = 0

    @property
    def is_complete(self) -> bool:
        """Whether the empty line after the last chunk has been decoded."""
        return self._state is ChunkState.COMPLETE

    def decode(self, octets: bytes) -> Decoded:
        """Return the content in *octets*, and how many octets were used.

        Unused octets are an incomplete line or CRLF. The caller must pass these octets again, followed by new octets.
        Raise FramingError at the first octet that breaks the framing.
        """
        content: list[bytes] = []
        position = 0
        while self._state is not ChunkState.COMPLETE:
            before = position
            match self._state:
                case ChunkState.SIZE:
                    position = self._decode_whole_chunks(octets, position, content)
                    position = self._decode_size(octets, position)
                case ChunkState.DATA:
                    data = octets[position : position + self.remaining]
                    content.append(data)
                    position += len(data)
                    self.remaining -= len(data)
                    if self.remaining == 0:
                        self._state = ChunkState.DATA_END
                case ChunkState.DATA_END:
                    position = self._decode_data_end(octets, position)
                case _:
                    position = self._decode_trailer(octets, position)
            if position == before:
                break
        return Decoded(b"".join(content), position)

    def _decode_whole_chunks(self, octets: bytes, position: int, content: list[bytes]) -> int:
        """Decode all complete chunks from *position* on, and append their data to *content*. Return the new position.

        This is a fast path: it is five times as fast as decoding a chunk state by state.
        """
        chunk_line = grammar.chunk_line()
        while match := chunk_line.match(octets, position):
            digits, extensions = match.groups()
            start = match.end()
            if len(digits) > _MAX_HEX_DIGITS or start - position > self._limits.chunk_line:
                break
            size = int(digits, 16)
            stop = start + size
            if octets[stop : stop + 2] != b"\r\n" or not size:
                break
            self._count(size, start - position, len(extensions))
            content.append(octets[start:stop])
            position = stop + 2
        return position

    def _count(self, size: int, line_octets: int, extension_octets: int) -> None:
        """Add a chunk of *size* octets to the totals. Raise FramingError if a total exceeds its limit."""
        self._extension_octets += extension_octets
        if self._extension_octets > self._limits.chunk_extensions:
            reason = f"chunk extensions take more than {self._limits.chunk_extensions} bytes"
            raise FramingError(reason, "RFC 9112 §7.1.1")
        self._content_octets += size
        if self._content_octets > self._limits.content:
            raise content_too_large(self._limits.content)
        self._excess += line_octets + len(b"\r\n") - size
        if self._excess > self._limits.chunk_framing:
            reason = f"the chunk framing is more than {self._limits.chunk_framing} bytes longer than the content"
            raise FramingError(reason, "RFC 9110 §17.5")

    def _decode_size(self, octets: bytes, position: int) -> int:
        limit = self._limits.chunk_line
        stop = octets.find(b"\n", position, position + limit) + 1
        if not stop and len(octets) - position >= limit:
            raise FramingError(f"the chunk line is longer than {limit} bytes", "RFC 9112 §7.1.1")
        line = octets[position:stop]
        if not line:
            return position
        match = grammar.chunk_line().fullmatch(line)
        if match is None:
            reason = f'chunk line "{grammar.printable(line)}" is not a hexadecimal size, extensions and CRLF'
            raise FramingError(reason, "RFC 9112 §7.1")
        size = match["size"].lstrip(b"0") or b"0"
        self.remaining = int(size, 16) if len(size) <= _MAX_HEX_DIGITS else self._limits.content + 1
        self._count(self.remaining, len(line), len(match["extensions"]))
        self._state = ChunkState.DATA if self.remaining else ChunkState.TRAILERS
        return position + len(line)

    def _decode_data_end(self, octets: bytes, position: int) -> int:
        crlf = octets[position : position + 2]
        if not b"\r\n".startswith(crlf):
            shown = crlf if crlf.startswith(b"\r") else crlf[:1]
            reason = f'chunk data is followed by "{grammar.printable(shown)}", not by CRLF'
            raise FramingError(reason, "RFC 9112 §7.1")
        if len(crlf) < 2:
            return position
        self._state = ChunkState.SIZE
        return position + 2

    def _decode_trailer(self, octets: bytes, position: int) -> int:
        allowed = self._limits.trailers - self._trailer_octets
        stop = octets.find(b"\n", position, position + allowed) + 1
        if not stop and len(octets) - position >= allowed:
            reason = f"the trailer section is longer than {self._limits.trailers} bytes"
            raise FramingError(reason, "RFC 9112 §7.1.2", FramingFault.TRAILERS_TOO_LARGE)
        line = octets[position:stop]
        if not line:
            return position
        self._trailer_octets += len(line)
        self._lines += 1
        if line == b"\r\n":
            self._state = ChunkState.COMPLETE
        elif self._lines > self._limits.trailer_lines:
            reason = f"the trailer section has more than {self._limits.trailer_lines} field lines"
            raise FramingError(reason, "RFC 9112 §7.1.2", FramingFault.TRAILERS_TOO_LARGE)
        else:
            self.trailers.append(parse_field_line(line, f"trailer field line {self._lines}"))
        return position + len(line)


def content_too_large(limit: int) -> FramingError:
    """Return the error for content of more than *limit* octets."""
    reason = f"the content is longer than the limit of {limit} bytes"
    return FramingError(reason, "RFC 9110 §15.5.14", FramingFault.CONTENT_TOO_LARGE)


def parse_field_line(line: bytes, name: str) -> tuple[bytes, bytes]:
    """Return the name and the value of a field line. The name is in lower case.

    The line ends in LF. Raise FramingError if the line is invalid. The error's reason starts with *name*, for example
    "field line 3".
    """
    if fault := field_line_fault(line, name):
        raise fault
    return grammar.split_field_line(line)


def field_line_fault(line: bytes, name: str) -> FramingError | None:
    """Return the error for an invalid field line, or None if the line is valid.

    The line ends in LF. The error's reason starts with *name*, for example "field line 3".
    """
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    if line.endswith(b"\r\n") and re.fullmatch(grammar.FIELD_LINE, text):
        return None
    reason, section = _field_line_reason(line, text)
    return FramingError(f"{name} {reason}", section)


def _field_line_reason(line: bytes, text: bytes) -> tuple[str, str]:
    """Return why *line* is not a field line, and the section of the RFC.

    *text* is *line* without its line end.
    """
    if not line.endswith(b"\r\n"):
        return "ends with a bare LF, not with CRLF", "RFC 9112 §2.2"
    if text.startswith((b" ", b"\t")):
        return "starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2"
    name, colon, value = text.partition(b":")
    if not colon:
        return f'"{grammar.printable(text)}" has no colon', "RFC 9112 §5"
    if name.endswith((b" ", b"\t")):
        return "has a space before its colon", "RFC 9112 §5.1"
    if not grammar.token.fullmatch(name):
        return f'has the name "{grammar.printable(name)}", which is not a token', "RFC 9110 §5.1"
    return _value_reason(value)


def _value_reason(value: bytes) -> tuple[str, str]:
    """Return which forbidden octet a field value contains, and the section that forbids the octet."""
    if b"\r" in value:
        return "has a bare CR in its value", "RFC 9112 §2.2"
    if b"\0" in value:
        return "has a NUL in its value", "RFC 9110 §5.5"
    control = next(octet for octet in value if (octet < 0x20 and octet != 0x09) or octet == 0x7F)
    return f"has the control character \\x{control:02x} in its value", "RFC 9110 §5.5"
