"""Steps: what a program does with its sockets, as values, and as lines for a person to read.

Takes what was called and what came of it, gives lines that look like those of ``curl -v``. Nothing in a line can
move a cursor or forge another; passwords and cookies are not shown. Knows nothing of sockets.

RFC 9110 §11.6, §17.16.1 (credentials); RFC 6265 §4 (cookies).

    *    0.21 ms  connect  127.0.0.1:8000 from 127.0.0.1:52114      what is called
    > GET /hello.txt HTTP/1.1                                       a head that goes out
    < HTTP/1.1 200 OK                                               a head that comes in
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from .grammar import printable
from .terminal import visible

_SECRET_FIELDS = frozenset([b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"])


class Way(Enum):
    """Where the octets of a step go; its value is what their lines begin with."""

    OUT = ">"
    IN = "<"


class Step(NamedTuple):
    """One thing done: when (seconds on the monotonic clock), the name of the call, and what is to be said of it.

    *head* is a head that has gone *way* with it, if one has.
    """

    moment: float
    call: str
    detail: str
    head: bytes = b""
    way: Way = Way.OUT


Observer = Callable[[Step], object]


def format_step(step: Step, began: float) -> str:
    """Return the lines of *step*; times are counted from *began*."""
    lines = [f"* {(step.moment - began) * 1000:9.2f} ms  {step.call:<8} {step.detail}".rstrip()]
    lines += [f"{step.way.value} {line}".rstrip() for line in shown_head(step.head)]
    return "\n".join(lines) + "\n"


def shown_head(head: bytes) -> list[str]:
    """Return the lines of *head* as they may be printed: escaped, and without what is secret."""
    lines: list[str] = []
    is_secret = False
    for line in head.split(b"\r\n")[:-1]:
        name, colon, _ = line.partition(b":")
        # A folded line goes on with the field before it (RFC 9112 §5.2).
        is_folded = line.startswith((b" ", b"\t"))
        is_secret = is_secret if is_folded else bool(colon) and name.lower() in _SECRET_FIELDS
        if is_secret:
            lines.append("  (not shown)" if is_folded else f"{printable(name)}: (not shown)")
        else:
            lines.append(visible(line.decode("utf-8", "backslashreplace")))
    return lines
