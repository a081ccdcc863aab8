"""A relay of UDP datagrams that simulates a bad network. It drops, duplicates and reorders datagrams."""

import contextlib
import random
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator


class Relay:
    """A UDP relay on loopback. Datagrams to its *port* go on to the address *to*, and answers come back.

    *fates* yields the fate of each datagram: passed, dropped, doubled or reordered. *done* counts the fates.
    """

    def __init__(self, to: tuple[str, int], fates: Iterator[str]) -> None:
        self._to = to
        self._fates = fates
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._delayed: list[tuple[socket.socket, bytes, tuple[str, int]]] = []
        self._client = ("", 0)
        self.port: int = self._front.getsockname()[1]
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        """Relay datagrams until stop() is called."""
        while True:
            ready, _, _ = select.select([self._front, self._back, self._wakeup_reader], [], [])
            if self._wakeup_reader in ready:
                return
            if self._front in ready:
                octets, self._client = self._front.recvfrom(65536)
                self._pass_on(self._back, octets, self._to)
            if self._back in ready:
                self._pass_on(self._front, self._back.recv(65536), self._client)

    def _pass_on(self, by: socket.socket, octets: bytes, to: tuple[str, int]) -> None:
        fate = next(self._fates)
        self.done[fate] += 1
        if fate == "reordered":
            # A reordered datagram is sent after the next one.
            self._delayed.append((by, octets, to))
            return
        for _ in range({"dropped": 0, "doubled": 2}.get(fate, 1)):
            by.sendto(octets, to)
        for each in self._delayed:
            each[0].sendto(each[1], each[2])
        self._delayed.clear()

    def stop(self) -> None:
        """Make run() return."""
        self._wakeup_writer.send(b"\0")

    def close(self) -> None:
        """Close all sockets of the relay."""
        for each in (self._front, self._back, self._wakeup_reader, self._wakeup_writer):
            each.close()


def fates_of_a_bad_network(
    seed: int, *, drops: float = 0.3, doubles: float = 0.1, reorders: float = 0.1
) -> Iterator[str]:
    """Yield a random fate for each datagram. The sequence depends only on *seed*."""
    chance = random.Random(seed)
    while True:
        yield chance.choices(
            ["passed", "dropped", "doubled", "reordered"], [1 - drops - doubles - reorders, drops, doubles, reorders]
        )[0]


@contextlib.contextmanager
def relaying(to: tuple[str, int], fates: Iterator[str]) -> Iterator[Relay]:
    """Relay datagrams to the address *to* until the block ends."""
    relay = Relay(to, fates)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()
        relay.close()
