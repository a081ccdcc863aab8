"""The request-target: parse its four forms, and check the Host field.

Takes the octets of a request-target or Host field, without spaces and controls. Gives a Target or raises RequestError.
Paths stay percent-encoded until files/paths decodes them. Next: server/connection, which calls files/handler.

RFC 9112 §3.2 (request-target), §3.2.4 (Host); RFC 9110 §4.2 (http URIs), §7.1, §7.2; RFC 3986 §3.

    /where?q=now                          origin-form, all methods but CONNECT
    http://www.example.org/where?q=now    absolute-form, all methods but CONNECT
    www.example.com:80                    authority-form, CONNECT only
    *                                     asterisk-form, OPTIONS only
"""

import re
from functools import lru_cache

from . import grammar
from .messages import RequestError, Status, Target, TargetForm

# A longer authority is not memoised: no real name has more octets.
_MAX_MEMOISED = 261


def parse_target(method: bytes, request_target: bytes) -> Target:
    """Return the parsed *request_target*. Raise RequestError if *request_target* is invalid for *method*."""
    if method == b"CONNECT":
        _check_authority_form(request_target)
        return Target(TargetForm.AUTHORITY, b"", None, is_encoded=True)
    if request_target == b"*":
        if method != b"OPTIONS":
            reason = f"the request-target * is for OPTIONS, not for {grammar.printable(method)}"
            raise RequestError(Status.BAD_REQUEST, reason, "RFC 9112 §3.2.4")
        return Target(TargetForm.ASTERISK, b"*", None, is_encoded=True)
    if request_target.startswith(b"/"):
        path, mark, query = request_target.partition(b"?")
        return _path_target(TargetForm.ORIGIN, path, query if mark else None)
    return _parse_absolute_form(method, request_target)


def check_host(value: bytes | None, minor_version: int) -> None:
    """Raise RequestError if the Host field is invalid or, in HTTP/1.1, missing (RFC 9112 §3.2)."""
    if value is None:
        if minor_version == 0:
            return
        raise RequestError(Status.BAD_REQUEST, "there is no Host field line", "RFC 9112 §3.2")
    if _port(value) is None:
        reason = f'Host is "{grammar.printable(value)}", not a host with an optional port'
        raise RequestError(Status.BAD_REQUEST, reason, "RFC 9112 §3.2")


def _path_target(form: TargetForm, path: bytes, query: bytes | None) -> Target:
    """Return a Target for *path* and *query*. Raise RequestError if an octet or a percent-encoding is invalid."""
    for part in (path, query or b""):
        for octet, name in ((b"#", "a fragment (#), which clients must not send"), (b"\\", "a backslash")):
            if octet in part:
                raise RequestError(Status.BAD_REQUEST, f"the request-target has {name}", "RFC 9112 §3.2")
    if broken := re.search(grammar.BROKEN_PERCENT, path):
        shown = grammar.printable(path[broken.start() : broken.start() + 3])
        reason = f'the request-target has "{shown}", a percent sign without two hexadecimal digits'
        raise RequestError(Status.BAD_REQUEST, reason, "RFC 3986 §2.1")
    # People type an unencoded percent sign in queries. Like other unencoded octets, it causes a redirect.
    is_unencoded = re.search(grammar.UNENCODED, path + b"?" + (query or b""))
    is_encoded = not is_unencoded and not re.search(grammar.BROKEN_PERCENT, query or b"")
    return Target(form, path, query, is_encoded)


def _parse_absolute_form(method: bytes, request_target: bytes) -> Target:
    """Return the Target of an absolute-form. Any valid host is accepted."""
    match = re.fullmatch(grammar.ABSOLUTE_FORM, request_target)
    if match is None:
        reason = f'the request-target "{grammar.printable(request_target)}" starts with neither / nor http://'
        raise RequestError(Status.BAD_REQUEST, reason, "RFC 9112 §3.2")
    scheme = match["scheme"].lower()
    if scheme != b"http":
        reason = f"the scheme {grammar.printable(scheme)} is not served on this connection"
        raise RequestError(Status.MISDIRECTED_REQUEST, reason, "RFC 9110 §7.4")
    if b"@" in match["authority"]:
        raise RequestError(Status.BAD_REQUEST, "the request-target has userinfo", "RFC 9110 §4.2.4")
    if _port(match["authority"]) is None:
        reason = f'the request-target has the invalid host "{grammar.printable(match["authority"])}"'
        raise RequestError(Status.BAD_REQUEST, reason, "RFC 9110 §4.2.1")
    # RFC 9110 §4.2.3: an empty path equals "/", except that with OPTIONS it means the whole server (RFC 9112 §3.2.4).
    is_whole_server = method == b"OPTIONS" and match["query"] is None
    return _path_target(TargetForm.ABSOLUTE, match["path"] or (b"*" if is_whole_server else b"/"), match["query"])


def _check_authority_form(request_target: bytes) -> None:
    """Raise RequestError if *request_target* is not a host and a port (RFC 9110 §9.3.6)."""
    if _port(request_target) in (None, 0):
        reason = f'CONNECT to "{grammar.printable(request_target)}", which is not a host and a port'
        raise RequestError(Status.BAD_REQUEST, reason, "RFC 9110 §9.3.6")


def _port(authority: bytes) -> int | None:
    """Return the port of a valid *authority*, or 0 if it has no port. Return None if *authority* is invalid."""
    return (_memoised_port if len(authority) <= _MAX_MEMOISED else _parse_port)(authority)


def _parse_port(authority: bytes) -> int | None:
    match = grammar.match_host(authority)
    if match is None:
        return None
    port = (match["port"] or b"").lstrip(b"0") or b"0"
    # TCP ports have 16 bits.
    return int(port) if len(port) <= 5 and int(port) <= 65535 else None


_memoised_port = lru_cache(maxsize=64)(_parse_port)
