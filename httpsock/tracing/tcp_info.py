"""The kernel's view of a TCP connection: the state of flow control and congestion control.

A connected socket comes in. The numbers of Linux's TCP_INFO go out (struct tcp_info in linux/tcp.h).

RFC 9293 §3.8 (the window that a receiver offers), RFC 5681 (congestion window), RFC 6298 (round trip).
"""

import contextlib
import socket
import struct
import sys

# The offset and format of each number in the structure; Linux has had them all since 5.4.
_NUMBERS = {
    "segment_octets": (16, "I"),
    "round_trip_us": (68, "I"),
    "round_trip_variation_us": (72, "I"),
    "congestion_window_segments": (80, "I"),
    "retransmits": (100, "I"),
    "octets_acknowledged": (120, "Q"),
    "least_round_trip_us": (148, "I"),
    "limited_by_window_us": (176, "Q"),
    "peer_window_octets": (228, "I"),
}
_SIZE = 232


def tcp_info(connected: socket.socket) -> dict[str, int] | None:
    """Return the kernel's numbers for a connection. If the system does not provide these numbers, return None."""
    if not sys.platform.startswith("linux"):
        return None
    structure = b""
    # The socket may not be a TCP socket.
    with contextlib.suppress(OSError):
        structure = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    if len(structure) < _SIZE:
        return None
    return {name: struct.unpack_from(f"={kind}", structure, offset)[0] for name, (offset, kind) in _NUMBERS.items()}


def format_tcp_info(info: dict[str, int]) -> tuple[str, str]:
    """Return *info* as two lines of text."""
    return (
        "round trip {round_trip_us:,} ± {round_trip_variation_us:,} µs, least {least_round_trip_us:,}; "
        "retransmits {retransmits:,}; acknowledged {octets_acknowledged:,}".format(**info),
        "congestion window {congestion_window_segments:,} × {segment_octets:,}; "
        "peer's window {peer_window_octets:,}, waited for {limited_by_window_us:,} µs".format(**info),
    )
