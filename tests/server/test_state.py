"""The states of a connection: the table in server/state.py lists exactly the changes that occur."""

import pathlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpsock.handlers.checked import checked
from httpsock.http.handler import Context, Steps, Tick
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.server import state as state_module
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection
from httpsock.server.event_loop import EventLoop
from httpsock.server.settings import Settings
from httpsock.server.state import Phase, State
from tests.server.dialogue import TIMEOUTS, Begin, Dialogue
from tests.support import TIMEOUT_SECONDS, connect, eventually, fill, get, receive_answer

_ROW = re.compile(r"^    ([A-Z_]+) +((?:[A-Z_]+(?:, )?)+)$", re.MULTILINE)
BIG = bytes(200_000)
NONSENSE = b"nonsense\r\n\r\n"


def table() -> set[tuple[State, State]]:
    """Return the table of server/state.py as pairs of states."""
    rows = _ROW.findall(state_module.__doc__ or "")
    return {(State[name], State[following]) for name, names in rows for following in names.split(", ")}


def respond(request: Request, context: Context) -> Response | Steps[Response]:
    """Run the steps in the request's path.

    For example, "/read/sleep" reads the content and then sends a stream that sleeps.
    """
    return _respond(request, context)


def _respond(request: Request, context: Context) -> Steps[Response]:
    *steps, last = request.target.path.decode().strip("/").split("/")
    for step in steps:
        match step:
            case "read":
                yield from context.read_content()
            case "discard":
                yield from context.discard_content()
            case "pause":
                yield
            case "suspend":
                yield from context.suspend(lambda resume: None)
    chunks: dict[str, tuple[bytes | Sleep, ...]] = {
        "sleep": (Sleep(1),),
        "sleep,sleep": (Sleep(1), Sleep(1)),
        "sleep,big": (Sleep(1), BIG),
        "sleep,small": (Sleep(1), b"x"),
        "big,": (BIG, b"x"),
    }
    exact = {name.replace("sleep", "delay"): octets for name, octets in chunks.items()}
    if last in chunks:
        return Response(200, (), Stream(iter(chunks[last])))
    if last in exact:
        return Response(200, (), Stream(iter(exact[last]), then="keep"))
    return Response(200, (), BIG if last == "big" else b"small")


def fill_buffer(dialogue: Dialogue) -> None:
    """Fill the send buffer, so that a response must wait."""
    fill(dialogue._connected)


def post(path: str, content: bytes = b"abc", length: int = 3, *field_lines: str) -> bytes:
    return get(path, f"Content-Length: {length}", *field_lines, method="POST") + content


