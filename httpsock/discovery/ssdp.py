"""SSDP: HTTP in datagrams, as values.

Parses the octets of a datagram as a message, and formats messages as datagrams. Each datagram holds one complete
message without content. Must not know sockets or time. ``announcer`` uses this module.

UPnP Device Architecture 2.0 §1.2 (advertisement), §1.3 (search); RFC 9110 §5 (fields), RFC 9112 §2.1 (message format).

    M-SEARCH * HTTP/1.1 CRLF              NOTIFY * HTTP/1.1 CRLF               HTTP/1.1 200 OK CRLF
    HOST: 239.255.255.250:1900 CRLF       HOST: 239.255.255.250:1900 CRLF      CACHE-CONTROL: max-age=1800 CRLF
    MAN: "ssdp:discover" CRLF             NTS: ssdp:alive CRLF                 ST: upnp:rootdevice CRLF
    MX: 2 CRLF                            NT: upnp:rootdevice CRLF             USN: uuid:...::upnp:rootdevice CRLF
    ST: ssdp:all CRLF CRLF                LOCATION: http://... CRLF CRLF       LOCATION: http://... CRLF CRLF
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from httpsock.http import grammar
from httpsock.http.framing import FramingError, parse_field_line
from httpsock.http.text import visible

GROUP = "239.255.255.250"
GROUP_IPV6 = "ff02::c"
PORT = 1900
MAX_AGE_SECONDS = 1800
ALL = "ssdp:all"
ROOT_DEVICE = "upnp:rootdevice"
DEVICE_TYPE = "urn:schemas-upnp-org:device:Basic:1"

# UDA asks for datagrams that fit into an Ethernet frame, but some devices send larger datagrams.
_MAX_OCTETS = 8192
_MAX_FIELD_LINES = 64
# UDA 2.0 §1.3.2: a device may treat any larger MX as 5.
_MAX_MX = 5
_mx = re.compile(r"[0-9]{1,9}")


class DatagramError(Exception):
    """A malformed or irrelevant SSDP message. The receiver does not answer, since the source address may be forged."""

    def __init__(self, reason: str, section: str) -> None:
        super().__init__(f"{reason} ({section})")
        self.reason = reason
        self.section = section

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes for the trace event of this error."""
        return {"reason": self.reason, "section": self.section}


class Datagram(NamedTuple):
    """One message: its parsed start line and its fields. The field names are in lower case.

    If a field is repeated, *fields* has the value of its last line. A request has a *method* and a *target*. A response
    has a *status* and a *phrase*.
    """

    start_line: bytes
    fields: Mapping[bytes, bytes]
    method: str = ""
    target: str = ""
    status: int = 0
    phrase: str = ""

    def field(self, name: str) -> str:
        """Return the value of the field *name* as text, or "" if the field is missing."""
        return _text(self.fields.get(name.encode("ascii"), b""))

    @property
    def identity(self) -> str:
        """The name of the device that sent this message: the USN up to the first "::" (UDA 2.0 §1.2.2)."""
        return self.field("usn").partition("::")[0]

    @property
    def is_answer(self) -> bool:
        """Whether this message answers a search and identifies a device (UDA 2.0 §1.3.3)."""
        return self.status == 200 and bool(self.identity)

    @property
    def summary(self) -> dict[str, str | int]:
        """The attributes for a trace event: method and target of a request, or status and phrase of a response."""
        if self.method:
            return {"method": self.method, "target": visible(self.target)}
        return {"status": self.status, "phrase": visible(self.phrase)}


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


class Search(NamedTuple):
    """A search for *target*. Each device waits for a random time of at most this many *seconds* before it answers."""

    target: str
    seconds: int


def parse_datagram(octets: bytes) -> Datagram:
    """Parse *octets* as a Datagram. Raise DatagramError with the reason if *octets* are malformed."""
    if len(octets) > _MAX_OCTETS:
        raise DatagramError(f"the datagram has {len(octets)} bytes; the limit is {_MAX_OCTETS}", "UDA 2.0 §1.1.2")
    start_line, crlf, rest = octets.partition(b"\r\n")
    empty = _parse_start_line(start_line) if crlf else None
    if empty is None:
        shown = grammar.printable(start_line)
        raise DatagramError(f'the start line "{shown}" is neither that of a request nor of a response', "RFC 9112 §2.1")
    lines = rest.removesuffix(b"\r\n").split(b"\r\n")[:-1]
    if not (b"\r\n" + rest).endswith(b"\r\n\r\n") or len(lines) > _MAX_FIELD_LINES:
        reason = f"there is no empty line after at most {_MAX_FIELD_LINES} field lines"
        raise DatagramError(reason, "RFC 9112 §2.1")
    try:
        fields = dict(
            parse_field_line(line + b"\r\n", f"field line {number}") for number, line in enumerate(lines, start=1)
        )
    except FramingError as fault:
        raise DatagramError(fault.reason, fault.section) from None
    return empty._replace(fields=fields)


