"""Checks on connections and methods: RFC 9112 §9, RFC 9110 §9."""

import contextlib
import socket
import struct
from functools import partial

from conformance.live.site import BIG, DIGITS
from conformance.live.threads import call_in_threads
from conformance.live.wire import Response

from .session import Chapter, InapplicableError, Session, expect, field, get, request, unless

CHECKS = Chapter()

_NAMED = ["/digits.txt", "/letters.txt", "/folder/inner.txt", "/page.html"]


def _is_persistent_version(response: Response) -> bool:
    """Return whether the response is HTTP/1.1. An HTTP/1.0 server need not keep connections open."""
    return response.octets.startswith(b"HTTP/1.1")


def _answers_after(session: Session, first: bytes, *, may_close: bool = True) -> str | None:
    """Check that the server answers a second request after *first* on the same connection.

    If the server announces a close, it need not answer the second request. If *may_close* is true, raise
    InapplicableError in this case.
    """
    responses = session.ask(first, get("/digits.txt"))
    if responses and not _is_persistent_version(responses[0]):
        raise InapplicableError("the server speaks HTTP/1.0, which need not persist")
    if len(responses) == 2:
        return unless(responses[1].content == DIGITS, "the second response does not answer the second request")
    says_close = bool(responses) and responses[0].closes
    if says_close and may_close:
        raise InapplicableError("the server closes the connection and announces it, which is allowed")
    return f"{len(responses)} of 2 requests answered, the first {'with' if says_close else 'without'} Connection: close"


for _what, _first in {
    "a 200": get("/letters.txt"),
    "a 200 with no content": get("/empty.txt"),
    "a HEAD": request("HEAD", "/big.bin"),
    "a 404": get("/missing"),
    "a HEAD of a missing file": request("HEAD", "/missing"),
    "a redirect": get("/folder"),
    "a 304 or 200": get("/letters.txt", "If-None-Match: *"),
    "a 412 or 200": get("/letters.txt", 'If-Match: "no-such-tag"'),
    "a 206 or 200": get("/letters.txt", "Range: bytes=0-0"),
    "a 416 or 200": get("/letters.txt", "Range: bytes=10-"),
    "a method not allowed": request("DELETE", "/letters.txt"),
    "a POST whose content is read or refused": request("POST", "/missing", content=b"a=b"),
    "a GET with content": request("GET", "/letters.txt", content=b"GET /missing HTTP/1.1\r\n\r\n"),
}.items():
    CHECKS.add(f"The connection persists after {_what}", "R083", "SHOULD", partial(_answers_after, first=_first))


def _closes(session: Session, fields: list[str]) -> str | None:
    """Send two requests. The first one asks to close. Return a fault if the server answers the second one."""
    responses = session.ask(get("/letters.txt", *fields), get("/digits.txt"))
    return unless(responses, "no response") or unless(
        len(responses) == 1, "a request behind one that asked to close is answered"
    )


for _fields in (
    ["Connection: close"],
    ["Connection: CLOSE"],
    ["Connection: te, close"],
    ["Connection: close,"],
    ["Connection: te", "Connection: close"],
):
    CHECKS.add(
        f"No request is processed behind {' and '.join(_fields)}", "R084", "MUST", partial(_closes, fields=_fields)
    )


@CHECKS.check("The connection closes behind the response to a request that asks to close", "R084", "MUST")
def _close_is_initiated(session: Session) -> str | None:
    session.quiet_seconds = None
    responses = session.ask(get("/digits.txt"))
    ended = session.transcript.ended if session.transcript else ""
    return unless(responses, "no response") or unless(
        ended in {"closed", "reset"}, "the connection stays open behind the response"
    )


@CHECKS.check("A large last response arrives whole", "R085", "MUST")
def _last_response_is_whole(session: Session) -> str | None:
    response = session.whole("/big.bin")
    return unless(response.content == BIG, f"{len(response.content)} of {len(BIG)} bytes arrived, or wrong bytes")


