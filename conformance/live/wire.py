"""Send octets to a server, and receive the octets that come back.

This module knows sockets, but neither the corpus nor any server. Whatever a server sends, no error is raised.

    sent --> exchange() --> received --> read_responses() --> responses, leftover, faults
"""

import re
import selectors
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from .responses import ParsedResponses, Response, read_responses

__all__ = ["ParsedResponses", "Response", "Transcript", "exchange", "read_responses", "reproduce"]

_RECEIVE_OCTETS = 64 * 1024
# With a small send buffer, the octets that the kernel accepts are octets that the server receives.
_SEND_BUFFER_OCTETS = 32 * 1024
_MAX_OCTETS = 64 * 1024 * 1024
_MAX_SECONDS = 20.0
# A run: up to 200 octets, repeated ten times or more.
_RUN = re.compile(rb"(.{1,200}?)\1{9,}", re.DOTALL)
# Shorter runs are not abbreviated.
_MIN_RUN = 100


class Transcript(NamedTuple):
    """One connection: the octets in both directions, and how it ended.

    If *ended_first* is true, the client closed its side before the server. *ended* is one of these:

        closed, reset   the server closed or reset the connection
        timed out       no octet moved for too long
        too slow        the whole exchange took too long, without such a silence
        refused         the connection was never established
        flooded         too many octets arrived
    """

    sent: bytes
    received: bytes
    ended: str
    ended_first: bool = False

    @property
    def is_late(self) -> bool:
        """Whether a time limit ended the exchange."""
        return self.ended in ("timed out", "too slow")


class _Exchange:
    """One connection from its start to its end."""

    def __init__(self, connected: socket.socket, parts: Iterable[bytes]) -> None:
        self._socket = connected
        self._parts = iter(parts)
        self._unsent = b""
        self._writes = True
        self._sent = bytearray()
        self.received = bytearray()
        self.ended_first = False

    def transcript(self, ended: str) -> Transcript:
        """Return the transcript. *ended* says how the connection ended."""
        return Transcript(bytes(self._sent), bytes(self.received), ended, self.ended_first)

    def has_more(self) -> bool:
        """Return whether there is more to send."""
        while self._writes and not self._unsent:
            part = next(self._parts, None)
            if part is None:
                self._writes = False
            else:
                self._unsent = part
        return self._writes

    def send(self) -> None:
        """Send as much as the kernel accepts. After an error, send no more, but continue to receive."""
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
        """Close the client's side of the connection."""
        self.ended_first = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server has closed already.

    def receive(self) -> str | None:
        """Receive once. If the connection has ended, return how it ended. Otherwise return None."""
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
    silence_seconds: float,
    ends: bool,
    max_seconds: float = _MAX_SECONDS,
    quiet_seconds: float | None = None,
    max_octets: int = _MAX_OCTETS,
) -> Transcript:
    """Connect to *address*, send *parts*, and wait until the server closes. Return the transcript.

    If *ends* is true, close the client's side after the last part. If *quiet_seconds* is given, close the client's side
    after this many seconds without input. The exchange stops if no octet moves in either direction for
    *silence_seconds*. The exchange also stops after *max_seconds*, or if more than *max_octets* arrive.
    """
    began = time.monotonic()
    try:
        connected = socket.create_connection(address, timeout=min(silence_seconds, max_seconds))
    except OSError:
        return Transcript(b"", b"", "refused")
    with connected, selectors.DefaultSelector() as selector:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_OCTETS)
        selector.register(connected, selectors.EVENT_READ)
        state = _Exchange(connected, parts)
        clock = _Clock(began + max_seconds, silence_seconds)
        ended = None
        while ended is None:
            has_more = state.has_more()
            if ends and not has_more and not state.ended_first:
                state.end()
            selector.modify(connected, selectors.EVENT_READ | (selectors.EVENT_WRITE if has_more else 0))
            left = clock.left()
            ends_when_quiet = quiet_seconds is not None and not state.ended_first
            events = 0
            for _, mask in selector.select(max(0.0, min(left, quiet_seconds or 0.0) if ends_when_quiet else left)):
                events = mask
            if events & selectors.EVENT_READ:
                ended = state.receive()
            if events & selectors.EVENT_WRITE:
                state.send()
            if events:
                clock.move()
            if ended is None:
                ended = "flooded" if len(state.received) > max_octets else clock.end()
            if not events and ended is None and ends_when_quiet:
                state.end()
        return state.transcript(ended)


class _Clock:
    """The time limits of one exchange: *deadline*, and a silence of *silence_seconds*."""

    def __init__(self, deadline: float, silence_seconds: float) -> None:
        self._deadline = deadline
        self._silence_seconds = silence_seconds
        self._silent_at = time.monotonic() + silence_seconds

    def move(self) -> None:
        """Restart the time limit of a silence, since octets have moved."""
        self._silent_at = time.monotonic() + self._silence_seconds

    def left(self) -> float:
        """Return the seconds until the next limit."""
        return min(self._deadline, self._silent_at) - time.monotonic()

    def end(self) -> str | None:
        """If a limit has been reached, return how the exchange ended. Otherwise return None."""
        if self.left() > 0:
            return None
        return "timed out" if self._silent_at <= self._deadline else "too slow"


def reproduce(host: str, port: int, octets: bytes, *, ends: bool = False) -> str:
    """Return a shell command that sends *octets* and prints the answer. If *ends* is true, nc then closes its side.

    A long repetition is written in short form: ``printf 'a%.0s' $(seq 9000)``.
    """
    commands = []
    position = 0
    for run in _RUN.finditer(octets):
        if len(run[0]) < _MIN_RUN:
            continue
        before, count = octets[position : run.start()], len(run[0]) // len(run[1])
        commands += [f"printf '{_printf_format(before)}'"] if before else []
        commands.append(f"printf '{_printf_format(run[1])}%.0s' $(seq {count})")
        position = run.end()
    if position < len(octets) or not commands:
        commands.append(f"printf '{_printf_format(octets[position:])}'")
    command = commands[0] if len(commands) == 1 else f"{{ {'; '.join(commands)}; }}"
    return f"{command} | nc {'-N ' if ends else ''}{host} {port}"


def _printf_format(octets: bytes) -> str:
    """Return *octets* as a format for printf(1) in single quotes. Unprintable octets are in octal."""
    known = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x5C: r"\\", 0x25: "%%", 0x27: r"\047"}
    shown = [known.get(octet) or (chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03o}") for octet in octets]
    # printf would read a format that starts with a hyphen as an option.
    if shown and shown[0] == "-":
        shown[0] = r"\055"
    return "".join(shown)
