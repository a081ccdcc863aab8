"""A server with the option --inspect, and a client for its event stream."""

import json
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import httpsock
from httpsock.http.framing import ChunkedDecoder, ContentLimits
from httpsock.observe.inspected import Inspection
from httpsock.observe.recorder import Recorder
from tests.support import connect, get

EVENTS = "/.httpsock/events"


class Message(NamedTuple):
    """One message of an event stream. If the message is a comment, all attributes are empty."""

    id: str
    event: str
    data: Any


def read_messages(text: str) -> list[Message]:
    """Parse an event stream. Its last message must be complete."""
    *blocks, rest = text.split("\n\n")
    assert rest == ""
    messages = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line != ":")
        assert set(fields) <= {"id", "event", "data"}
        data = json.loads(fields["data"]) if "data" in fields else None
        messages.append(Message(fields.get("id", ""), fields.get("event", ""), data))
    return messages


class Watching:
    """A client that reads the event stream until the block ends."""

    def __init__(self, port: int, *field_lines: str) -> None:
        self.client = connect(port)
        self.client.sendall(get(EVENTS, *field_lines))
        octets = b""
        while b"\r\n\r\n" not in octets:
            octets += self._receive()
        head, _, self._octets = octets.partition(b"\r\n\r\n")
        self.head = head.decode("ascii")
        self._decoder = ChunkedDecoder(ContentLimits(content=1 << 40))
        self._text = ""
        self.messages: list[Message] = []
        self.is_complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _receive(self) -> bytes:
        octets = self.client.recv(65536)
        assert octets, "the stream has ended"
        return octets

    def until(self, is_there: Callable[[list[Message]], object]) -> list[Message]:
        """Read until *is_there* returns true for the list of messages. Return the list."""
        while not is_there(self.messages):
            self._read()
        return self.messages

    def events_until(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Read until *count* events called *name* have arrived. Return all events so far, of any name."""
        self.until(
            lambda messages: sum(m.event == "" and m.data and m.data["event"] == name for m in messages) >= count
        )
        return self.events

    def counters_until(self, is_there: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read until *is_there* returns true for the counters of a message. Return these counters."""
        self.until(lambda messages: any(is_there(m.data) for m in messages if m.event == "counters"))
        return next(m.data for m in self.messages if m.event == "counters" and is_there(m.data))

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that have arrived."""
        return [message.data for message in self.messages if message.event == "" and message.data]

    def read_to_end(self) -> None:
        """Read until the last chunk."""
        while not self.is_complete:
            self._read()

    def _read(self) -> None:
        if not self._octets:
            self._octets = self._receive()
        decoded = self._decoder.decode(self._octets)
        self._octets = self._octets[decoded.used :]
        self._text += decoded.content.decode("ascii")
        self.is_complete = self._decoder.is_complete
        whole, mark, self._text = self._text.rpartition("\n\n")
        self.messages += read_messages(whole + mark)


def inspected(folder: pathlib.Path, recorder: Recorder | None = None, **settings: Any) -> httpsock.Server:
    """Make a server for *folder* with the option --inspect, on a free port."""
    given: dict[str, Any] = {"hosts": ["127.0.0.1"], "port": 0, "threads": 1} | settings
    return httpsock.Server(folder, tracing=Inspection(recorder or Recorder()), **given)
