"""Basic authentication: a middleware that admits one user, and answers 401 to all other requests.

A check of a password takes long on purpose, so it runs in a thread. Each network has one check at a time, so guesses
from one network do not delay other networks. The last credentials that were right need no second check.

RFC 7617 (Basic); RFC 9110 §11 (authentication); RFC 9111 §3.5, §5.2.2.7 (shared caches).
"""

from httpsock.http.error_response import explain
from httpsock.http.handler import Context, Handler, Middleware, Steps
from httpsock.http.messages import Refusal, Request, Response, Status

from .checked import respond
from .credentials import Credentials, parse_credentials
from .in_thread import Threads

_CHALLENGE = ("WWW-Authenticate", 'Basic realm="httpsock", charset="UTF-8"')
_NEEDED = "this needs a user name and a password, as Basic authentication in UTF-8"
# All responses depend on the credentials, and no shared cache may store a response.
_PRIVATE = {"Cache-Control": "private", "Vary": "Authorization"}
# How many checks may run at a time, at most half of them for one network; and how many of one network may wait.
_MAX_CHECKS, _MAX_WAITING = 2, 128


def basic_authentication(user: str, password_hash: str) -> Middleware:
    """Return a middleware that admits only *user*. *password_hash* is the hash of the user's password.

    ``httpsock --auth-hash`` makes a hash. Raise ValueError if the name or the hash is malformed.
    """
    credentials, threads = Credentials(user, password_hash), Threads(_MAX_CHECKS)

    def middleware(handler: Handler) -> Handler:
        def respond_if_authenticated(request: Request, context: Context) -> Steps[Response]:
            refused = yield from _refuse(request, context, credentials, threads)
            return (refused or (yield from respond(handler, request, context))).with_members(_PRIVATE)

        return respond_if_authenticated

    return middleware


def _refuse(request: Request, context: Context, credentials: Credentials, threads: Threads) -> Steps[Response | None]:
    """If *request* has the right *credentials*, return None, otherwise a 401.

    If many requests from the same network already wait for their password checks, return a 429.
    """
    accept = request.fields.get(b"accept")
    given = parse_credentials(request.field(b"authorization"))
    if given is None:
        return explain(Refusal(Status.UNAUTHORIZED, _NEEDED, "RFC 9110 §15.5.2"), accept, (_CHALLENGE,))
    digest = credentials.digest(given)
    if credentials.are_known(digest):
        return None
    if threads.waiting(context.network) >= _MAX_WAITING:
        refusal = Refusal(Status.TOO_MANY_REQUESTS, "too many passwords wait to be checked", "RFC 6585 §4")
        return explain(refusal, accept, (("Retry-After", "1"),))
    if (yield from threads.call(context, credentials.are_valid, digest, given)):
        return None
    refusal = Refusal(Status.UNAUTHORIZED, "the user name or the password is wrong", "RFC 9110 §15.5.2")
    return explain(refusal, accept, (_CHALLENGE,))
