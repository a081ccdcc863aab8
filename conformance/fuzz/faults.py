"""The faults: each function puts one fault into the draft of a valid request.

Each function takes a Random for its choices. If the draft lacks the part to break, the function does nothing or breaks
another part. This module does not use the parsers.

RFC 9112 §3 (request line), §5 (field syntax), §6, §7.1 (content).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

# Octets that parsers often get wrong: delimiters, look-alikes of delimiters, control characters.
ODD = (
    *(b" ", b"\t", b"\r", b"\n", b"\r\n", b"\x00", b"\x0b", b"\x0c", b"\x01", b"\x1f", b"\x7f", b"\x80", b"\x85"),
    *(
        b"\xa0",
        b"\xff",
        b":",
        b";",
        b",",
        b"=",
        b'"',
        b"\\",
        b"/",
        b"?",
        b"#",
        b"%",
        b"*",
        b"@",
        b"[",
        b"]",
        b"0",
        b"9",
    ),
    *(b"_", b"+", b"-", b"x", b"A", b"f", b"\r\n ", b"\n\n", b"\r\n\r\n", b"HTTP/1.1", b"chunked", b"0x", b"{", b"<"),
)
_ODD_TARGETS = (
    *(b"*", b"a", b"a:80", b"a:0", b"/a#b", b"/a\\b", b"/%", b"/%4", b"/%zz", b"/\xe9", b"/?%", b"/?#", b"http:///"),
    *(
        b"https://a/",
        b"http://a@b/",
        b"http://a:b/",
        b"http://[::1/",
        b"http:a",
        b"ftp://a/",
        b"/<>",
        b"http://a:99999/",
    ),
)
_ODD_HOSTS = (
    *(b"", b"a b", b"a/b", b"a@b", b"a,b", b"a:b", b"a:99999", b":80", b"[::1", b"[::g]", b"::1", b"a#", b"a?", b"a\\"),
    *(b"[::1%25a]", b"[v1.a]", b"\xe9", b"%", b"%zz", b"[]", b"[1:2:3:4:5:6:7:8:9]", b"a:80:80", b'"a"', b"a:-1"),
)
_ODD_VERSIONS = (
    *(b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ", b"HTTP/01.1", b"HTTP 1.1", b""),
    *(b"HTTPS/1.1", b"HTTP/9.9", b"HTTP/1,1", b"HTTP/-1.1", b"ICY/1.1"),
)
_ODD_LENGTHS = (
    *(
        b"",
        b"+1",
        b"-1",
        b"1,1",
        b"1, 1",
        b"1,2",
        b"0x1",
        b"1.0",
        b"1 1",
        b"01",
        b"0" * 25,
        b"0" * 25 + b"1",
        b"9" * 30,
    ),
    *(b"1;", b'"1"', b"1_0", b"\xb2", b"1,", b",1", b"18446744073709551617", b"a"),
)
_ODD_CODINGS = (
    *(b"", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"chunked;a=b", b"Chunked"),
    *(b"chunked,", b", chunked", b",chunked,,", b'"chunked"', b"chunke", b"xchunked", b"chunked\x0b", b"\x0cchunked"),
)
_ODD_SIZES = (
    *(b"", b"g", b"+1", b"-1", b"0x1", b"1 ", b" 1", b"1_0", b"0" * 25, b"F" * 16, b"F" * 25, b"1;", b"1;=a", b"1;a="),
    *(b'1;a="', b'1;a="b"c', b"1;a b", b"1 ;a", b"1\t; a", b"1;a\x00", b"1;a\rb", b"1;\xe9", b"1,a", b"1;a ", b"\xb2"),
)
ODD_LINES = (
    *(b"", b":", b": a", b"a", b"a :b", b"a\t: b", b" a: b", b"\ta", b"a b: c", b"\xe9: a", b"(a): b", b"a\x00: b"),
    *(b"Host: b", b"Content-Length: 1", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Connection: close"),
    *(b"a: b\x00", b"a: b\x01c", b"a: b\x0b", b"a:\x7f", b"a: b\rc", b'Connection: "a, close"', b"a\r: b"),
)


@dataclass
class Draft:
    """The parts of a request. The method octets() joins the parts."""

    method: bytes
    target: bytes
    version: bytes
    lines: list[bytes]
    content: bytes = b""
    # For each chunk: the size with its extensions, the data, the octets behind the data.
    chunks: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    trailers: list[bytes] = field(default_factory=list)
    before: bytes = b""
    first_space: bytes = b" "
    line_end: bytes = b"\r\n"

    def octets(self) -> bytes:
        """Join the parts. Return the octets of the request."""
        first = self.before + self.method + self.first_space + self.target + b" " + self.version
        parts = [self.line_end.join([first, *self.lines, b"", b""]), self.content]
        if self.chunks:
            parts += [size + b"\r\n" + octets + after for size, octets, after in self.chunks]
            parts.append(b"\r\n".join([*self.trailers, b"", b""]))
        return b"".join(parts)


# --- Faults ---------------------------------------------------------------------------------------


def _odd_method(random: Random, draft: Draft) -> None:
    position = random.randrange(len(draft.method) + 1)
    draft.method = draft.method[:position] + random.choice(ODD) + draft.method[position:]


def _odd_target(random: Random, draft: Draft) -> None:
    draft.target = random.choice(_ODD_TARGETS)


def _odd_octet_in_the_target(random: Random, draft: Draft) -> None:
    draft.target += random.choice(ODD)


def _connect(random: Random, draft: Draft) -> None:
    draft.method, draft.target = b"CONNECT", random.choice((*_ODD_HOSTS, *_ODD_TARGETS, b"/", b"[::1]:443"))


def _odd_version(random: Random, draft: Draft) -> None:
    draft.version = random.choice(_ODD_VERSIONS)


def _odd_space(random: Random, draft: Draft) -> None:
    draft.first_space = random.choice((b"", b"  ", b"\t", b" \t", b"\x0b", b"\xa0", b"\r\n"))


def _odd_start(random: Random, draft: Draft) -> None:
    draft.before = random.choice(
        (b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\xef\xbb\xbf", b"\x16\x03\x01", b"\r\n" * 5)
    )


def _odd_line_end(random: Random, draft: Draft) -> None:
    draft.line_end = random.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b" \r\n", b"\x0b\r\n"))


def _odd_line(random: Random, draft: Draft) -> None:
    draft.lines.insert(random.randrange(len(draft.lines) + 1), random.choice(ODD_LINES))


def _odd_octet_in_a_line(random: Random, draft: Draft) -> None:
    lines = draft.trailers or draft.lines or [b""]
    number = random.randrange(len(lines))
    position = random.randrange(len(lines[number]) + 1)
    lines[number] = lines[number][:position] + random.choice(ODD) + lines[number][position:]


def _set_field(draft: Draft, name: bytes, value: bytes) -> None:
    """Set a field of *draft*. Remove other field lines with this name."""
    draft.lines = [line for line in draft.lines if not line.lower().startswith(name.lower() + b":")]
    draft.lines.append(name + b": " + value)


def _odd_host(random: Random, draft: Draft) -> None:
    _set_field(draft, b"Host", random.choice(_ODD_HOSTS))


def _no_host(random: Random, draft: Draft) -> None:
    draft.lines = [line for line in draft.lines if not line.lower().startswith(b"host:")]


def _odd_length(random: Random, draft: Draft) -> None:
    _set_field(draft, b"Content-Length", random.choice(_ODD_LENGTHS))


def _odd_coding(random: Random, draft: Draft) -> None:
    _set_field(draft, b"Transfer-Encoding", random.choice(_ODD_CODINGS))


def _odd_option(random: Random, draft: Draft) -> None:
    options = (b'"a, close"', b'a="close', b"close;a", b'"close"', b"\\close", b'"a\\", close, "', b'"', b'a",close')
    _set_field(draft, b"Connection", random.choice(options))


def _odd_chunk(random: Random, draft: Draft) -> None:
    if draft.chunks:
        number = random.randrange(len(draft.chunks))
        size, octets, after = draft.chunks[number]
        if random.randrange(3):
            size = random.choice(_ODD_SIZES)
        else:
            after = random.choice((b"", b"\n", b"\r", b"\r\r\n", b"a\r\n", b"\r\n\r\n"))
        draft.chunks[number] = (size, octets, after)
    else:
        _odd_length(random, draft)


def _odd_extension(random: Random, draft: Draft) -> None:
    if draft.chunks:
        number = random.randrange(len(draft.chunks))
        size, octets, after = draft.chunks[number]
        size += random.choice((b";", b" ;", b";a=", b" ", b"\t", b";a;", b";a b", b"")) + random.choice(ODD)
        draft.chunks[number] = (size, octets, after)
    else:
        _odd_coding(random, draft)


def _odd_trailer(random: Random, draft: Draft) -> None:
    draft.trailers.insert(random.randrange(len(draft.trailers) + 1), random.choice(ODD_LINES))
    if not draft.chunks:
        draft.lines += draft.trailers


def _too_much(random: Random, draft: Draft) -> None:
    """Make one part of *draft* about as long as httpsock's limit. The difference is at most three octets or lines."""
    kind, more = random.randrange(6), random.randrange(-3, 4)
    if kind == 0:
        draft.target = b"/" + b"a" * (8192 - len(draft.method) - len(b" / HTTP/1.1\r\n") + more)
    elif kind == 1:
        draft.lines += [b"a: b"] * (100 - len(draft.lines) + more)
    elif kind == 2:
        draft.lines.append(b"a: " + b"b" * (32 * 1024 - len(draft.octets()) + more))
    elif draft.chunks and kind == 3:
        size, octets, after = draft.chunks[0]
        draft.chunks[0] = (size + b";" + b"a" * (4096 - len(size) - len(b";\r\n") + more), octets, after)
    elif draft.chunks and kind == 4:
        draft.trailers.append(b"a: " + b"b" * (32 * 1024 - sum(map(len, draft.trailers)) - 7 + more))
    elif draft.chunks:
        _much_content(draft, more)


def _much_content(draft: Draft, more: int) -> None:
    """Make the content *more* octets longer than httpsock's limit. If *more* is negative, the content is shorter."""
    octets = b"a" * (1024 * 1024 - sum(len(data) for _, data, _ in draft.chunks) + more)
    draft.chunks.insert(0, (b"%x" % len(octets), octets, b"\r\n"))


RARE_FAULTS = (_too_much,)
FAULTS: tuple[Callable[[Random, Draft], None], ...] = (
    *(_odd_target, _odd_octet_in_the_target, _odd_method, _connect, _odd_version, _odd_space, _odd_start),
    *(_odd_line_end, _odd_line, _odd_octet_in_a_line, _odd_host, _no_host, _odd_length, _odd_coding, _odd_option),
    *(_odd_chunk, _odd_chunk, _odd_extension, _odd_trailer),
)
