"""The floor: a minimal Python server without a parser, to measure how fast any Python server could be.

``python3 -m tests.benchmarks.floor PORT FILE`` loops over epoll, recv and send. It answers every request with the
content of FILE. Linux only.
"""

import pathlib
import select
import socket
import sys

# As many fields as a server for files sends.
_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "Date: Sun, 22 Nov 2026 14:03:59 GMT\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Length: {length}\r\n"
    "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    'ETag: "6553f100-400"\r\n'
    "Accept-Ranges: bytes\r\n"
    "\r\n"
)


def main(port: int, content: bytes) -> None:
    """Answer every read with the same octets, forever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    answer = _HEAD.format(length=len(content)).encode("ascii") + content
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poller.poll():
            client = clients.get(descriptor)
            if client is None:
                client, _ = listener.accept()
                client.setblocking(False)
                clients[client.fileno()] = client
                poller.register(client.fileno(), select.EPOLLIN)
                continue
            try:
                if client.recv(65536):
                    client.send(answer)
                    continue
            except OSError:
                pass
            del clients[descriptor]
            client.close()


def _arguments() -> tuple[int, bytes]:
    # Importing argparse would lengthen the start-up time, which is measured.
    port, file = [*sys.argv[1:], "", ""][:2]
    if len(sys.argv) != 3 or not port.isdecimal() or int(port) > 65535 or not pathlib.Path(file).is_file():
        sys.stderr.write("python3 -m tests.benchmarks.floor PORT FILE: a port, and a file that exists\n")
        sys.exit(2)
    return int(port), pathlib.Path(file).read_bytes()


if __name__ == "__main__":
    main(*_arguments())