PART = b"GET "
CLOSE = "Connection: close"
# A step of the test: octets that the client sends, seconds that pass, or a function that gets the dialogue.
Step = bytes | float | Callable[[Dialogue], object]
WALKS: dict[str, tuple[Step, ...]] = {
    "a head in pieces": (get("/small")[:5], get("/small")[5:]),
    "nonsense first": (NONSENSE, Dialogue.end_our_side),
    "nonsense in pieces": (NONSENSE[:3], NONSENSE[3:]),
    "nonsense afterwards": (get("/small"), NONSENSE),
    "nonsense without room": (get("/small"), fill_buffer, NONSENSE, Dialogue.receive),
    "nonsense in pieces without room": (get("/small"), PART, fill_buffer, b"\r\n\r\n", Dialogue.receive),
    "an empty line in pieces": (get("/small"), b"\r", b"\n"),
    "pauses": (get("/pause/pause/small"),),
    "content in pieces": (post("/read/small", b""), b"abc"),
    "content, then a pause": (post("/read/pause/small", b""), b"abc"),
    "content, then a thread": (post("/read/suspend/small", b""), b"abc", Dialogue.resume),
    "a thread": (get("/suspend/small"), Dialogue.resume),
    "content, then a large response": (post("/read/big", b""), b"abc", Dialogue.receive),
    "content, then a stream that sleeps": (post("/read/sleep", b""), b"abc", 1.0),
    "content and a part of the next head": (post("/read/small", b""), b"abc" + PART),
    "content too late": (post("/read/small", b""), TIMEOUTS.stall),
    "content that is discarded": (post("/discard/small", b""), b"abc"),
    "content that is discarded, then a pause": (post("/discard/pause/small", b""), b"abc"),
    "content that is discarded, then a thread": (post("/discard/suspend/small", b""), b"abc", Dialogue.resume),
    "content that is discarded, then a large response": (post("/discard/big", b""), b"abc", Dialogue.receive),
    "content that is discarded, then a stream that sleeps": (post("/discard/sleep", b""), b"abc", 1.0),
    "content that is discarded, then a response that is delayed": (post("/discard/delay", b""), b"abc", 1.0),
    "content that is discarded, and a part of the next head": (post("/discard/small", b""), b"abc" + PART),
    "content that is discarded too late": (post("/discard/small", b""), TIMEOUTS.stall),
    "content of which a part is discarded": (post("/read/small", b"", 6), b"abc", b"abc"),
    "a large response": (get("/big"), Dialogue.receive),
    "a large response, the last": (get("/big", CLOSE), Dialogue.receive),
    "two large responses": (get("/big") * 2, Dialogue.receive),
    "a large response and a part of the next head": (get("/big") + PART, Dialogue.receive),
    "a large response before the content": (post("/big", b""), Dialogue.receive, b"abc"),
    "a response and a part of the next head": (get("/small") + PART,),
    "the last response": (get("/small", CLOSE),),
    "a large chunk": (get("/big,"), Dialogue.receive),
    "a stream that sleeps": (get("/sleep"), 1.0),
    "a stream that sleeps without room": (get("/small"), fill_buffer, get("/sleep"), Dialogue.receive, 1.0),
    "a stream that sleeps, the last": (get("/sleep", CLOSE), 1.0),
    "a stream that sleeps, then a small chunk": (get("/sleep,small"), 1.0),
    "a stream that sleeps, then a large chunk": (get("/sleep,big"), 1.0, Dialogue.receive),
    "a stream that sleeps before the content": (post("/sleep", b""), 1.0),
    "a stream that sleeps, and a part of the next head": (get("/sleep") + PART, 1.0),
    "a request behind a stream": (get("/sleep"), get("/small"), 1.0),
    "a request behind a stream that sleeps twice": (get("/sleep,sleep"), get("/small"), 1.0, 1.0),
    "a request behind a stream, then a small chunk": (get("/sleep,small"), get("/small"), 1.0),
    "a request behind a stream, then a large chunk": (get("/sleep,big"), get("/small"), 1.0, Dialogue.receive),
    "a request behind the last stream": (get("/sleep", CLOSE), get("/small"), 1.0),
    "a response that is delayed": (get("/delay"), 1.0),
    "a response that is delayed, the last": (get("/delay", CLOSE), 1.0),
    "a response that is delayed, then a small chunk": (get("/delay,small"), 1.0),
    "a response that is delayed, then a large chunk": (get("/delay,big"), 1.0, Dialogue.receive),
    "a response that is delayed before the content": (post("/delay", b""), 1.0),
    "a response that is delayed, and a part of the next head": (get("/delay") + PART, 1.0),
    "content, then a response that is delayed": (post("/read/delay", b""), b"abc", 1.0),
    "content behind a stream": (post("/sleep", b""), b"abc", 1.0),
    "a head in pieces behind a stream": (get("/sleep") + PART, get("/small")[4:], 1.0),
}


def walk(dialogue: Dialogue, steps: tuple[Step, ...]) -> Iterator[tuple[State, State]]:
    """Run all *steps*. Yield each change of the state as a pair."""
    for step in steps:
        if isinstance(step, bytes):
            dialogue.send(step)
        elif isinstance(step, float | int):
            dialogue.pass_time(step)
            dialogue.run()
        else:
            step(dialogue)
    for before, after in zip(dialogue.states, dialogue.states[1:], strict=False):
        if before is not after:
            yield before, after


def test_the_table_has_exactly_the_changes_that_occur(begin: Begin, settings: Settings) -> None:
    settings.handler = checked(respond)
    found: dict[tuple[State, State], str] = {}
    for name, steps in WALKS.items():
        dialogue = begin(buffered_octets=4096)
        for change in walk(dialogue, steps):
            found.setdefault(change, name)
        dialogue.close()

    changes = {change: name for change, name in found.items() if change[1] is not State.CLOSED}
    entries = {entry for entry in table() if entry[1] is not State.CLOSED}
    assert {change: name for change, name in changes.items() if change not in entries} == {}
    assert entries - changes.keys() == set()


