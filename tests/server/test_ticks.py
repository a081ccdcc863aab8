"""The ticks of the event loop: how many requests of one connection are answered in each tick."""

import socket

from httpsock.http.handler import Context
from httpsock.http.messages import Request, Response
from httpsock.server.event_loop import EventLoop
from httpsock.server.settings import Settings
from tests.support import connect, get


def test_a_tick_answers_one_request_of_each_connection_but_two_if_only_one_is_ready(settings: Settings) -> None:
    answered: list[bytes] = []

    def handler(request: Request, context: Context) -> Response:
        answered.append(request.target.path)
        return Response(200, ())

    settings.handler = handler
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        loop = EventLoop([listener], settings, None, print)
        with connect(port) as one, connect(port) as other:
            loop._run_once()
            one.sendall(get("/1") + get("/2") + get("/3"))
            loop._run_once()
            assert answered == [b"/1", b"/2"]
            loop._run_once()
            assert answered == [b"/1", b"/2", b"/3"]
            one.sendall(get("/4") + get("/5"))
            other.sendall(get("/6") + get("/7"))
            loop._run_once()
            assert sorted(answered[3:]) == [b"/4", b"/6"]
        loop.close()
