"""Simulated devices that answer an SSDP search."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.support import TIMEOUT_SECONDS

TO = "127.0.0.1"
NAMELESS = b"HTTP/1.1 200 OK\r\nST: a\r\nUSN: uuid:1::a\r\nLOCATION: nowhere\r\nSERVER: b\r\n\r\n"


@contextlib.contextmanager
def devices(*answers: bytes, host: str = TO) -> Iterator[int]:
    """Yield a port on *host* that waits for one search. Answer the search with the datagrams *answers*."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(TIMEOUT_SECONDS)
        device.bind((host, 0))

        def answer() -> None:
            octets, peer = device.recvfrom(8192)
            assert octets.startswith(b"M-SEARCH * HTTP/1.1\r\n")
            for each in answers:
                device.sendto(each, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield device.getsockname()[1]
        thread.join()
