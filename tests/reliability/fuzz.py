"""Coverage-guided fuzzing: each input that reaches a new place is added to the corpus and mutated further.

A place is a step from one line of code to another, or the reason for a refusal. The interpreter's line tracer reports
the steps, so no tool has to be installed. Only one input in eight is traced. The other inputs run at full speed, and
they reach a new place only by a refusal. The experiment in tests.reliability also measures the time for long inputs.

``python3 -m tests.reliability.fuzz SECONDS [SEED]`` fuzzes each target for SECONDS, and prints each result.
"""

import contextlib
import pathlib
import random
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

import httpsock
from httpsock.client.url import parse_url
from httpsock.discovery.description import format_description, parse_description
from httpsock.discovery.search import identify
from httpsock.discovery.ssdp import DatagramError, Device, Search, format_search, parse_datagram, search_of
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.files.paths import parse_path
from httpsock.http import grammar
from httpsock.http.handler import Tick
from httpsock.http.message_reader import Pause
from httpsock.http.messages import Refusal, Request, RequestError
from httpsock.http.negotiation import accepted_codings, preferred_media_type
from httpsock.http.preconditions import Validators, evaluate, range_applies
from httpsock.http.ranges import parse_ranges, select_ranges
from httpsock.http.request_parser import Limits, RequestParser
from httpsock.server.connection import open_connection
from httpsock.server.settings import Settings
from tests.support.arguments import ArgumentParser, positive_seconds, whole_number

from .hostile import _SEEDS, mutate
from .subject import ROOT, Row

_TRACED_EVERY = 8
_PACKAGE = str(pathlib.Path(httpsock.__file__).parent)
# A connection that waits more often than this for its few octets is in an endless loop.
_MAX_WAITS = 10_000
# A place is a code object with its previous and its current line, or the words of a refusal.
Place = tuple[CodeType, int, int] | str
_REPEATED = (
    *(bytes([octet]) for octet in range(256)),
    *(b"\r\n", b"a:", b": ", b"a=b;", b';a="', b'"\\', b"%2e", b"../", b"//", b"0-1,", b"-1,", b'"x",', b'W/"', b"a, "),
    *(b"text/html;q=0.5,", b"A: b\r\n", b"0\r\n", b"1\r\nx\r\n", b"1;a=b\r\nx\r\n", b" ,", b"\t\r\n ", b"Host: x\r\n"),
    *(b"bytes=0-,", b"Sun, 06 Nov 1994 ", b"chunked,", b"[::1]", b"a.b:", b"@", b"GET / HTTP/1.1\r\n", b"\xc3\xa9"),
)  # fmt: skip


