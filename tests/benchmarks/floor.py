"""The floor: what a Python loop of epoll, recv and send of fixed octets reaches when nothing is parsed.

Run as ``python3 -m tests.benchmarks.floor PORT LENGTH``; answers anything with LENGTH octets of content. Linux only.
"""

import select
import socket
import sys


def main(port: int, length: int) -> None:
    """Answer every read with the same octets, for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, bytes(length))
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


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
