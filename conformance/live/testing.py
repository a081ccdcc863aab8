"""Helpers of the tests: servers that run a script, and a call of the command ``check``."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conformance.__main__ import main

Script = Callable[[socket.socket], object]


@contextmanager
def serving(script: Script) -> Iterator[tuple[str, int]]:
    """Run a server that calls *script* with each connection, each time in a new thread. Yield the server's address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    is_over = threading.Event()
    threads = []

    def serve_one(connected: socket.socket) -> None:
        # An OSError means that the client has closed the connection.
        with connected, suppress(OSError):
            script(connected)

    def serve() -> None:
        while True:
            connected, _ = listener.accept()
            if is_over.is_set():
                connected.close()
                return
            thread = threading.Thread(target=serve_one, args=(connected,))
            thread.start()
            threads.append(thread)

    acceptor = threading.Thread(target=serve)
    acceptor.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        is_over.set()
        socket.create_connection(listener.getsockname()).close()
        acceptor.join()
        for thread in threads:
            thread.join()
        listener.close()


def wait(connected: socket.socket) -> None:
    """Answer nothing, and wait until the client closes."""
    while connected.recv(65536):
        pass


def reset(connected: socket.socket) -> None:
    """Set a socket option, so that closing the connection sends a reset (RST)."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def url_of(address: tuple[str, int]) -> str:
    """Return the URL of the server at *address*."""
    return f"http://{address[0]}:{address[1]}/"


def run_check(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command ``check`` with *arguments*. Return the exit code, and the results by name."""
    output = folder / "results.json"
    code = main(["check", *arguments, "--json", str(output)])
    return code, {result["name"]: result for result in json.loads(output.read_text(encoding="utf-8"))}
