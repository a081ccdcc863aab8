"""The server under test: find out whether it still answers, and start it again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from . import wire
from .probes import sentinel
from .start import StartedServer, StartError

# Wait this long for a supervisor that restarts the server.
_RETURN_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
# A server that handles one connection at a time answers only after the earlier ones have closed. There may be thirty.
_ANSWER_SECONDS = 4.0
_MAX_ANSWER_SECONDS = 30.0
_MAX_EARLIER = 30
# Wait this long for a server that has stalled, this many times.
_STALL_SECONDS = 6.0
_MAX_STALLS = 8
# Finding the cases that stop the server may extend the deadline by this much in total, beside the time of restarts.
_EXTRA_SECONDS = 60.0
_MAX_RESTARTS = 200
# The server may be silent for this long, unless even a plain request takes longer.
_SILENCE_SECONDS = 2.0
# After this many time-outs, the server may be silent for less time, and a whole case gets less time as well.
_MANY_TIMEOUTS = 12
_HURRIED_SECONDS = 0.5
# A case that takes longer than usual and passes shows a slow link, and extends the deadline, in total by this much.
_USUAL_SECONDS = 2.0
_SLOW_LINK_SECONDS = 300.0


class End(NamedTuple):
    """How the server stopped. *says* is a message, and *output* has the server's last lines of output.

    If *may_pass* is true, the server still accepts connections, and may answer again.
    """

    says: str = ""
    output: str = ""
    may_pass: bool = False


class Target:
    """The server under test, at *address*. If the check has started the server, *server* is given.

    No case is tried after *deadline*. A restart extends the deadline by the time of the restart. If *is_gone* is true,
    the server has stopped for good. If the server does not close when asked, the client closes its side after
    *quiet_seconds* without input. An exchange times out if no octet moves for *silence_seconds*. After many
    time-outs, the limit is *hurried_seconds* instead. Without other requests, a plain request took *plain_seconds*.
    """

    def __init__(self, address: tuple[str, int], server: StartedServer | None = None) -> None:
        self.address = address
        self.deadline = float("inf")
        self.end = End()
        self.is_gone = False
        self.quiet_seconds: float | None = None
        self.silence_seconds = _SILENCE_SECONDS
        self.hurried_seconds = _HURRIED_SECONDS
        self.plain_seconds = 0.0
        self._lock = threading.Lock()
        self._timeouts = 0
        self._server = server
        self._left_starts = _MAX_RESTARTS
        self._left_stalls = _MAX_STALLS
        self._silent_since = 0.0
        self._extra_seconds = _EXTRA_SECONDS
        self._slow_link_seconds = _SLOW_LINK_SECONDS

    @property
    def is_ours(self) -> bool:
        """Whether the check can start the server again."""
        return self._server is not None and self._left_starts > 0

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    @property
    def _answer_seconds(self) -> float:
        """How long a server that is busy with other connections may take for a plain request."""
        return max(_ANSWER_SECONDS, min(_MAX_EARLIER * self.plain_seconds, _MAX_ANSWER_SECONDS))

    def count_timeout(self) -> None:
        """Count an exchange that timed out."""
        with self._lock:
            self._timeouts += 1

    def limited(self, seconds: float) -> float:
        """Return *seconds*, the limit of a silence. After many time-outs, return at most *hurried_seconds*."""
        return min(self.hurried_seconds, seconds) if self._timeouts >= _MANY_TIMEOUTS else seconds

    def limited_whole(self, seconds: float) -> float:
        """Return the time limit of a whole case: *seconds*.

        After many time-outs, shorten this limit by the same factor as the limit of a silence.
        """
        return seconds * self.limited(self.silence_seconds) / self.silence_seconds

    def excuse(self, seconds: float) -> None:
        """Handle a case that passed after *seconds*. If this time is longer than usual, extend the deadline."""
        with self._lock:
            granted = min(max(seconds - _USUAL_SECONDS, 0.0), self._slow_link_seconds)
            self._slow_link_seconds -= granted
            self.deadline += granted

    def is_there(self, exit_seconds: float = 0.0) -> bool:
        """Return whether the server still answers a plain request. If it does not, describe how it stopped in *end*.

        If the server exits with an error within *exit_seconds* after its answer, it counts as stopped. After the
        deadline, send no request and return True.
        """
        if self.is_overdue:
            return True
        began = time.monotonic()
        found = self._ask(self._answer_seconds)
        deadline = time.monotonic() + _RETURN_SECONDS
        while found.ended == "refused" and time.monotonic() < deadline and self._exit_code(_PAUSE_SECONDS) is None:
            if self._server is None:
                time.sleep(_PAUSE_SECONDS)
            found = self._ask(self._answer_seconds)
        if found.received and self._exit_code(exit_seconds) in (None, 0):
            return True
        self._silent_since = began
        self.end = self._describe(found)
        return False

    def returns(self) -> bool:
        """Wait until a silent server answers again. Describe the stall in *end*.

        If the server stays silent, return False.
        """
        if not self.end.may_pass or self._left_stalls == 0:
            return False
        self._left_stalls -= 1
        if not self._answers_before(time.monotonic() + _STALL_SECONDS):
            # Waiting in vain again would take too long.
            self._left_stalls = 0
            return False
        seconds = time.monotonic() - self._silent_since
        says = f"the server stalls: it answered no other request for {seconds:.0f} seconds"
        self.end = End(says, self._last_output())
        return True

    def _answers_before(self, deadline: float) -> bool:
        """Send plain requests until *deadline*.

        Return whether the server answers one. If it refuses the connection, stop early.
        """
        while (left := deadline - time.monotonic()) > 0:
            found = self._ask(min(left, self._answer_seconds))
            if found.received or found.ended == "refused":
                return bool(found.received)
            time.sleep(_PAUSE_SECONDS)
        return False

    @contextmanager
    def extra_time(self) -> Iterator[None]:
        """Extend the deadline by the time that the block takes. All extensions together have a limit."""
        granted, self._extra_seconds = self._extra_seconds, 0.0
        self.deadline += granted
        began = time.monotonic()
        try:
            yield
        finally:
            self._extra_seconds = max(granted - (time.monotonic() - began), 0.0)
            self.deadline -= self._extra_seconds

    def restart(self) -> bool:
        """Start the server again. Return whether it answers."""
        if self._server is None or self._left_starts == 0:
            return False
        self._left_starts -= 1
        began = time.monotonic()
        self._server.stop()
        try:
            self._server.start()
        except StartError as error:
            self.end = End(f"the server stops: it does not start again: {error}")
            self._left_starts = 0
            return False
        finally:
            self.deadline += time.monotonic() - began
        self.address = self._server.address
        return True

    def _ask(self, seconds: float) -> wire.Transcript:
        """Send a plain request on a new connection. Return the transcript."""
        return wire.exchange(
            self.address, [sentinel(0)], silence_seconds=seconds, ends=False, quiet_seconds=seconds / 2, max_octets=1
        )

    def _exit_code(self, seconds: float) -> int | None:
        return None if self._server is None else self._server.exit_code(seconds)

    def _describe(self, found: wire.Transcript) -> End:
        """Describe how the server stopped. *found* is its answer to a plain request."""
        code = self._exit_code(_RETURN_SECONDS)
        may_pass = code is None and found.ended != "refused"
        if may_pass:
            says = f"it no longer answers plain requests ({found.ended})"
        elif code is None:
            says = "it no longer accepts connections"
        else:
            says = f"signal {-code} killed it" if code < 0 else f"it exited with code {code}"
        return End(f"the server stops: {says}", self._last_output(), may_pass)

    def _last_output(self) -> str:
        return "" if self._server is None else self._server.last_output()
