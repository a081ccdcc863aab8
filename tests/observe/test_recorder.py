"""The recorder: event history, notices of dropped events, counters, and events of the server itself."""

import os
import pathlib
from typing import Any

import pytest

from httpsock.observe import recorder as inspector_module
from httpsock.observe.recorder import _BATCH, _HEARTBEAT_SECONDS, _SHOWN_OCTETS, EventStream, InspectedTracer, Recorder
from httpsock.server.access_log import Exchange
from httpsock.tracing.events import Event
from httpsock.tracing.trace import TraceWriter
from tests.support.inspect import Message, read_messages
from tests.support.rows import each_row


def messages_of(recorder: Recorder, last_event_id: bytes = b"") -> list[Message]:
    """Return the messages that a new reader gets immediately."""
    return read_messages(EventStream(recorder, last_event_id, 0).next(0).decode())


def names(recorder: Recorder) -> list[str]:
    """Return the names of the recorded events."""
    return [message.data["event"] for message in messages_of(recorder) if message.event == ""]


def record_some(recorder: Recorder, count: int) -> None:
    """Record *count* events of one connection."""
    emit = recorder.tracer("127.0.0.1:5000")
    for number in range(count):
        emit("send", {"octets": number})


def exchange(request_line: bytes, status: int = 200, seconds: float = 0.001) -> Exchange:
    return Exchange(0.0, "127.0.0.1", request_line, status, 1, 1, seconds)


# --- The history ----------------------------------------------------------------------------------------------------


def test_a_new_reader_gets_the_recent_events() -> None:
    recorder = Recorder(max_events=3)
    record_some(recorder, 5)
    messages = messages_of(recorder)
    assert [message.data.get("octets") for message in messages[:3]] == [2, 3, 4]
    assert [message.id for message in messages[:3]] == [f"{recorder.name}-{number}" for number in (3, 4, 5)]


def test_events_of_the_start_are_never_dropped() -> None:
    recorder = Recorder(max_events=3)
    for _ in range(20):
        recorder.server("listen", {"address": "127.0.0.1:8000", "backlog": 1024})
    record_some(recorder, 5)
    events = [message for message in messages_of(recorder) if not message.event]
    assert [event.data["event"] for event in events] == ["listen"] * 16 + ["send"] * 3
    assert [event.id for event in events[:16]] == [""] * 16
    again = [message for message in messages_of(recorder, events[-1].id.encode()) if not message.event]
    assert again == [], "a returning reader has seen it"


def test_events_of_the_server_itself_are_recorded_immediately() -> None:
    recorder = Recorder()
    recorder.server("recvfrom", {"octets": 3, "address": "192.0.2.1:1900"}, b"", b"abc")
    recorder.server("parse", {"method": "M-SEARCH", "target": "*"}, b"M-SEARCH * HTTP/1.1\r\n\r\n")
    assert names(recorder) == ["recvfrom", "parse"]


def test_datagrams_are_not_joined() -> None:
    recorder = Recorder()
    for octets in (b"NOTIFY * HTTP/1.1\r\nCookie: se", b"M-SEARCH * HTTP/1.1\r\n"):
        recorder.server("recvfrom", {"octets": len(octets)}, b"", octets)
    shown = [bytes.fromhex(message.data["hex"]) for message in messages_of(recorder) if not message.event]
    assert shown == [b"NOTIFY * HTTP/1.1\r\nCookie: **", b"M-SEARCH * HTTP/1.1\r\n"]


def test_the_size_of_the_history_is_limited_in_octets() -> None:
    recorder = Recorder(max_octets=10 * 1024)
    emit = recorder.tracer("")
    for _ in range(100):
        emit("stat", {"name": "y" * 1000, "octets": 3}, b"x" * 3000)
    assert len(recorder._events) == 2
    assert recorder._memory <= 10 * 1024


def test_an_event_is_the_object_of_the_trace_and_the_first_of_its_octets() -> None:
    recorder = Recorder()
    recorder.tracer("127.0.0.1:5000")(
        "send", {"octets": 2000, "content": 1981}, b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 2000
    )
    (event,) = [message.data for message in messages_of(recorder) if message.event == ""]
    del event["time"], event["microseconds"]
    assert event == {
        "process": os.getpid(),
        "connection": 1,
        "peer": "127.0.0.1:5000",
        "event": "send",
        "octets": 2000,
        "content": 1981,
        "head": ["HTTP/1.1 200 OK", ""],
        "hex": "61" * _SHOWN_OCTETS,
    }


