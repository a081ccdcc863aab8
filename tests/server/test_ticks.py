"""The ticks of the event loop: which requests wait until all connections have received."""

import socket

from httpsock.http.handler import Context
from httpsock.http.messages import Request, Response
from httpsock.server.connection import Connection
from httpsock.server.event_loop import EventLoop
from httpsock.server.settings import Settings
from httpsock.server.state import State
from tests.support import connect, get


def test_a_request_is_queued_unless_its_connection_alone_is_ready(settings: Settings) -> None:
    """The test runs the event loop tick by tick."""
    states: dict[bytes, State] = {}

    def handler(request: Request, context: Context) -> Response:
        assert isinstance(context, Connection)
        states[request.target.path] = context.state
        return Response(200, ())

    settings.handler = handler
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, print)
        with connect(listener.getsockname()[1]) as one, connect(listener.getsockname()[1]) as other:
            loop._run_once()
            one.sendall(get("/alone") + get("/behind"))
            loop._run_once()
            one.sendall(get("/together"))
            other.sendall(get("/with-another"))
            loop._run_once()
        loop.close()

    queued = {path for path, state in states.items() if state is State.QUEUED}
    assert queued == {b"/behind", b"/together", b"/with-another"}
    assert states[b"/alone"] is State.NEW
