"""Allowances: where the RFC lets a server behave differently from httpsock.

An allowance here applies to all cases of a requirement. The key ``allowed`` in the tables applies to one case.
"""

import re

from conformance.corpus.cases import Case

# Requirements whose cases a server may accept although httpsock refuses them:
_MAY_ACCEPT = frozenset((
    "R003",  # RFC 9112 §2.2: a server may accept a lone LF as a line end
    "R004",  # RFC 9112 §2.2: it may ignore any number of empty lines
    "R014",  # RFC 9112 §3: it chooses its limit for the length of a method
    "R032",  # RFC 9110 §5.5: it may keep control characters, or replace NUL by SP; the responses don't show which
    "R037",  # RFC 9112 §5.2: it may replace a fold by spaces
    "R050",  # RFC 9112 §6.3: it may count several equal lengths as one
    "R059",  # RFC 9112 §6.1: it may ignore Content-Length beside Transfer-Encoding, but must close then
    "R060",  # RFC 9112 §6.1: it may read chunks in HTTP/1.0, but must close then
    "R071",  # RFC 9112 §7.1.1: it chooses its limit for the length of an extension
))  # fmt: skip
# The statuses of refusals by a limit, which each server chooses for itself.
_LIMIT_STATUSES = frozenset((413, 414, 431))
# RFC 3986 §3.2.2, §3.2.3 allow a port of any number of digits and an empty host; RFC 6874 allowed zones.
_VALID_HOSTS_OF_NO_USE = frozenset((
    "a-host-with-port-65536", "a-host-with-a-zone", "an-empty-host", "a-port-and-no-host"
))  # fmt: skip
# RFC 9112 §2.2 asks for a close after octets outside the grammar of a message. Cases of these requirements match the
# grammar, and the rules that refuse them (on versions, hosts and limits) ask for no close.
_IN_THE_GRAMMAR = frozenset(("R013", "R014", "R015", "R016", "R024", "R025", "R026", "R027", "R029", "R030", "R031"))
# RFC 9112 §6.1: a server may process these, but must close the connection then.
_PROCESSED_LAST = frozenset(("R059", "R060"))
# RFC 9112 §3.2: a server may redirect an invalid request-target to its encoded form.
_MAY_REDIRECT = frozenset(("R017", "R027", "R140"))
_REDIRECTS = frozenset((301, 302, 307, 308))
_SPACE = b" \t\v\f\r"
_SIMPLE_REQUEST = re.compile(rb"GET /[^ \r\n]*(?: HTTP/0\.9)?\r\n")


def may_accept(case: Case) -> bool:
    """Return whether a server may accept *case* although httpsock refuses it."""
    if (
        "accepted" in case.allowed
        or "last" in case.allowed
        or case.requirement in _MAY_ACCEPT
        or case.name in _VALID_HOSTS_OF_NO_USE
    ):
        return True
    if case.expected["httpsock"].status in _LIMIT_STATUSES or _is_respaced(case.octets):
        return True
    # RFC 9112 §2.2: a server may ignore lines that start with whitespace, but needs a Host line that does not.
    if case.requirement == "R005":
        return b"\nHost:" in case.octets
    # RFC 9112 §2.2: a server may replace a bare CR by SP, but not read it as a line end.
    return case.requirement == "R002" and b"\n" in case.octets


def has_to_close(case: Case) -> bool:
    """Return whether a server that accepts *case* must then close the connection."""
    if "accepted" in case.allowed:
        return False
    return "last" in case.allowed or case.requirement in _PROCESSED_LAST


def may_persist(case: Case) -> bool:
    """Return whether a server is free to close the connection after *case* or to keep it open."""
    return {"accepted", "last"} <= set(case.allowed)


def may_refuse_target(case: Case, status: int) -> bool:
    """Return whether a server may refuse the request-target of *case* with *status*, a redirect or 404."""
    if case.requirement in _MAY_REDIRECT and status in _REDIRECTS:
        return True
    # RFC 9110 §7.1: GET of an asterisk names no resource, and the RFC does not forbid 404 for it.
    return case.requirement == "R027" and status == 404


def may_persist_after_refusal(case: Case) -> bool:
    """Return whether the connection may stay open after a refusal of *case*, because *case* matches the grammar."""
    return case.requirement in _IN_THE_GRAMMAR


def is_of_http_1_0(case: Case) -> bool:
    """Return whether *case* has an HTTP/1.0 request.

    After such a request, a server may close without notice (RFC 9112 §9.3).
    """
    return b" HTTP/1.0\r\n" in case.octets


def may_answer_without_a_head(case: Case) -> bool:
    """Return whether *case* is an HTTP/0.9 request. A response to HTTP/0.9 has content but no head (RFC 1945 §6)."""
    return _SIMPLE_REQUEST.match(case.octets) is not None


def has_no_end(case: Case) -> bool:
    """Return whether *case* ends within a head that is too long for httpsock. Other servers may wait for the rest."""
    status = case.expected["httpsock"].status
    return b"\r\n\r\n" not in case.octets and status in (501, *_LIMIT_STATUSES)


def may_refuse(case: Case) -> bool:
    """Return whether a server may refuse *case* although httpsock accepts it."""
    if "refused" in case.allowed or any(isinstance(allowed, int) for allowed in case.allowed):
        return True
    # RFC 9110 §9.3.1, §9.3.2: a server may reject GET or HEAD with content, and close.
    accepted = case.expected["httpsock"].accepted
    return any(understood.method in ("GET", "HEAD") and understood.content for understood in accepted)


def _is_respaced(octets: bytes) -> bool:
    """Return whether the request line is valid except for the whitespace between its parts.

    RFC 9112 §3: a server may split the line at any whitespace, and ignore whitespace at its start and end.
    """
    line = octets.lstrip(b"\r\n").partition(b"\n")[0].removesuffix(b"\r")
    parts = line.translate(bytes(0x20 if octet in _SPACE else octet for octet in range(256))).split()
    return len(parts) == 3 and parts[2].startswith(b"HTTP/1.") and len(parts[2]) == 8 and line != b" ".join(parts)
