"""A lossy network path: TCP delivers everything over it, but UDP loses datagrams.

``python3 -m tests.support.lossy_path`` prints the figures.

The path is a tunnel in a separate network namespace. It needs Linux, unshare, ip and /dev/net/tun. This program reads
each IP packet from the tunnel. It drops, duplicates or delays the packet, exchanges its two addresses, and writes it
back. The unused address 10.9.0.2 therefore seems to be this machine at the far end of the path:

    client 10.9.0.1 → 10.9.0.2        [dropped, duplicated, delayed]        10.9.0.2 → 10.9.0.1 server
"""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpsock
from tests.support.arguments import ArgumentParser
from tests.support.relay import fates_of_a_bad_network

HERE, THERE = "10.9.0.1", "10.9.0.2"
UNSHARE = ["unshare", "--map-root-user", "--net"]
# The receive buffer holds this many datagrams, so that all losses occur on the path.
DATAGRAMS = 200
OCTETS = 400_000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


@contextlib.contextmanager
def bad_path(fates: Iterator[str]) -> Iterator[Counter[str]]:
    """Open the path. Yield a counter of packets by fate. The counter grows while the program runs."""
    tunnel = os.open("/dev/net/tun", os.O_RDWR)
    import fcntl

    fcntl.ioctl(tunnel, _TUNSETIFF, struct.pack("16sH22x", b"bad0", _IFF_TUN | _IFF_NO_PI))
    for command in ("ip link set lo up", f"ip address add {HERE}/24 dev bad0", "ip link set bad0 up"):
        subprocess.run(command.split(), check=True)
    done: Counter[str] = Counter()
    threading.Thread(target=_relay, args=(tunnel, fates, done), daemon=True).start()
    yield done


def _relay(tunnel: int, fates: Iterator[str], done: Counter[str]) -> None:
    """Read packets forever. Count the fate of each packet in *done*. Send the packet back according to its fate."""
    held: list[bytes] = []
    while True:
        packet = os.read(tunnel, 65536)
        if packet[0] >> 4 != 4:
            continue
        # Exchange the addresses; their sum, and so all checksums, stay the same.
        packet = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
        fate = next(fates)
        done[fate] += 1
        if fate == "reordered":
            held.append(packet)
            continue
        for each in [*[packet] * {"dropped": 0, "doubled": 2}.get(fate, 1), *held]:
            # A packet that the tunnel refuses is lost.
            with contextlib.suppress(OSError):
                os.write(tunnel, each)
        held.clear()


def by_udp(done: Counter[str]) -> dict[str, object]:
    """Send numbered datagrams over the path. Return how many were lost, came twice, or overtook others."""
    done.clear()
    arrived = []
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind((HERE, 0))
        server.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for number in range(DATAGRAMS):
                client.sendto(b"%d" % number, (THERE, server.getsockname()[1]))
            while True:
                arrived.append(int(server.recv(100)))
    return {
        "sent": DATAGRAMS,
        "lost": DATAGRAMS - len(set(arrived)),
        "came twice": len(arrived) - len(set(arrived)),
        "overtaken": sum(later < earlier for earlier, later in itertools.pairwise(arrived)),
        "arrived": " ".join(map(str, arrived)),
        "packets on the path": dict(done),
    }


def by_tcp(done: Counter[str]) -> dict[str, object]:
    """Download a file over the path. Return the time, and whether the content is right."""
    done.clear()
    content = os.urandom(OCTETS)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "file").write_bytes(content)
        with httpsock.Server(folder, hosts=[HERE], port=0) as server, httpsock.Client() as client:
            began = time.monotonic()
            with client.get(f"http://{THERE}:{server.port}/file") as response:
                received = response.read()
            seconds = time.monotonic() - began
    is_whole = hashlib.sha256(received).digest() == hashlib.sha256(content).digest()
    return {"octets": OCTETS, "whole": is_whole, "seconds": round(seconds, 2), "packets on the path": dict(done)}


def main() -> None:
    """Send data over the path by UDP and by TCP. Print the figures as JSON."""
    parser = ArgumentParser("tests.support.lossy_path", __doc__)
    parser.add_argument("inside", nargs="?", choices=["inside"], help="the network namespace has been made")
    options = parser.parse_args()
    try:
        if not options.inside:
            os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, "-m", "tests.support.lossy_path", "inside"])
        with bad_path(fates_of_a_bad_network(1, drops=0.1, doubles=0.05, reorders=0.05)) as done:
            print(json.dumps({"UDP": by_udp(done), "TCP": by_tcp(done)}, indent=2))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the path can't be made here, which takes Linux, unshare, ip, and the right to use them: {error}")


if __name__ == "__main__":
    main()
