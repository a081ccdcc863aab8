"""Clients that leave: during a download, after closing one side, or before the server accepts them."""

import socket

from tests.support import eventually, get, reset

from .subject import Row, Subject, ask, connect, serving, site


def run(server: str, *, is_long: bool) -> list[Row]:
    """Reset many downloads and many idle connections, and half-close other connections.

    The server must use no more resources than before.
    """
    count = 2000 if is_long else 200
    with site() as root, serving(root, server) as subject:
        ask(subject.port, get("/hello.txt") * 100)
        if server == "httpsock":
            # By then the thread that writes the log has started.
            eventually(lambda: subject.log().count("/hello.txt") == 100)
        settled = subject.descriptors(), subject.threads()
        memory = subject.memory_kib()
        for _ in range(count):
            client = connect(subject.port, get("/large.bin"))
            client.recv(1)
            reset(client)
        for _ in range(count):
            reset(connect(subject.port))
        halves = sum(_half_closed(subject) for _ in range(count // 10))
        eventually(lambda: subject.descriptors() <= settled[0] and subject.threads() == settled[1])
        after = subject.descriptors(), subject.threads()
        grown = subject.memory_kib() - memory
        rows = [
            Row("descriptors", f"{settled[0]} before, {after[0]} after", "no more", after[0] <= settled[0]),
            Row("threads", f"{settled[1]} before, {after[1]} after", "as many", after[1] == settled[1]),
            Row("memory", f"{grown:+} KiB", "< 2 MiB more", grown < 2048),
            Row("half-closed senders", f"{halves} of {count // 10} answered whole", "all", halves == count // 10),
        ]
        if server == "httpsock":
            eventually(lambda: subject.log().count("/large.bin") == count)
            lines = subject.log().count("GET /large.bin")
            rows += [
                Row("one log line each", f"{lines} lines for {count} resets", "one each", lines == count),
                Row("tracebacks", str(subject.log().count("Traceback")), "0", "Traceback" not in subject.log()),
            ]
        return rows


def _half_closed(subject: Subject) -> bool:
    with connect(subject.port, get("/hello.txt") * 3) as client:
        client.shutdown(socket.SHUT_WR)
        octets = b""
        while part := client.recv(65536):
            octets += part
    return octets.count(b"Hello, socket.\n") == 3
