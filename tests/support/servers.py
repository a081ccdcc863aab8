"""Servers made by hand, for bytes that no real one would send: each connection is answered as the test says."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support import PATIENCE_SECONDS, receive_head

Coroutine = Callable[[socket.socket], object]


@contextlib.contextmanager
def playing(*conversations: Coroutine, host: str = "127.0.0.1") -> Iterator[str]:
    """Answer each connection with the next conversation; yield the URL. All conversations must take place."""
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
                # No other client is answered: further clients are refused immediately.
                listener.close()

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}/"
        finally:
            thread.join()
    assert not faults, faults


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Coroutine:
    """Return a conversation that answers requests without content in turn, and records them."""

    def converse(connected: socket.socket) -> None:
        for answer in answers:
            octets = receive_head(connected)
            if seen is not None:
                seen.append(octets)
            connected.sendall(answer)

    return converse


def ok(content: bytes = b"", *field_lines: str, status: str = "200 OK") -> bytes:
    """Return a response with its length."""
    lines = [f"HTTP/1.1 {status}", *field_lines, f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + content
