"""Servers that answer with octets that the test chooses, including octets that no real server sends."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support import PATIENCE_SECONDS, receive_head

Coroutine = Callable[[socket.socket], object]


@contextlib.contextmanager
def playing(*conversations: Coroutine, host: str = "127.0.0.1") -> Iterator[str]:
    """Play the next of *conversations* on each connection; yield the URL. Each conversation must be used once."""
    faults: list[BaseException] = []
    with socket.create_server((host, 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)

        def play() -> None:
            try:
                for coroutine in conversations:
                    connected, _ = listener.accept()
                    with connected:
                        connected.settimeout(PATIENCE_SECONDS)
                        coroutine(connected)
            except BaseException as fault:
                faults.append(fault)
                # Refuse further clients immediately.
                listener.close()

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}/"
        finally:
            thread.join()
    assert not faults, faults


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Coroutine:
    """Return a conversation: it receives a request for each of *answers*, stores the head in *seen*, and answers."""

    def converse(connected: socket.socket) -> None:
        for answer in answers:
            octets = receive_head(connected)
            if seen is not None:
                seen.append(octets)
            connected.sendall(answer)

    return converse


def ok(content: bytes = b"", *field_lines: str, status: str = "200 OK") -> bytes:
    """Return a response with *content*, its Content-Length and *field_lines*."""
    lines = [f"HTTP/1.1 {status}", *field_lines, f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + content