class Target(NamedTuple):
    """A function to fuzz, and its first inputs.

    When inputs are timed, *longest* limits their length.
    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    longest: int = 1 << 16


def parse_all(octets: bytes) -> list[object]:
    """Parse *octets* and then the end of input. Return all events."""
    parser = RequestParser(Limits())
    events: list[object] = []
    for part in (octets, b""):
        parser.receive(part)
        while (event := parser.next_event()) is not Pause.NEED_DATA and event is not Pause.CLOSED:
            events.append(event)
    return events


def _field(name: bytes) -> Callable[[bytes], Request]:
    """Return a function that makes a request. Its argument is the value of a field called *name*."""

    def request(octets: bytes) -> Request:
        (first, *_) = parse_all(b"GET / HTTP/1.1\r\nHost: x\r\n" + name + b": " + octets + b"\r\n\r\n")
        assert isinstance(first, Request)
        return first

    return request


def _ranges(octets: bytes) -> None:
    specs = parse_ranges(octets)
    if specs is not None:
        for chosen in select_ranges(specs, 1000):
            assert 0 <= chosen.first <= chosen.last < 1000


def _conditions(octets: bytes) -> None:
    validators = Validators(b'"x"', 784_111_777)
    for name in (b"If-None-Match", b"If-Match", b"If-Modified-Since", b"If-Unmodified-Since"):
        evaluate(_field(name)(octets), validators, 1e9)
    range_applies(_field(b"If-Range")(octets), validators, 1e9)


def _negotiation(octets: bytes) -> None:
    assert preferred_media_type(octets, ("text/html", "application/json")) in ("text/html", "application/json")
    accepted_codings(octets, ("br", "gzip"))


def _path(octets: bytes) -> None:
    name = parse_path(b"/" + octets)
    if not isinstance(name, Refusal):
        assert not {"..", "."} & set(name.segments)
        assert not any("/" in segment or "\0" in segment for segment in name.segments)


@cache
def _settings() -> Settings:
    return Settings(serve_folder(DocumentRoot(ROOT / "www")))


def _connection(octets: bytes) -> None:
    """Serve a client that sends *octets* over a socket and then closes its side."""
    settings = _settings()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    answers = []
    with theirs, contextlib.closing(open_connection(ours, "::1", settings, None, Tick(2e9, 0.0))) as connection:
        theirs.sendall(octets)
        theirs.shutdown(socket.SHUT_WR)
        for waits, _ in enumerate(connection.coroutine):
            assert waits < _MAX_WAITS
            with contextlib.suppress(BlockingIOError):
                answers.append(theirs.recv(1 << 20))
        with contextlib.suppress(BlockingIOError):
            answers.append(theirs.recv(1 << 20))
    answer = b"".join(answers)
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert not answer.startswith(b"HTTP/1.1 500 ")


_DEVICE = Device(uuid.UUID(int=1), "http://127.0.0.1:1/0.xml", "a", 1)


def _datagram(octets: bytes) -> None:
    """Parse a datagram as the announcer, the search and the trace do."""
    try:
        datagram = parse_datagram(octets)
    except DatagramError:
        return
    for name in dir(datagram):
        if not name.startswith("_"):
            getattr(datagram, name)
    identify(None, "fe80::1%2", datagram)
    with contextlib.suppress(DatagramError):
        list(_DEVICE.answers(search_of(datagram)))


def _description(octets: bytes) -> None:
    described = parse_description(octets)
    page = described.page(parse_url("http://[fe80::1%251]:1/a/b"))
    assert page is None or parse_url(str(page)) == page


_DATAGRAMS = (
    format_search("ssdp:all", 2),
    *_DEVICE.answers(Search("ssdp:all", 1)),
    *_DEVICE.byebye(),
    b"HTTP/1.1 200\r\n\r\n",
)
_DATES = (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994")


def _target(octets: bytes) -> None:
    parse_all(b"GET " + octets + b" HTTP/1.1\r\nHost: x\r\n\r\n")


def _host(octets: bytes) -> None:
    parse_all(b"GET / HTTP/1.1\r\nHost: " + octets + b"\r\n\r\n")


def _printable(octets: bytes) -> None:
    assert grammar.printable(octets, 99).isprintable()


TARGETS = {
    "parser and framing": Target(parse_all, _SEEDS, 1 << 20),
    "paths": Target(_path, (b"a/b/../c%20d", b"%2e%2e/%2f", b".well-known/x", b"a//b/")),
    "request-target": Target(_target, (b"/a?b", b"*", b"http://a:1/b", b"[::1]:80")),
    "host": Target(_host, (b"localhost:80", b"[::1]", b"a.b")),
    "ranges": Target(_ranges, (b"bytes=0-1,3-,-5", b"bytes = 1-", b"items=0-1", b"bytes=9-8")),
    "preconditions and dates": Target(_conditions, (b'"x", W/"y"', b"*", *_DATES)),
    "negotiation": Target(_negotiation, (b"text/html;q=0.5, */*;q=0", b'br;q=1.0, gzip;x="a,b", *')),
    "a live connection": Target(_connection, (*_SEEDS, b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,4-\r\n\r\n")),
    "datagrams": Target(_datagram, _DATAGRAMS, 8192),
    "descriptions": Target(_description, (format_description(_DEVICE, "a & b"),)),
    "what is logged": Target(_printable, (b"GET / \x1b[2J",), 1 << 20),
}


def run(server: str, *, is_long: bool) -> list[Row]:
    """Fuzz each target for a limited time. Then find the input that takes the most time."""
    rows = []
    for name, target in TARGETS.items():
        count, stored, fault = fuzz(target, 1_000_000 if is_long else 2000, 20.0)
        rows.append(
            Row(f"{name}: inputs", f"{count:,}, {stored} in the corpus; {fault or 'no fault'}", "no fault", not fault)
        )
    worst, octets = cost(1 << 20 if is_long else 1 << 14)
    rows.append(
        Row(
            "the costliest of repeated octets",
            f"{worst:.2f} ms per KiB ({octets!r})",
            "< 10 ms",
            worst < 10,
            is_timed=True,
        )
    )
    return rows


def fuzz(target: Target, maximum: int, seconds: float, seed: int = 2) -> tuple[int, int, str]:
    """Try at most *maximum* inputs. Return the number of inputs, the size of the corpus, and the first fault or ""."""
    chance = random.Random(seed)
    corpus = list(target.seeds)
    seen: set[Place] = set()
    latest = time.monotonic() + seconds
    for count in range(maximum):
        octets = mutate(chance.choice(corpus), chance)[:4096]
        reached: set[Place] = set()
        try:
            if count % _TRACED_EVERY:
                target.run(octets)
            else:
                _traced(target.run, octets, reached)
        except RequestError as error:
            # The place is named by the first words of the reason, without quoted octets and numbers.
            words = re.sub(r"[bB]?(['\"]).*\1|[0-9]+", "", error.refusal.reason).split()
            reached.add(" ".join((error.refusal.section, *words[:5])))
        except Exception as error:
            return count + 1, len(corpus), f"{octets!r}: {error!r}"
        if not reached <= seen:
            seen |= reached
            corpus.append(octets)
        if count % 256 == 0 and time.monotonic() > latest:
            break
    return count + 1, len(corpus), ""


def _traced(run: Callable[[bytes], object], octets: bytes, reached: set[Place]) -> None:
    """Call *run* with *octets* under a line tracer. Add each step between lines of httpsock to *reached*."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return None
        before = 0

        def step(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal before
            reached.add((code, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(octets)
    finally:
        sys.settrace(before)


def cost(maximum: int) -> tuple[float, bytes]:
    """Repeat some octets as input of each target. Return the longest time, in ms per KiB, and the repeated octets."""
    worst, which = 0.0, b""
    for target in TARGETS.values():
        length = min(maximum, target.longest)
        for part in _REPEATED:
            for octets in ((part * length)[:length], target.seeds[0] + (part * length)[:length]):
                spent = _milliseconds(target, octets) / (length / 1024)
                if spent > worst:
                    # The machine may have been busy: measure again.
                    spent = min(spent, _milliseconds(target, octets) / (length / 1024))
                if spent > worst:
                    worst, which = spent, part
    return worst, which


def _milliseconds(target: Target, octets: bytes) -> float:
    began = time.perf_counter()
    with contextlib.suppress(RequestError):
        target.run(octets)
    return (time.perf_counter() - began) * 1000


def main(seconds: float, seed: int) -> int:
    """Fuzz each target for the given time. Return the exit code."""
    total, faults = 0, 0
    for name, target in TARGETS.items():
        count, stored, fault = fuzz(target, 1 << 62, seconds, seed)
        total, faults = total + count, faults + bool(fault)
        print(f"{name}: {count:,} inputs, {stored:,} in the corpus; {fault or 'no fault'}", flush=True)
    print(f"{total:,} inputs, seed {seed}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    parser = ArgumentParser("tests.reliability.fuzz", __doc__)
    parser.add_argument("seconds", type=positive_seconds, metavar="SECONDS", help="the time for each target")
    parser.add_argument(
        "seed", type=whole_number, metavar="SEED", nargs="?", default=2, help="of the random choices (default: 2)"
    )
    sys.exit(main(**vars(parser.parse_args())))
