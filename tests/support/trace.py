"""Traces of real exchanges. Parts that differ from run to run can be replaced."""

import pathlib
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Self

import httpsock
from httpsock.observe.traced import Instrumentation
from httpsock.tracing.events import Event, Format, TextFormatter
from httpsock.tracing.trace import TraceWriter
from tests.support import TIMEOUT_SECONDS

_TRACES = pathlib.Path(__file__).parents[1] / "traces"
_ALIKE: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    # The port of a peer, and the time.
    (r"^(#\d+ 127\.0\.0\.1):\d+ +[\d.]+ (?:µs|ms|s)  ", r"\1:PORT  TIME  "),
    (r"^(server|client) +[\d.]+ (?:µs|ms|s)  ", r"\1  TIME  "),
    (r"(127\.0\.0\.1|0\.0\.0\.0|\[::1\]):\d+", r"\1:PORT"),
    (r"< Date: [^\n]+", "< Date: DATE"),
    (r"< Last-Modified: [^\n]+", "< Last-Modified: DATE"),
    # The entity-tag of a large file depends on its inode and times. It is weak if the file has just changed.
    (r'< ETag: (?:W/)?"[0-9a-f]+-[0-9a-f]+"', '< ETag: "LENGTH-DIGEST"'),
    # Therefore the length of such a head differs.
    (r'  send \d+\n((?:      <[^\n]*\n)*?      < ETag: "LENGTH-DIGEST"\n)', r"  send N\n\1"),
    # The identity of a device, and the URL of its description.
    (r"(sendto|recvfrom) \d+ ", r"\1 N "),
    (r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID"),
    (r"/\.httpsock-[0-9a-f]{32}\.xml", "/.httpsock-NAME.xml"),
    (r"BOOTID\.UPNP\.ORG: \d+", "BOOTID.UPNP.ORG: N"),
    (r"SERVER: .* UPnP/2.0 httpsock", "SERVER: SYSTEM UPnP/2.0 httpsock"),
    # The size of a folder depends on the file system.
    (r": folder, \d+ bytes", ": folder, N bytes"),
    # The server may or may not have to wait for the end of the peer's side.
    (r"^#.*recv: EAGAIN.*\n#.*wait for the peer's end.*\n", ""),
    (r"User-Agent: curl/[\d.]+", "User-Agent: curl/VERSION"),
    (r"(?m)^      = .*$", lambda match: re.sub(r"\d+(?:,\d+)*", "N", match[0])),
]


def alike(trace: str) -> str:
    """Replace the parts of *trace* that differ from run to run."""
    for pattern, replacement in _ALIKE:
        trace = re.sub(pattern, replacement, trace, flags=re.MULTILINE)
    return trace


def golden(name: str) -> str:
    """Return the recorded trace *name*."""
    collected = (_TRACES / f"{name}.txt").read_text(encoding="utf-8")
    # Only Linux reports the kernel's figures.
    return collected if sys.platform.startswith("linux") else re.sub(r"(?m)^      = .*\n", "", collected)


class CollectedTrace(TraceWriter):
    """A trace that collects its events in a list."""

    def __init__(self, *, wants_octets: bool = False, is_client: bool = True, only: str = "") -> None:
        self.events: list[Event] = []
        self._text = TextFormatter(is_client=is_client)
        super().__init__(self._collect, -1, only=only, wants_octets=wants_octets)

    def _collect(self, event: Event) -> str:
        self.events.append(event)
        return ""

    @property
    def names(self) -> list[str]:
        """The names of the events."""
        return [event.name for event in self.events]

    @property
    def text(self) -> str:
        """The trace as text. The parts that differ from run to run are replaced."""
        return alike("".join(map(self._text, self.events)))


class Traced:
    """A server with a trace. It runs until the block ends. Then *output* is its trace."""

    def __init__(
        self,
        folder: pathlib.Path | None,
        format_event: Format | None = None,
        *,
        only: str = "",
        wants_octets: bool = False,
        descriptor: int | None = None,
        **settings: Any,
    ) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the block)
        if descriptor is None:
            descriptor = self._file.fileno()
        self._format = format_event or TextFormatter()
        self._trace = TraceWriter(self._count, descriptor, only=only, wants_octets=wants_octets)
        self._closed = 0
        self._has_closed = threading.Condition()
        # Wait at the end until each traced connection has closed.
        self._waits = not only
        given: dict[str, Any] = {"hosts": ["127.0.0.1"], "port": 0, "threads": 1} | settings
        self._server = httpsock.Server(folder, tracing=Instrumentation(self._trace), **given)
        self.port = self._server.port
        self.output = ""

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def _count(self, event: Event) -> str:
        if event.connection and event.name == "close":
            with self._has_closed:
                self._closed += 1
                self._has_closed.notify()
        return self._format(event)

    def stop_now(self) -> None:
        """Stop the server and cut off running responses."""
        self._server.stop(grace_seconds=0)

    def __exit__(self, *_: object) -> None:
        # The end of the server is not part of the trace.
        with self._has_closed:
            self._has_closed.wait_for(lambda: not self._waits or self._closed == self._trace._count, TIMEOUT_SECONDS)
        self._server.stop()
        with self._file as file:
            file.seek(0)
            self.output = file.read().decode()

    @property
    def connections(self) -> str:
        """The trace of all connections, without the server's own events.

        Parts that differ from run to run are replaced.
        """
        lines = alike(self.output).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("server"))
