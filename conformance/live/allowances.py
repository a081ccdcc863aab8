"""The allowances: where the RFC lets a server behave otherwise than httpsock, by requirement, for the live check.

``allowed`` in the tables is for one case, this module for all cases of a kind. A server that answers the
sentinel wrongly always fails.
"""

from conformance.corpus.cases import Case

# Requirements whose cases another server may take for requests:
_MAY_ACCEPT = frozenset((
    "R003",  # RFC 9112 §2.2: a lone LF may be taken for a line end
    "R004",  # RFC 9112 §2.2: any number of empty lines may be passed over
    "R014",  # RFC 9112 §3: which method is too long is the server's to say
    "R032",  # RFC 9110 §5.5: control characters may be kept, and NUL be replaced by SP; neither can be seen
    "R037",  # RFC 9112 §5.2: a fold may be replaced by spaces
    "R050",  # RFC 9112 §6.3: a list of equal lengths may count once
    "R059",  # RFC 9112 §6.1: both framings may be processed as chunked, with a close behind
    "R060",  # the same in HTTP/1.0
    "R071",  # RFC 9112 §7.1.1: the server decides how long an extension may be
))  # fmt: skip
# Limits are the server's choice: they differ between servers.
_LIMIT_STATUSES = frozenset((413, 414, 431))
# RFC 3986 §3.2.2, §3.2.3: a port is any number of digits, a host may be empty; RFC 6874 had zones.
_HOSTS_OF_DOUBTFUL_USE = frozenset((
    "a-host-with-port-65536", "a-host-with-a-zone", "an-empty-host", "a-port-and-no-host"
))  # fmt: skip
# Requirements whose broken cases still match the grammar of a message: RFC 9112 §2.2 has the connection closed behind
# octets that do not. A version, a target's host, a Host or a limit is refused by a rule that says nothing of a close.
_IN_THE_GRAMMAR = frozenset(("R013", "R014", "R015", "R016", "R024", "R025", "R026", "R027", "R029", "R030", "R031"))
# RFC 9112 §6.1: a server may process these, and has to close behind them.
_PROCESSED_LAST = frozenset(("R059", "R060"))
# RFC 9112 §3.2: an invalid request-target may be redirected to its encoded form.
_MAY_REDIRECT = frozenset(("R017", "R027", "R140"))
_REDIRECTS = frozenset((301, 302, 307, 308))
_SPACE = b" \t\v\f\r"


def may_accept(case: Case) -> bool:
    """Return whether a server may accept a case that the table refuses."""
    if (
        "accepted" in case.allowed
        or "last" in case.allowed
        or case.requirement in _MAY_ACCEPT
        or case.name in _HOSTS_OF_DOUBTFUL_USE
    ):
        return True
    if case.expected["httpsock"].status in _LIMIT_STATUSES or _is_respaced(case.octets):
        return True
    # RFC 9112 §2.2: lines that start with whitespace may be dropped; if Host is among them, 400 must follow.
    if case.requirement == "R005":
        return b"\nHost:" in case.octets
    # RFC 9112 §2.2: a bare CR may be replaced by SP; but not be a line end.
    return case.requirement == "R002" and b"\n" in case.octets


def has_to_close(case: Case) -> bool:
    """Return whether a server that accepts a case which the table refuses must close behind it."""
    if "accepted" in case.allowed:
        return False
    return "last" in case.allowed or case.requirement in _PROCESSED_LAST


def may_go_on(case: Case) -> bool:
    """Return whether the connection may stay open, since it is unclear that *case* asks to close."""
    return {"accepted", "last"} <= set(case.allowed)


def may_turn_away(case: Case, status: int) -> bool:
    """Return whether *status* keeps the request line of *case* from being processed, as a refusal of its form would."""
    if case.requirement in _MAY_REDIRECT and status in _REDIRECTS:
        return True
    # RFC 9110 §7.1: GET of an asterisk names no resource, and no text forbids 404 for it.
    return case.requirement == "R027" and status == 404


def may_go_on_behind_refusal(case: Case) -> bool:
    """Return whether no rule has the connection closed behind the refusal of *case*: its framing and form are valid."""
    return case.requirement in _IN_THE_GRAMMAR


def is_of_http_1_0(case: Case) -> bool:
    """Return whether a request of *case* is of HTTP/1.0: its connection closes unsaid (RFC 9112 §9.3)."""
    return b" HTTP/1.0\r\n" in case.octets


def has_no_end(case: Case) -> bool:
    """Return whether *case* ends within a head that is too long for httpsock: others may wait for the rest of it."""
    status = case.expected["httpsock"].status
    return b"\r\n\r\n" not in case.octets and status in (501, *_LIMIT_STATUSES)


def may_refuse(case: Case) -> bool:
    """Return whether a server may refuse a case that the table accepts."""
    if "refused" in case.allowed or any(isinstance(allowed, int) for allowed in case.allowed):
        return True
    # RFC 9110 §9.3.1, §9.3.2: content in GET or HEAD may lead a server to reject the request and close.
    accepted = case.expected["httpsock"].accepted
    return any(understood.method in ("GET", "HEAD") and understood.content for understood in accepted)


def _is_respaced(octets: bytes) -> bool:
    """Return whether the request line has its parts, but other whitespace than one SP between them.

    RFC 9112 §3: a server may split it at any whitespace, and ignore whitespace at its start and end.
    """
    line = octets.lstrip(b"\r\n").partition(b"\n")[0].removesuffix(b"\r")
    parts = line.translate(bytes(0x20 if octet in _SPACE else octet for octet in range(256))).split()
    return len(parts) == 3 and parts[2].startswith(b"HTTP/1.") and len(parts[2]) == 8 and line != b" ".join(parts)