def _parse_start_line(octets: bytes) -> Datagram | None:
    """Parse a start line, and return a message without fields. If the line is malformed, return None."""
    if match := re.fullmatch(grammar.REQUEST_LINE, octets):
        return Datagram(octets, {}, method=_text(match[1]), target=_text(match[2]))
    if match := re.fullmatch(grammar.STATUS_LINE, octets):
        return Datagram(octets, {}, status=int(match[3]), phrase=_text(match[4] or b""))
    return None


def search_of(datagram: Datagram) -> Search:
    """Return *datagram* as a search. Raise DatagramError if *datagram* is malformed, or is not a search."""
    if datagram.start_line != b"M-SEARCH * HTTP/1.1" or datagram.field("man") != '"ssdp:discover"':
        raise DatagramError("it is not a search", "UDA 2.0 §1.3.2")
    seconds, target = datagram.field("mx"), datagram.field("st")
    if not target:
        raise DatagramError("the search has no target (ST)", "UDA 2.0 §1.3.2")
    # A search without MX is unicast, and gets an immediate answer (§1.3.2). MX 0 counts as 1.
    if not seconds:
        return Search(target, 0)
    if not _mx.fullmatch(seconds):
        raise DatagramError("MX is not a number of seconds", "UDA 2.0 §1.3.2")
    return Search(target, max(1, min(int(seconds), _MAX_MX)))


class Device(NamedTuple):
    """The announced device: a folder at one address. *booted* is the boot number, a time in seconds since 1970."""

    identity: uuid.UUID
    location: str
    server: str
    booted: int

    @property
    def targets(self) -> tuple[str, ...]:
        """The search targets of the device: root device, UUID and device type (UDA 2.0 §1.2.2, table 1-1)."""
        return (ROOT_DEVICE, f"uuid:{self.identity}", DEVICE_TYPE)

    def name_of(self, target: str) -> str:
        """Return the unique service name (USN) for *target*."""
        own = f"uuid:{self.identity}"
        return own if target == own else f"{own}::{target}"

    def answers(self, search: Search) -> Iterator[bytes]:
        """Yield the datagrams that answer *search*, one for each matching search target of the device."""
        for target in self.targets:
            if search.target in (ALL, target):
                yield _format(
                    "HTTP/1.1 200 OK",
                    ("CACHE-CONTROL", f"max-age={MAX_AGE_SECONDS}"),
                    ("EXT", ""),
                    ("LOCATION", self.location),
                    ("SERVER", self.server),
                    ("ST", target),
                    ("USN", self.name_of(target)),
                    *self._numbers(),
                )

    def alive(self) -> Iterator[bytes]:
        """Yield the datagrams that announce the device."""
        for target in self.targets:
            yield _format(
                "NOTIFY * HTTP/1.1",
                ("HOST", self._group),
                ("CACHE-CONTROL", f"max-age={MAX_AGE_SECONDS}"),
                ("LOCATION", self.location),
                ("NT", target),
                ("NTS", "ssdp:alive"),
                ("SERVER", self.server),
                ("USN", self.name_of(target)),
                *self._numbers(),
            )

    def update(self, booted: int) -> Iterator[bytes]:
        """Yield the datagrams that announce *booted* as the next boot number.

        The device sends these datagrams when it joins another network.
        """
        for target in self.targets:
            yield _format(
                "NOTIFY * HTTP/1.1",
                ("HOST", self._group),
                ("LOCATION", self.location),
                ("NT", target),
                ("NTS", "ssdp:update"),
                ("USN", self.name_of(target)),
                *self._numbers(),
                ("NEXTBOOTID.UPNP.ORG", str(booted)),
            )

    def byebye(self) -> Iterator[bytes]:
        """Yield the datagrams that withdraw the device."""
        for target in self.targets:
            yield _format(
                "NOTIFY * HTTP/1.1",
                ("HOST", self._group),
                ("NT", target),
                ("NTS", "ssdp:byebye"),
                ("USN", self.name_of(target)),
                *self._numbers(),
            )

    @property
    def _group(self) -> str:
        """The group for announcements. The address in the device's location decides: IPv4 or IPv6 (UDA 2.0 §A.3)."""
        return _host_of(is_ipv6=self.location.startswith("http://["))

    def _numbers(self) -> tuple[tuple[str, str], ...]:
        return (("BOOTID.UPNP.ORG", str(self.booted)), ("CONFIGID.UPNP.ORG", "1"))


def format_search(target: str, seconds: int, *, is_ipv6: bool = False) -> bytes:
    """Return a datagram that searches for *target*. Devices must answer within *seconds*."""
    return _format(
        "M-SEARCH * HTTP/1.1",
        ("HOST", _host_of(is_ipv6=is_ipv6)),
        ("MAN", '"ssdp:discover"'),
        ("MX", str(seconds)),
        ("ST", target),
        ("USER-AGENT", "httpsock UPnP/2.0"),
    )


def _host_of(*, is_ipv6: bool) -> str:
    return f"[{GROUP_IPV6}]:{PORT}" if is_ipv6 else f"{GROUP}:{PORT}"


def _format(start_line: str, *fields: tuple[str, str]) -> bytes:
    lines = [start_line, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("utf-8")