def test_the_size_of_each_batch_is_limited() -> None:
    recorder = Recorder()
    record_some(recorder, _BATCH + 1)
    feed = EventStream(recorder, b"", 0)
    assert feed.next(0).count(b"id: ") == _BATCH
    assert feed.next(0).count(b"id: ") == 1
    assert feed.next(0) == b""


# --- Missed events --------------------------------------------------------------------------------------------------


def test_a_slow_reader_learns_how_many_events_it_missed() -> None:
    recorder = Recorder(max_events=3)
    record_some(recorder, 2)
    feed = EventStream(recorder, b"", 0)
    feed.next(0)
    record_some(recorder, 5)
    lost, *rest = read_messages(feed.next(0).decode())
    assert (lost.id, lost.data["event"], lost.data["events"]) == ("", "lost", 2)
    assert [message.data.get("octets") for message in rest if not message.event] == [2, 3, 4]


@each_row(
    ("last_event_id", "expected"),
    [
        pytest.param("{}-3", [4, 5], id="continues after the last event received"),
        pytest.param("{}-5", [], id="has seen all"),
        pytest.param("{}-6", [1, 2, 3, 4, 5], id="of the future"),
        pytest.param("{}-", [1, 2, 3, 4, 5], id="without a number"),
        pytest.param("{}-" + "9" * 30, [1, 2, 3, 4, 5], id="absurd"),
        pytest.param("{}-\xb2", [1, 2, 3, 4, 5], id="no ASCII digit"),
        pytest.param("0000-3", [1, 2, 3, 4, 5], id="of the server before"),
    ],
)
def test_a_returning_reader_resumes_after_its_last_event(last_event_id: str, expected: list[int]) -> None:
    recorder = Recorder()
    record_some(recorder, 5)
    messages = messages_of(recorder, last_event_id.format(recorder.name).encode("latin-1"))
    assert [int(message.id.partition("-")[2]) for message in messages if message.id] == expected


def test_a_reader_that_returns_too_late_learns_how_many_events_it_missed() -> None:
    recorder = Recorder(max_events=2)
    record_some(recorder, 5)
    lost, *_ = messages_of(recorder, f"{recorder.name}-1".encode())
    assert lost.data["events"] == 2


def test_an_idle_stream_sends_a_comment_as_heartbeat() -> None:
    feed = EventStream(Recorder(), b"", 0)
    assert feed.next(0).startswith(b"event: counters\n")
    assert feed.next(_HEARTBEAT_SECONDS / 2) == b""
    assert feed.next(_HEARTBEAT_SECONDS) == b":\n\n"
    assert feed.next(_HEARTBEAT_SECONDS + 1) == b""


# --- Counters -------------------------------------------------------------------------------------------------------


def test_dropped_events_are_counted() -> None:
    recorder = Recorder(max_events=1)
    one, other = recorder.tracer("a:1"), recorder.tracer("b:2")
    for emit in (one, other):
        emit("accept")
        emit("recv", {"octets": 100}, b"", b"x")
        emit("recv", {"error": "EAGAIN", "message": "it would have to wait"})
        emit("send", {"octets": 10})
        emit("sendfile", {"octets": 1000})
    one("close")
    recorder.counting(None)([exchange(b"GET / HTTP/1.1", 200, 0.0000005), exchange(b"GET /x HTTP/1.1", 404, 1e9)])
    counters = recorder.counters()
    latencies = counters.pop("latencies")
    assert (latencies[0], latencies[-1], sum(latencies)) == (1, 1, 2)
    assert counters.pop("started") > 0
    assert counters == {
        "process": os.getpid(),
        "accepted": 2,
        "open": 1,
        "connections": [2],
        "streams": [],
        "requests": 2,
        "statuses": {200: 1, 404: 1},
        "received": 200,
        "sent": 2020,
    }


def test_counted_exchanges_reach_the_log_and_requests_of_the_page_do_not_count() -> None:
    logged: list[Any] = []
    recorder = Recorder()
    batch = [exchange(b"GET /.httpsock/ HTTP/1.1"), exchange(b"GET / HTTP/1.1"), exchange(b"\x16\x03")]
    recorder.counting(logged.extend)(batch)
    assert logged == batch
    assert recorder.counters()["requests"] == 2