@CHECKS.check("The response to a request with Connection: close has it too", "R086", "SHOULD")
def _close_is_announced(session: Session) -> str | None:
    response = session.one(get("/digits.txt", "Connection: close"))
    if not _is_persistent_version(response):
        raise InapplicableError("the server speaks HTTP/1.0, which need not announce the close")
    return unless("close" in field(response, "connection").lower(), "the response lacks Connection: close")


def _old(target: str, *fields: str) -> bytes:
    return request("GET", target, *fields, version="HTTP/1.0")


@CHECKS.check("An HTTP/1.0 request without keep-alive is the last one", "R087", "SHOULD")
def _http_1_0_closes(session: Session) -> str | None:
    responses = session.send([_old("/letters.txt") + _old("/digits.txt")], ["GET", "GET"])
    ended = session.transcript.ended if session.transcript else ""
    return unless(len(responses) == 1, f"{len(responses)} responses, not one") or unless(
        ended in {"closed", "reset"}, "the connection stays open behind the response"
    )


@CHECKS.check("An HTTP/1.0 request gets no chunked response", "R064", "MUST")
def _http_1_0_is_not_chunked(session: Session) -> str | None:
    responses = session.send([_old("/listing/")], ["GET"])
    return unless(
        responses and not field(responses[0], "transfer-encoding"), "an HTTP/1.0 client is sent Transfer-Encoding"
    )


@CHECKS.check("A connection that persists for HTTP/1.0 says keep-alive", "R088", "SHOULD")
def _keep_alive_is_confirmed(session: Session) -> str | None:
    keep, leave = "Connection: keep-alive", "Connection: close"
    responses = session.ask(_old("/letters.txt", keep), _old("/digits.txt", leave))
    if len(responses) < 2:
        raise InapplicableError("the server closes the connection after HTTP/1.0, which is allowed")
    return unless(
        "keep-alive" in field(responses[0], "connection").lower(),
        "the connection persists, but the response lacks Connection: keep-alive",
    )


@CHECKS.check("HTTP/1.1 persists by default", "R082", "SHOULD")
def _persists_by_default(session: Session) -> str | None:
    return _answers_after(session, get("/page.html"), may_close=False)


@CHECKS.check("Pipelined responses come in the order of the requests", "R089", "MUST")
def _pipeline_in_order(session: Session) -> str | None:
    alone = [session.whole(path).content for path in _NAMED]
    together = [response.content for response in session.ask(*map(get, _NAMED))]
    return unless(together == alone[: len(together)], "the responses are not in the order of the requests")


@CHECKS.check("Responses to pipelined HEAD and GET do not run into each other", "R089", "MUST")
def _pipeline_of_unlike_methods(session: Session) -> str | None:
    head = request("HEAD", "/big.bin")
    responses = session.ask(head, get("/digits.txt"), head, get("/digits.txt"))
    contents = [response.content for response in responses]
    lengths = [*map(len, contents)]
    return session.fault or unless(
        contents == [b"", DIGITS, b"", DIGITS][: len(contents)], f"the lengths of the contents are {lengths}"
    )


@CHECKS.check("Forty pipelined requests are all answered", "R090", "SHOULD")
def _all_are_answered(session: Session) -> str | None:
    responses = session.ask(*[get("/digits.txt")] * 40)
    if responses and not _is_persistent_version(responses[0]):
        raise InapplicableError("the server speaks HTTP/1.0, which need not persist")
    if responses and len(responses) < 40 and responses[-1].closes:
        raise InapplicableError("the server closes after some requests and announces it, which is allowed")
    return unless(len(responses) == 40, f"{len(responses)} of 40 are answered")


@CHECKS.check("The answer to a request whose content is refused can be read", "R091", "SHOULD")
def _unread_content_does_not_destroy_the_answer(session: Session) -> str | None:
    responses = session.ask(request("POST", "/missing", content=bytes(300_000)))
    return unless(responses, "no response: it was lost with a reset, or never sent")


