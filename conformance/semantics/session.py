"""A Check of a server's responses, its Session with the server, and helpers that checks share.

The name of a check is a sentence about the server. If the sentence is true, the check returns None. Otherwise it
returns a description of the fault. If the server lacks an optional feature or does not serve the known folder, the
check raises InapplicableError.
"""

import functools
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Self

from conformance.live import wire
from conformance.live.responses import Fault, FaultKind, Response
from conformance.live.results import NO_TIME

_IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4}"
    r" ([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60) GMT"
)


# More than twice the length of /big.bin, the largest file that a check receives whole.
_MAX_OCTETS = 8 * 1024 * 1024


class InapplicableError(Exception):
    """The check does not apply, for example because the server lacks an optional feature. The message is the reason."""


class FaultError(Exception):
    """The check found a fault and cannot continue. The message describes the fault."""


class OtherFault(str):
    """A fault that breaks a requirement other than the check's own."""

    __slots__ = ("requirement",)
    requirement: str

    def __new__(cls, text: str, requirement: str) -> Self:
        """Make a fault with the message *text*. The fault breaks *requirement*."""
        fault = super().__new__(cls, text)
        fault.requirement = requirement
        return fault


class Session:
    """The exchanges of one check with the server at *address*. The check judges the last exchange.

    An exchange ends if no octet moves for *silence_seconds*. If content still arrives at the *deadline*, there is no
    verdict: InapplicableError is raised. If *quiet_seconds* is given, the client closes its side after this many
    seconds without input. ``exchanges`` has the octets and the transcript of each exchange.
    """

    def __init__(
        self,
        address: tuple[str, int],
        silence_seconds: float = 2.0,
        deadline: float = math.inf,
        quiet_seconds: float | None = None,
    ) -> None:
        self.address = address
        self.silence_seconds = silence_seconds
        self.deadline = deadline
        self.quiet_seconds = quiet_seconds
        self.exchanges: list[tuple[bytes, wire.Transcript]] = []
        self.faults: list[Fault] = []

    @property
    def fault(self) -> str | None:
        """The first fault in the last responses. A missing Allow does not count, since separate checks test it."""
        fault = next((fault for fault in self.faults if fault.kind is not FaultKind.NO_ALLOW), None)
        if fault is None:
            return None
        return OtherFault(fault.says, "R101") if fault.kind is FaultKind.CONTENT_OF_HEAD else fault.says

    @property
    def transcript(self) -> wire.Transcript | None:
        """The transcript of the last exchange."""
        return self.exchanges[-1][1] if self.exchanges else None

    def separate(self) -> "Session":
        """Return a separate session, for requests that prepare the check or find out whether it applies."""
        return Session(self.address, self.silence_seconds, self.deadline, self.quiet_seconds)

    def ask(self, *requests: bytes) -> list[Response]:
        """Send *requests* together on one connection. The last request asks to close. Return the final responses."""
        return self.send([b"".join((*requests[:-1], _closing(requests[-1])))], [_method(one) for one in requests])

    def send(self, parts: Iterable[bytes], methods: list[str], *, ends: bool = False) -> list[Response]:
        """Send *parts*, the octets of requests with these *methods*. Return the final responses.

        If *ends* is true, close the client's side after the last part.
        """
        parts = list(parts)
        max_seconds = self.deadline - time.monotonic()
        if max_seconds <= 0:
            raise InapplicableError(NO_TIME)
        transcript = wire.exchange(
            self.address,
            parts,
            silence_seconds=self.silence_seconds,
            max_seconds=max_seconds,
            ends=ends,
            quiet_seconds=self.quiet_seconds,
            max_octets=_MAX_OCTETS,
        )
        self.exchanges.append((b"".join(parts), transcript))
        if transcript.ended == "flooded":
            raise FaultError(f"no response: more than {_MAX_OCTETS} bytes without an end")
        parsed = wire.read_responses(transcript.received, methods, transcript.ended == "closed")
        self.faults = parsed.faults
        if transcript.ended == "too slow" and (parsed.is_under_way or max_seconds < self.silence_seconds):
            raise InapplicableError(NO_TIME)
        return [response for response in parsed.responses if response.status >= 200]

    def one(self, request: bytes) -> Response:
        """Send one request and return the response. If there is none, raise FaultError."""
        responses = self.ask(request)
        if not responses:
            ended = self.transcript.ended if self.transcript else "closed"
            if ended == "timed out":
                raise FaultError(f"no complete response to {_line(request)} within {self.silence_seconds:g} seconds")
            if ended == "too slow":
                raise FaultError(f"no complete response to {_line(request)}, although bytes come without end")
            raise FaultError(f"no response to {_line(request)}: the connection {_ENDED.get(ended, ended)}")
        return responses[0]

    def whole(self, path: str) -> Response:
        """Send a plain GET for *path* and return the 200 response. If the status differs, raise InapplicableError."""
        response = self.one(get(path))
        if response.status != 200:
            raise InapplicableError(f"GET {path} is answered with {response.status}: the known folder is not served")
        return response


