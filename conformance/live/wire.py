"""The wire: octets sent to a server, octets that come back, and a strict reader of responses.

It knows sockets and RFC 9112 §4 to §8, and neither the corpus nor any server. Responses are data here:
no octets raise an error. A *fault* is a sentence about octets that no server may send, with its section.

    sent --> exchange() --> received --> read_responses() --> responses, leftover, faults
"""

import re
import selectors
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from .responses import Reading, Response, read_responses

__all__ = ["Reading", "Response", "Transcript", "exchange", "read_responses", "reproduce"]

_RECEIVE_OCTETS = 64 * 1024
_MAX_OCTETS = 64 * 1024 * 1024
# A few octets that come a hundred times.
_RUN = re.compile(rb"(.{1,8}?)\1{99,}", re.DOTALL)


class Transcript(NamedTuple):
    """One connection: the octets that were *sent* and *received*, and how it ended.

    *ended* is "closed", "reset", "timed out", "refused" (never connected) or "flooded" (more octets than are kept).
    *ended_first* says whether our side had ended before the server's.
    """

    sent: bytes
    received: bytes
    ended: str
    ended_first: bool = False


class _Exchange:
    """One connection while it lasts."""

    def __init__(self, connected: socket.socket, parts: Iterable[bytes]) -> None:
        self._socket = connected
        self._parts = iter(parts)
        self._unsent = b""
        self._writes = True
        self._sent = bytearray()
        self.received = bytearray()
        self.ended_first = False

    def transcript(self, ended: str) -> Transcript:
        """Return what happened."""
        return Transcript(bytes(self._sent), bytes(self.received), ended, self.ended_first)

    def has_more(self) -> bool:
        """Return whether there is something left to send."""
        while self._writes and not self._unsent:
            part = next(self._parts, None)
            if part is None:
                self._writes = False
            else:
                self._unsent = part
        return self._writes

    def send(self) -> None:
        """Send as much as the kernel takes. A server that has closed may have sent a reason, so keep reading."""
        try:
            count = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._writes, self._unsent = False, b""
            return
        self._sent += self._unsent[:count]
        self._unsent = self._unsent[count:]

    def end(self) -> None:
        """End our side of the connection."""
        self.ended_first = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server was faster.

    def receive(self) -> str | None:
        """Receive once, and return how the connection ended, or None if it is still open."""
        try:
            octets = self._socket.recv(_RECEIVE_OCTETS)
        except BlockingIOError:
            return None
        except OSError:
            return "reset"
        self.received += octets
        return None if octets else "closed"


def exchange(
    address: tuple[str, int],
    parts: Iterable[bytes],
    *,
    seconds: float,
    ends: bool,
    patience: float | None = None,
    max_octets: int = _MAX_OCTETS,
) -> Transcript:
    """Connect to *address*, send *parts* one after the other, and return what came back until the server closed.

    *ends* says whether our side is ended as soon as all is sent. With *patience* it is ended after that many seconds of
    silence. The exchange ends after *seconds* in all, or *max_octets* received.
    """
    deadline = time.monotonic() + seconds
    try:
        connected = socket.create_connection(address, timeout=seconds)
    except OSError:
        return Transcript(b"", b"", "refused")
    with connected, selectors.DefaultSelector() as selector:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connected, selectors.EVENT_READ)
        state = _Exchange(connected, parts)
        ended = None
        while ended is None:
            has_more = state.has_more()
            if ends and not has_more and not state.ended_first:
                state.end()
            selector.modify(connected, selectors.EVENT_READ | (selectors.EVENT_WRITE if has_more else 0))
            left = deadline - time.monotonic()
            is_patient = patience is None or state.ended_first
            events = 0
            for _, mask in selector.select(max(0.0, left if is_patient else min(left, patience or 0.0))):
                events = mask
            if events & selectors.EVENT_READ:
                ended = state.receive()
            if events & selectors.EVENT_WRITE:
                state.send()
            if ended is None:
                ended = _limit(max_octets - len(state.received), deadline)
            if not events and ended is None and not is_patient:
                state.end()
        return state.transcript(ended)


def _limit(spare_octets: int, deadline: float) -> str | None:
    """Return how a connection ends that has reached a limit of ours, or None."""
    if spare_octets < 0:
        return "flooded"
    return "timed out" if time.monotonic() >= deadline else None


def reproduce(host: str, port: int, octets: bytes, *, ends: bool = False) -> str:
    """Return a shell line that sends *octets* to a server and prints its answer; *ends* our side behind them if asked.

    A long repetition is written once: ``printf 'a%.0s' $(seq 9000)``.
    """
    commands = []
    position = 0
    for run in _RUN.finditer(octets):
        before, count = octets[position : run.start()], len(run[0]) // len(run[1])
        commands += [f"printf '{_printf_format(before)}'"] if before else []
        commands.append(f"printf '{_printf_format(run[1])}%.0s' $(seq {count})")
        position = run.end()
    if position < len(octets) or not commands:
        commands.append(f"printf '{_printf_format(octets[position:])}'")
    command = commands[0] if len(commands) == 1 else f"{{ {'; '.join(commands)}; }}"
    return f"{command} | nc {'-N ' if ends else ''}{host} {port}"


def _printf_format(octets: bytes) -> str:
    """Return *octets* as the format of printf(1) within single quotes; unprintable octets are in octal."""
    known = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x5C: r"\\", 0x25: "%%", 0x27: r"\047"}
    shown = [known.get(octet) or (chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03o}") for octet in octets]
    # A format that starts with a hyphen would be taken for an option.
    if shown and shown[0] == "-":
        shown[0] = r"\055"
    return "".join(shown)