@CHECKS.check("A client that ends its side gets its answer", "R092", "POLICY")
def _half_close(session: Session) -> str | None:
    responses = session.send([get("/digits.txt")], ["GET"], ends=True)
    return unless(responses and responses[0].content == DIGITS, "no answer after half-close")


@CHECKS.check("A connection whose client has ended its side is closed after the answer", "R092", "POLICY")
def _half_close_ends(session: Session) -> str | None:
    session.send([get("/digits.txt")], ["GET"], ends=True)
    ended = session.transcript.ended if session.transcript else ""
    return unless(ended in {"closed", "reset"}, "the connection stays open")


@CHECKS.check("A request that comes octet by octet is answered like any other", "R095", "MUST")
def _octet_by_octet(session: Session) -> str | None:
    octets = get("/digits.txt", "Connection: close")
    responses = session.send([octets[place : place + 1] for place in range(len(octets))], ["GET"])
    return unless(len(responses) == 1 and responses[0].content == DIGITS, "the response is missing or wrong")


def _harmless(session: Session, octets: bytes) -> str | None:
    """Send octets that are no HTTP/1 request. Then check that the server answers a valid request."""
    session.send([octets], ["GET"], ends=True)
    received = session.transcript.received if session.transcript else b""
    return unless(DIGITS not in received, "the server sends a file, although this is no HTTP/1 request") or unless(
        session.one(get("/digits.txt")).content == DIGITS, "a valid request on the next connection is not answered"
    )


for _what, _octets in {
    "a TLS ClientHello": bytes.fromhex("16030100c5010000c10303") + bytes(187),
    "an SMTP greeting": b"EHLO digits.txt\r\nMAIL FROM:<a@b>\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"),
    "zeros": bytes(2000),
    "nothing at all": b"",
    "half a request line": b"GET /dig",
    "half a head": b"GET /missing HTTP/1.1\r\nHost: a\r\n",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.0\r\n",
}.items():
    CHECKS.add(f"No harm is done by {_what}", "R096", "SECURITY", partial(_harmless, octets=_octets))


@CHECKS.check("GET returns the file", "R097", "MUST")
def _get(session: Session) -> str | None:
    response = session.one(get("/digits.txt"))
    return expect(response, 200) or unless(response.content == DIGITS, "the content is not that of the file")


@CHECKS.check("HEAD is answered like GET", "R097", "MUST")
def _head(session: Session) -> str | None:
    return expect(session.one(request("HEAD", "/digits.txt")), 200)


def _is_not_get(session: Session, method: str) -> str | None:
    """Return a fault if the server treats *method* like GET."""
    response = session.one(request(method, "/digits.txt"))
    if response.status < 400 and session.separate().one(request("X-NONE", "/digits.txt")).status < 400:
        raise InapplicableError("the server treats every method like GET")
    return unless(
        response.status >= 400 and DIGITS not in response.content, f"{method} is answered with {response.status}"
    )


for _method in ("get", "Get", "HEAD1", "GETT", "GE"):
    CHECKS.add(f"{_method} is not GET", "R098", "SHOULD", partial(_is_not_get, method=_method))


@CHECKS.check("An unknown method gets 501", "R099", "SHOULD")
def _unknown_method(session: Session) -> str | None:
    return expect(session.one(request("BREW", "/digits.txt")), 501)


def _not_allowed(session: Session, method: str) -> str | None:
    response = session.one(request(method, "/digits.txt", content=b"x"))
    if response.status < 400:
        raise InapplicableError(f"{method} is answered with {response.status}")
    return expect(response, 405, 403, 501)


def _has_allow(session: Session, method: str) -> str | None:
    response = session.one(request(method, "/digits.txt", content=b"x"))
    if response.status != 405:
        raise InapplicableError(f"{method} is answered with {response.status}, not 405")
    allowed = [name.strip() for name in field(response, "allow").split(",")]
    return unless(response.field("allow") is not None, "405 without Allow") or unless(
        method not in allowed, f"Allow names {method}, which is refused"
    )


