"""The server under test: find out whether it still answers, and start it again."""

import time
from typing import NamedTuple

from . import wire
from .probes import sentinel
from .start import StartedServer, StartError

# Wait this long for a supervisor that restarts the server.
_RETURN_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
# A server that handles one connection at a time answers only after the earlier ones have closed.
_ANSWER_SECONDS = 4.0
_MAX_RESTARTS = 200


class End(NamedTuple):
    """How the server stopped. *says* is a message, and *output* has its last lines of output."""

    says: str = ""
    output: str = ""


class Target:
    """The server under test, at *address*. If the check has started the server, *server* is given.

    If *restarts* is true, the check starts the server again after it has stopped. No case is tried after *deadline*.
    Each restart extends the deadline by the time that it took. If *is_gone* is true, the server has stopped for good.
    If the server does not close when asked, the client closes its side after *patience* seconds without input.
    """

    def __init__(
        self, address: tuple[str, int], server: StartedServer | None = None, *, restarts: bool = False
    ) -> None:
        self.address = address
        self.restarts = restarts and server is not None
        self.deadline = float("inf")
        self.end = End()
        self.is_gone = False
        self.patience: float | None = None
        self._server = server
        self._left_starts = _MAX_RESTARTS

    @property
    def is_ours(self) -> bool:
        """Whether the check can start the server again."""
        return self._server is not None and self._left_starts > 0

    def is_there(self, exit_seconds: float = 0.0) -> bool:
        """Return whether the server still answers a plain request. If it does not, describe how it stopped in *end*.

        If the server exits with an error within *exit_seconds* after its answer, it counts as stopped. After the
        deadline, return True without a request.
        """
        if time.monotonic() > self.deadline:
            return True
        found = self._ask()
        deadline = time.monotonic() + _RETURN_SECONDS
        while found.ended == "refused" and time.monotonic() < deadline and self._exit_code(_PAUSE_SECONDS) is None:
            if self._server is None:
                time.sleep(_PAUSE_SECONDS)
            found = self._ask()
        if found.received and self._exit_code(exit_seconds) in (None, 0):
            return True
        self.end = self._describe(found)
        return False

    def restart(self) -> bool:
        """Start the program again. Return whether it answers."""
        if self._server is None or self._left_starts == 0:
            return False
        self._left_starts -= 1
        began = time.monotonic()
        self._server.stop()
        try:
            self._server.start()
        except StartError as error:
            self.end = End(f"it does not start again: {error}")
            self._left_starts = 0
            return False
        finally:
            self.deadline += time.monotonic() - began
        self.address = self._server.address
        return True

    def _ask(self) -> wire.Transcript:
        """Send a plain request on a new connection. Return the transcript."""
        return wire.exchange(
            self.address, [sentinel(0)], seconds=_ANSWER_SECONDS, ends=False, patience=_ANSWER_SECONDS / 2, max_octets=1
        )

    def _exit_code(self, seconds: float) -> int | None:
        return None if self._server is None else self._server.exit_code(seconds)

    def _describe(self, found: wire.Transcript) -> End:
        """Describe how the server stopped. *found* is its answer to a plain request."""
        code = self._exit_code(_RETURN_SECONDS)
        if code is None:
            refused = "it no longer accepts connections"
            says = refused if found.ended == "refused" else f"it no longer answers plain requests ({found.ended})"
        else:
            says = f"signal {-code} killed it" if code < 0 else f"it exited with code {code}"
        return End(says, "" if self._server is None else self._server.last_output())