_ENDED: Mapping[str, str] = {
    "closed": "closed",
    "reset": "was reset",
    "refused": "refused",
}


class Check(NamedTuple):
    """One check. *name* is a sentence about the server, which must be true. *run* returns a fault or None.

    If *is_heavy* is true, a server that reads whole files needs gigabytes of memory for this check.
    """

    name: str
    requirement: str
    level: str
    run: Callable[[Session], str | None]
    is_heavy: bool = False


class Chapter(list[Check]):
    """The checks of one chapter. The decorator ``@chapter.check(...)`` adds a check."""

    def check(
        self, name: str, requirement: str, level: str
    ) -> Callable[[Callable[[Session], str | None]], Callable[[Session], str | None]]:
        """Add the decorated function as a check. The sentence *name* is true of each server that passes the check."""

        def add(run: Callable[[Session], str | None]) -> Callable[[Session], str | None]:
            self.add(name, requirement, level, run)
            return run

        return add

    def add(
        self, name: str, requirement: str, level: str, run: Callable[[Session], str | None], *, is_heavy: bool = False
    ) -> None:
        """Add the function *run* as a check. The sentence *name* is true of each server that passes the check."""
        self.append(Check(name, requirement, level, functools.partial(_verdict, run), is_heavy))


def _verdict(run: Callable[[Session], str | None], session: Session) -> str | None:
    """Call the check *run*. Return the fault that it returns or raises, or None."""
    try:
        return run(session)
    except FaultError as fault:
        return str(fault)
    except OSError as error:
        return f"no response: {error}"


def unless(holds: object, fault: str) -> str | None:
    """If *holds* is true, return None. Otherwise return *fault*."""
    return None if holds else fault


def expect(response: Response, *statuses: int, whether: str = "") -> str | None:
    """If the status of *response* is not one of *statuses*, return a fault. Append the text *whether* to the fault."""
    wanted = " or ".join(map(str, statuses))
    if response.status == 500 and 500 not in statuses:
        return OtherFault("the server fails with 500", "R116")
    return unless(response.status in statuses, f"the status is {response.status}, not {wanted}{whether}")


def request(method: str, target: str, *fields: str, content: bytes | None = None, version: str = "HTTP/1.1") -> bytes:
    """Return the octets of a request. *fields* are lines such as "Name: value", encoded in Latin-1."""
    lines = [f"{method} {target} {version}", "Host: localhost", *fields]
    if content is not None:
        lines.append(f"Content-Length: {len(content)}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + (content or b"")


def get(target: str, *fields: str) -> bytes:
    """Return the octets of a GET request."""
    return request("GET", target, *fields)


def field(response: Response, name: str) -> str:
    """Return the value of the field called *name*. If there is none, return ""."""
    return (response.field(name) or b"").decode("latin-1")


def entity_tag(session: Session, path: str = "/digits.txt") -> str:
    """Request *path* and return its strong entity-tag. If there is none, raise InapplicableError."""
    tag = field(session.separate().whole(path), "etag")
    if not tag or tag.startswith("W/"):
        raise InapplicableError("the server sends no strong entity-tag")
    return tag


def last_modified(session: Session, path: str = "/digits.txt") -> str:
    """Request *path* and return its Last-Modified. If there is none, raise InapplicableError."""
    date = field(session.separate().whole(path), "last-modified")
    if not date:
        raise InapplicableError("the server sends no Last-Modified")
    return date


def parse_date(text: str) -> datetime | None:
    """Parse an IMF-fixdate (RFC 9110 §5.6.7). For any other text, return None."""
    try:
        return parsedate_to_datetime(text) if _IMF_FIXDATE.fullmatch(text) else None
    except ValueError:
        return None


def last_modified_date(session: Session) -> datetime:
    """Return the Last-Modified of /digits.txt as a date. If there is none, raise InapplicableError."""
    text = last_modified(session)
    date = parse_date(text)
    if date is None:
        raise FaultError(f"Last-Modified is {text!r}, not an IMF-fixdate")
    return date


def _closing(octets: bytes) -> bytes:
    """If a request has no Connection field, add Connection: close."""
    head, end_of_head, content = octets.partition(b"\r\n\r\n")
    if b"\nconnection:" in head.lower():
        return octets
    return head + b"\r\nConnection: close" + end_of_head + content


def _method(octets: bytes) -> str:
    return octets.partition(b" ")[0].decode("latin-1")


def _line(octets: bytes) -> str:
    return octets.partition(b"\r\n")[0].decode("latin-1")[:100]