def _changes_nothing(session: Session, method: str) -> str | None:
    session.ask(request(method, "/letters.txt", content=b"other"))
    response = session.one(get("/letters.txt"))
    return unless(response.content == b"abcdefghij", f"{method} has changed the file")


for _method in ("POST", "PUT", "DELETE", "PATCH"):
    CHECKS.add(f"{_method} of a file is refused", "R099", "SHOULD", partial(_not_allowed, method=_method))
    CHECKS.add(f"405 to {_method} carries Allow", "R100", "MUST", partial(_has_allow, method=_method))
    CHECKS.add(f"{_method} changes no file", "R106", "SECURITY", partial(_changes_nothing, method=_method))


def _options(session: Session, target: str) -> str | None:
    response = session.one(request("OPTIONS", target))
    if target == "*":
        return unless(response.status != 500, "the status is 500")
    if not 200 <= response.status < 300:
        raise InapplicableError(f"OPTIONS is answered with {response.status}")
    allowed = {name.strip() for name in field(response, "allow").split(",")}
    return unless({"GET", "HEAD"} <= allowed, "a successful OPTIONS does not name GET and HEAD in Allow")


CHECKS.add("OPTIONS of a file gets Allow", "R104", "SHOULD", partial(_options, target="/digits.txt"))
CHECKS.add("OPTIONS of a folder gets Allow", "R104", "SHOULD", partial(_options, target="/folder/"))
CHECKS.add("OPTIONS * does not get 500", "R116", "SECURITY", partial(_options, target="*"))


@CHECKS.check("TRACE echoes no credentials", "R105", "SHOULD")
def _trace(session: Session) -> str | None:
    response = session.one(request("TRACE", "/digits.txt", "Cookie: secret-one", "Authorization: Basic secret-two"))
    return unless(b"secret-" not in response.content, "the response has the Cookie or Authorization of the request")


@CHECKS.check("CONNECT opens no tunnel", "R028", "SECURITY")
def _connect(session: Session) -> str | None:
    response = session.one(request("CONNECT", "localhost:9"))
    return unless(response.status >= 300, f"CONNECT is answered with {response.status}, which opens a tunnel")


@CHECKS.check("Idle, stalled and half-open connections do not keep others waiting", "R093", "SECURITY")
def _others_do_not_wait(session: Session) -> str | None:
    with contextlib.ExitStack() as stack:
        # Only four connections, since they must fit into the accept queue of a server that serves one at a time.
        for octets in (b"", b"GET /dig", request("POST", "/", content=b"x")[:-1], get("/big.bin")):
            connected = stack.enter_context(socket.create_connection(session.address, session.silence_seconds))
            # Octets that this client does not read must not fill a slow link.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connected.sendall(octets)
        return unless(
            session.one(get("/digits.txt")).content == DIGITS, "another client gets no answer, or a wrong one"
        )


@CHECKS.check("A connection that is reset does not keep others waiting", "R093", "SECURITY")
def _reset(session: Session) -> str | None:
    for _ in range(5):
        with socket.create_connection(session.address, session.silence_seconds) as connected:
            # With a linger time of zero, close() resets the connection.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.sendall(get("/big.bin"))
    return unless(session.one(get("/digits.txt")).content == DIGITS, "another client gets no answer, or a wrong one")


@CHECKS.check("Eight clients at the same time get a large file whole", "R095", "MUST")
def _parallel(session: Session) -> str | None:
    session.separate().whole("/digits.txt")
    sessions = [Session(session.address, session.silence_seconds * 2, session.deadline) for _ in range(8)]
    responses = call_in_threads(lambda each: each.one(get("/big.bin")), sessions, max_threads=len(sessions))
    wrong = [each for each, response in zip(sessions, responses, strict=True) if response.content != BIG]
    session.exchanges += [exchange for each in wrong[:1] for exchange in each.exchanges]
    return unless(not wrong, f"{len(sessions) - len(wrong)} of {len(sessions)} clients get it")
