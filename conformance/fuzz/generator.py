"""The generator: valid requests, requests with one fault, and octets with random changes.

The caller passes a Random, which makes all choices. A Random with a seed makes the same choices in each run. A Random
from hypothesis can shrink its choices. Shrinking prefers the first choice, so each tuple begins with the simplest one.
This module does not use the parsers.

RFC 9112 §3 (request line), §5 (field syntax), §6, §7.1 (content).
"""

from collections.abc import Sequence
from random import Random

from .faults import FAULTS, ODD, ODD_LINES, RARE_FAULTS, Draft

_METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"BREW", b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~")
_TARGETS = (
    *(b"/", b"/a", b"/a/b?c=d", b"/?", b"/a?b?c", b"//a", b"/../x", b"/%41", b"/%00", b"/~a;b=c,d", b"/:@!$&'()*+"),
    *(b"http://a/", b"http://a", b"http://a:80/b?c", b"http://a?b", b"HTTP://[::1]/", b"http://127.0.0.1:8080/%7Ea"),
)
_VERSIONS = (b"HTTP/1.1",) * 8 + (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9")
_HOSTS = (b"a", b"localhost:8000", b"[::1]", b"[::1]:80", b"127.0.0.1", b"a.example.", b"a:", b"A-b_c", b"%41", b"1")
_NAMES = (b"A", b"Accept", b"X-Y", b"!#$%&'*+-.^_`|~0", b"Content_Length", b"Range", b"Upgrade", b"Expect", b"TE")
_VALUES = (
    *(b"", b"a", b"a b", b"a\tb", b'"a, b"', b"bytes=0-4", b"\xe9\xff", b"100-continue", b"h2c, websocket", b"a:b;c=d"),
    *(b"~" * 70, b",,", b"trailers", b"\x80", b'"', b"(a)"),
)
_OPTIONS = (b"close", b"keep-alive", b"Keep-Alive", b"Close", b"upgrade", b"a", b"", b" close", b"te", b"closed")
_SPACES = (b" ", b"", b"\t", b"  ", b" \t ")
_EXTENSIONS = (b"", b"", b"", b";a", b";a=b", b';a="b;c"', b';a="\\""', b"; a = b", b";a;b=1", b';a=""')
_CONTENTS = (b"", b"a", b"hello", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", b"\r\n", b"\x00\xff", b"a" * 300)


class SeededRandom(Random):
    """A Random with a seed. It makes the same choices in each run, so it is not for secrets."""


class Generator:
    """Generates octets. *seeds* are octets to mutate, such as the cases of the corpus."""

    def __init__(self, random: Random, seeds: Sequence[bytes]) -> None:
        self._random = random
        self._seeds = [seed for seed in seeds if len(seed) <= 4096]
        self._mutations = (
            *(self._remove, self._insert, self._replace, self._flip, self._truncate),
            *(self._change_lines, self._change_lines, self._splice, self._follow),
        )

    def octets(self) -> bytes:
        """Return valid requests, requests with one fault, or mutated octets."""
        kind = self._random.randrange(8)
        if kind < 1:
            return self.pipeline(is_broken=False)
        if kind < 4:
            return self.pipeline(is_broken=True)
        octets = self._random.choice(self._seeds) if self._seeds and kind < 7 else self.pipeline(is_broken=False)
        for _ in range(1 + self._random.randrange(3)):
            octets = self.mutate(octets)
        return octets

    def pipeline(self, *, is_broken: bool) -> bytes:
        """Return one to three requests. If *is_broken* is true, one of them has a fault."""
        drafts = [self._draft() for _ in range(self._random.choice((1, 1, 1, 2, 3)))]
        if is_broken:
            faults = RARE_FAULTS if self._random.randrange(512) == 511 else FAULTS
            self._random.choice(faults)(self._random, self._random.choice(drafts))
        return b"".join(draft.octets() for draft in drafts)

    def mutate(self, octets: bytes) -> bytes:
        """Change a random octet or line of *octets*, or append other octets."""
        return self._random.choice(self._mutations)(octets)

    def _draft(self) -> Draft:
        """Make a valid request."""
        random = self._random
        draft = Draft(random.choice(_METHODS), random.choice(_TARGETS), random.choice(_VERSIONS), [])
        if random.randrange(16) == 15:
            draft.method, draft.target = random.choice(((b"OPTIONS", b"*"), (b"CONNECT", b"a:80")))
        for _ in range(random.choice((0, 0, 1, 2))):
            draft.lines.append(self._field_line(random.choice(_NAMES), random.choice(_VALUES)))
        if draft.version != b"HTTP/1.0" or random.randrange(2):
            draft.lines.append(self._field_line(random.choice((b"Host", b"host")), random.choice(_HOSTS)))
        if random.randrange(4) == 3:
            options = b",".join(random.choice(_OPTIONS) for _ in range(random.choice((1, 1, 2, 3))))
            draft.lines.append(self._field_line(b"Connection", options))
        self._add_content(draft)
        return draft

    def _field_line(self, name: bytes, value: bytes) -> bytes:
        before = self._random.choice(_SPACES) if self._random.randrange(2) else b" "
        return name + b":" + before + value + (b"" if self._random.randrange(4) else self._random.choice(_SPACES))

    def _add_content(self, draft: Draft) -> None:
        """Add content with a length, chunked content, or no content."""
        random = self._random
        kind = random.randrange(4)
        if kind == 1:
            draft.content = random.choice(_CONTENTS)
            zeros = b"0" * random.choice((0, 0, 0, 1, 17))
            draft.lines.append(self._field_line(b"Content-Length", zeros + str(len(draft.content)).encode()))
        elif kind >= 2 and draft.version != b"HTTP/1.0":
            draft.lines.append(self._field_line(b"Transfer-Encoding", random.choice((b"chunked", b"Chunked"))))
            for _ in range(random.choice((0, 1, 1, 2))):
                octets = random.choice(_CONTENTS[1:])
                size = random.choice((b"%x", b"%X", b"00%x")) % len(octets)
                draft.chunks.append((size + random.choice(_EXTENSIONS), octets, b"\r\n"))
            draft.chunks.append((random.choice((b"0", b"0", b"000")) + random.choice(_EXTENSIONS), b"", b""))
            for _ in range(random.choice((0, 0, 1, 2))):
                draft.trailers.append(self._field_line(random.choice(_NAMES), random.choice(_VALUES)))

    def _remove(self, octets: bytes) -> bytes:
        position = self._random.randrange(len(octets) + 1)
        return octets[:position] + octets[position + self._random.choice((1, 1, 2, 4)) :]

    def _insert(self, octets: bytes) -> bytes:
        position = self._random.randrange(len(octets) + 1)
        return octets[:position] + self._random.choice(ODD) + octets[position:]

    def _replace(self, octets: bytes) -> bytes:
        position = self._random.randrange(len(octets) + 1)
        return octets[:position] + self._random.choice(ODD) + octets[position + 1 :]

    def _flip(self, octets: bytes) -> bytes:
        if not octets:
            return octets
        position = self._random.randrange(len(octets))
        flipped = octets[position] ^ (1 << self._random.randrange(8))
        return octets[:position] + bytes([flipped]) + octets[position + 1 :]

    def _truncate(self, octets: bytes) -> bytes:
        return octets[: self._random.randrange(len(octets) + 1)]

    def _change_lines(self, octets: bytes) -> bytes:
        lines = octets.split(b"\r\n")
        position = self._random.randrange(len(lines))
        choice = self._random.randrange(4)
        if choice == 0:
            del lines[position]
        elif choice == 1:
            lines.insert(position, lines[position])
        elif choice == 2:
            other = self._random.randrange(len(lines))
            lines[position], lines[other] = lines[other], lines[position]
        else:
            lines.insert(position, self._random.choice(ODD_LINES))
        return b"\r\n".join(lines)

    def _splice(self, octets: bytes) -> bytes:
        other = self._random.choice(self._seeds) if self._seeds else octets
        return octets[: self._random.randrange(len(octets) + 1)] + other[self._random.randrange(len(other) + 1) :]

    def _follow(self, octets: bytes) -> bytes:
        return octets + (self._random.choice(self._seeds) if self._seeds else octets)
