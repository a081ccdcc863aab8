"""Read responses with h11, an independent HTTP implementation."""

from typing import NamedTuple

import h11


class Received(NamedTuple):
    """A response as h11 read it.

    If the response is incomplete, *is_whole* is false. If the connection can't be used again, *can_reuse* is false.
    """

    status: int
    fields: dict[str, str]
    content: bytes
    is_whole: bool
    can_reuse: bool
    interim: list[int]


def read_with_h11(octets: bytes, method: str = "GET", *, has_ended: bool = False) -> tuple[Received, bytes]:
    """Parse the first response in *octets*. Return the response and the remaining octets.

    If *has_ended* is true, the server closed its side of the connection after *octets*.
    """
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "localhost")]))
    client.send(h11.EndOfMessage())
    client.receive_data(octets)
    interim: list[int] = []
    head, content, is_whole = None, b"", False
    while not is_whole:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError as error:
            # Any other error fails the test.
            assert "without sending complete message body" in str(error)  # noqa: PT017
            break
        if event is h11.NEED_DATA and has_ended:
            has_ended = False
            client.receive_data(b"")
        elif isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            content += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            is_whole = True
        else:
            break
    assert head is not None, f"no head in {octets[:200]!r}"
    fields: dict[str, str] = {}
    for name, value in head.headers:
        assert name.decode() not in fields, f"{name!r} occurs twice"
        fields[name.decode()] = value.decode()
    can_reuse = is_whole and client.their_state is h11.DONE
    rest = client.trailing_data[0] if is_whole else b""
    return Received(head.status_code, fields, content, is_whole, can_reuse, interim), bytes(rest)