def test_the_table_has_all_states() -> None:
    named = {state for entry in table() for state in entry}
    apart = {State.HANDSHAKE_IN, State.HANDSHAKE_OUT, State.SENDING_IN, State.DETACHED}

    assert named | apart == set(State)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (get("/small"),),
        (PART,),
        (get("/suspend/small"),),
        (post("/read/small", b""),),
        (post("/discard/small", b""),),
        (get("/big"),),
        (get("/sleep"),),
        (get("/sleep"), get("/small")),
        (NONSENSE,),
    ],
    ids=[
        "new",
        "idle",
        "receiving",
        "suspended",
        "content",
        "discarding",
        "sending",
        "sleeping",
        "sleeping unread",
        "lingering",
    ],
)
def test_each_state_may_be_the_last(begin: Begin, settings: Settings, steps: tuple[Step, ...]) -> None:
    """In any state, the client may leave or the server may stop."""
    settings.handler = checked(respond)
    dialogue = begin(buffered_octets=4096)
    list(walk(dialogue, steps))
    before = dialogue.connection.state

    dialogue.client.close()
    dialogue.connection.coroutine.close()

    assert before in {State.NEW, *(state for _, state in table())}
    with pytest.raises(StopIteration):
        next(dialogue.connection.coroutine)


# --- In a real event loop -------------------------------------------------------------------------------------------


class RecordedConnection(Connection):
    """A connection that records each state that the event loop sets."""

    __slots__ = ("states",)

    @property
    def state(self) -> State:
        return self.states[-1]

    @state.setter
    def state(self, state: State) -> None:
        if not hasattr(self, "states"):
            self.states: list[State] = []
        self.states.append(state)


def test_the_event_loop_sets_the_same_states(settings: Settings, folder: pathlib.Path) -> None:
    """In this test, requests suspend the handler, block the leader, get a stream, and send content."""
    gate = threading.Event()
    resumes: list[Callable[[], object]] = []
    connections: list[RecordedConnection] = []

    def handler(request: Request, context: Context) -> Any:
        match request.target.path:
            case b"/blocks":
                gate.wait(TIMEOUT_SECONDS)
            case b"/suspends":
                return suspended(context)
        return _respond(request, context)

    def suspended(context: Context) -> Steps[Response]:
        yield from context.suspend(resumes.append)
        return Response(200, (), b"resumed")

    def open_recorded(
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
    ) -> Connection:
        connections.append(RecordedConnection(settings.transport(connected), client, settings, log, tick))
        return connections[-1]

    settings.handler = checked(handler)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port: int = listener.getsockname()[1]
        loop = EventLoop([listener], settings, None, print, open_recorded)
    threads = [threading.Thread(target=loop.run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with connect(port) as client:
            client.sendall(get("/blocks"))
            assert eventually(lambda: bool(connections) and connections[0].state is State.DETACHED)
            gate.set()
            assert receive_answer(client).content == b"small"
            client.sendall(get("/suspends"))
            assert eventually(lambda: bool(resumes))
            resumes[0]()
            assert receive_answer(client).content == b"resumed"
            client.sendall(post("/read/small", b""))
            assert eventually(lambda: connections[0].state is State.CONTENT)
            client.sendall(b"abc")
            assert receive_answer(client).content == b"small"
            assert eventually(lambda: connections[0].state is State.IDLE)
    finally:
        settings.phase = Phase.STOPPING
        loop.stop(TIMEOUT_SECONDS)
        for thread in threads:
            thread.join()

    states = connections[0].states
    changes = [state for state, before in zip(states, [None, *states], strict=False) if state is not before]
    names = [state.name for state in changes]
    assert names == [
        *("NEW", "QUEUED", "DETACHED", "IDLE"),
        *("QUEUED", "SUSPENDED", "QUEUED", "IDLE"),
        *("QUEUED", "CONTENT", "IDLE", "CLOSED"),
    ]