def test_counters_are_sent_when_they_have_changed() -> None:
    recorder = Recorder()
    feed = EventStream(recorder, b"", 0)
    feed.next(0)
    recorder.streaming(7, is_on=True)
    (message,) = read_messages(feed.next(0).decode())
    assert (message.event, message.data["streams"]) == ("counters", [7])
    recorder.streaming(7, is_on=False)
    assert read_messages(feed.next(0).decode())[0].data["streams"] == []


# --- Recorded requests ----------------------------------------------------------------------------------------------


def test_requests_to_the_inspector_are_not_recorded() -> None:
    recorder = Recorder()
    emit = recorder.tracer("a:1")
    for name in ("accept", "wait", "recv", "parse"):
        emit(name, {"octets": 1})
    emit.set_own(is_own=True)
    emit("send", {"octets": 1})
    emit("wait")
    assert names(recorder) == ["accept", "wait"]
    # The next request on the same connection is recorded.
    emit("recv", {"octets": 1})
    emit("parse")
    emit.set_own(is_own=False)
    emit("send", {"octets": 1})
    assert names(recorder) == ["accept", "wait", "recv", "parse", "send"]


def test_a_reader_that_saw_a_connection_begin_sees_it_end() -> None:
    recorder = Recorder()
    emit = recorder.tracer("a:1")
    emit("accept")
    emit.set_own(is_own=True)
    emit("send", {"octets": 1})
    emit("close")
    assert names(recorder) == ["accept", "close"]


def test_an_incomplete_head_is_recorded_before_its_target_is_known() -> None:
    recorder = Recorder()
    emit = recorder.tracer("a:1")
    emit("recv", {"octets": 1})
    assert names(recorder) == []
    emit("wait", {"for": "the rest of the head"})
    assert names(recorder) == ["recv", "wait"]


def test_credentials_are_masked_however_they_are_cut() -> None:
    recorder = Recorder()
    emit = recorder.tracer("a:1")
    head = b"GET / HTTP/1.1\r\nCookie: secret=" + b"s" * 2000 + b"\r\nHost: localhost\r\n\r\n"
    for offset in range(0, len(head), 700):
        emit("recv", {"octets": 700}, b"", head[offset : offset + 700])
    emit("parse", {}, head)
    emit("wait")
    messages = [message.data for message in messages_of(recorder) if message.event == ""]
    shown = b"".join(bytes.fromhex(event.get("hex", "")) for event in messages)
    assert b"s" * 5 not in shown
    assert shown.endswith(b"\r\nHost: localhost\r\n\r\n")
    assert "Cookie: ***" in messages[-2]["head"]


def test_a_trace_beside_the_recorder_gets_the_same_events(tmp_path: pathlib.Path) -> None:
    written = []

    def note(event: Event) -> str:
        written.append((event.connection, event.name))
        return ""

    with (tmp_path / "trace").open("wb") as file:
        trace = TraceWriter(note, file.fileno(), only="192.0.2.7")
        recorder = Recorder(trace)
        recorder.start()
        recorder.server("listen")
        ours, theirs = recorder.tracer("192.0.2.7:1"), recorder.tracer("[2001:db8::1]:2")
        assert isinstance(ours, InspectedTracer)
        for emit in (ours, theirs):
            emit("recv", {"octets": 1})
            emit.set_path(b"/.httpsock/events")
            emit("parse")
            emit.set_own(is_own=True)
            emit("send", {"octets": 1})
            emit.is_silent = True
            emit("send", {"octets": 1})
            emit.is_silent = False
            emit("close")
        recorder.finish()
    assert written == [(0, "listen"), (1, "recv"), (1, "parse"), (1, "send"), (1, "close")]
    assert names(recorder) == ["listen", "close", "close"]


def test_without_a_trace_start_and_finish_have_no_effect() -> None:
    recorder = Recorder()
    recorder.start()
    recorder.finish()
    assert names(recorder) == []


# --- Many readers ---------------------------------------------------------------------------------------------------


def test_an_event_is_formatted_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    record_some(recorder, 10)
    formatted: list[Event] = []
    written = inspector_module._object

    def counting(event: Event) -> str:
        formatted.append(event)
        return written(event)

    monkeypatch.setattr(inspector_module, "_object", counting)
    streams = [EventStream(recorder, b"", 0).next(0) for _ in range(100)]
    assert len(formatted) == 10
    assert len(set(streams)) == 1


def test_formatted_events_are_dropped_after_their_tick() -> None:
    recorder = Recorder()
    record_some(recorder, 3 * _BATCH)
    feed = EventStream(recorder, b"", 0)
    for _ in range(3):
        feed.next(0)
    assert len(recorder._messages) == _BATCH
