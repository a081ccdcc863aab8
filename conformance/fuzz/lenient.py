"""The lenient reader: it splits any request into parts, even a malformed one. differences.py examines the parts.

A line may end with LF. Folded lines are joined. Chunk lines and targets are not checked. This module shares no grammar
with httpsock, so that an error in httpsock's grammar is not repeated here.
"""

import re
from functools import cached_property

_REQUEST_LINE = re.compile(rb"([^ ]+) ([^ ]+) HTTP/([0-9]\.[0-9])\r?")


class LenientRequest:
    """The parts of a request. The request may be malformed."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.head, self._body = _split_at_empty_line(octets.lstrip(b"\r\n"))
        self._first, *lines = self.head.split(b"\n")
        self.field_lines = _without_empty(lines)
        match = _REQUEST_LINE.fullmatch(self._first)
        self.method, self.target, self.version = match.groups() if match else (b"", b"", b"")

    @property
    def head_octets(self) -> int:
        """The length of the head in octets."""
        return len(self.head)

    @property
    def first_line_octets(self) -> int:
        """The length of the request line without its line end."""
        return len(self._first.removesuffix(b"\r"))

    @cached_property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields. Names are in lower case. Lines without a colon are left out."""
        joined = re.sub(rb"\r?\n[ \t]+", b" ", b"\n".join(self.field_lines))
        split = (line.partition(b":") for line in joined.split(b"\n") if b":" in line)
        return [(name.lower(), value.strip(b" \t\r")) for name, _, value in split]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields called *name*."""
        return [value for other, value in self.fields if other == name]

    @cached_property
    def _chunked(self) -> tuple[list[bytes], bytes]:
        """The chunk lines without CRLF, and the trailer section with its empty line."""
        lines: list[bytes] = []
        rest = self._body if self.values(b"transfer-encoding") else b""
        while rest:
            line, crlf, rest = rest.partition(b"\r\n")
            size = re.match(rb"[0-9A-Fa-f]+", line)
            if not size or not crlf:
                break
            lines.append(line)
            if not int(size[0], 16):
                # The line end in front makes the search find the empty line even if there are no trailers.
                return lines, _split_at_empty_line(b"\n" + rest)[0][1:]
            rest = rest[int(size[0], 16) + 2 :]
        return lines, b""

    @property
    def chunk_lines(self) -> list[bytes]:
        """The chunk lines without CRLF. The first line without a chunk size ends the list."""
        return self._chunked[0]

    @property
    def trailer_lines(self) -> list[bytes]:
        """The trailer field lines."""
        return _without_empty(self.trailers.split(b"\n"))

    @property
    def trailers(self) -> bytes:
        """The trailer section with its empty line."""
        return self._chunked[1]

    @cached_property
    def content_octets(self) -> int:
        """The sum of all chunk sizes."""
        return sum(int(size[0], 16) for line in self.chunk_lines if (size := re.match(rb"[0-9A-Fa-f]+", line)))

    @cached_property
    def trailer_fields(self) -> list[tuple[bytes, bytes]]:
        """All trailer fields. Names are in lower case. Lines without a colon are left out."""
        split = (line.partition(b":") for line in self.trailer_lines if b":" in line)
        return [(name.lower(), value.strip(b" \t\r")) for name, _, value in split]

    @property
    def all_field_lines(self) -> list[bytes]:
        """The field lines of the head and of the trailer section. A line may still end with CR."""
        return self.field_lines + self.trailer_lines


def _split_at_empty_line(octets: bytes) -> tuple[bytes, bytes]:
    """Split *octets* after the first empty line. Return both parts."""
    match = re.search(rb"\n\r?\n", octets)
    stop = match.end() if match else len(octets)
    return octets[:stop], octets[stop:]


def _without_empty(lines: list[bytes]) -> list[bytes]:
    """Remove empty lines from *lines*, and lines that contain only CR."""
    return [line for line in lines if line not in {b"", b"\r"}]
