"""Servers that send whatever a test wants, including octets that no real server sends."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support import TIMEOUT_SECONDS, receive_head

Script = Callable[[socket.socket], object]


@contextlib.contextmanager
def playing(*scripts: Script, host: str = "127.0.0.1") -> Iterator[str]:
    """Run a server on a free port and yield its URL. The first script serves the first connection, and so on.

    Each script must be used exactly once.
    """
    faults: list[BaseException] = []
    with socket.create_server((host, 0)) as listener:
        listener.settimeout(TIMEOUT_SECONDS)

        def play() -> None:
            try:
                for script in scripts:
                    connected, _ = listener.accept()
                    with connected:
                        connected.settimeout(TIMEOUT_SECONDS)
                        script(connected)
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


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Script:
    """Return a script that sends *answers*, one for each request.

    The script adds the request heads to *seen*.
    """

    def script(connected: socket.socket) -> None:
        for answer in answers:
            octets = receive_head(connected)
            if seen is not None:
                seen.append(octets)
            connected.sendall(answer)

    return script


def ok(content: bytes = b"", *field_lines: str, status: str = "200 OK") -> bytes:
    """Return the octets of a response with *content* and a Content-Length."""
    lines = [f"HTTP/1.1 {status}", *field_lines, f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + content
