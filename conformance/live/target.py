"""The target: the server under test, whether it is still there, and its next start if the check has started it."""

import time

from . import wire
from .probes import sentinel
from .start import StartedServer, StartError

# A supervisor may need a moment to start a server again.
_RETURN_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
# A server that handles one connection at a time may first wait for earlier ones to end.
_ANSWER_SECONDS = 4.0
_MAX_RESTARTS = 200


class Target:
    """The server at *address*, or *server*, which the check has started; *restarts* it after its end, if asked.

    *deadline* is when the check ends: no further case is tried then. The time that a new start takes is added.
    *is_gone* says that nothing more is tried.
    """

    def __init__(
        self, address: tuple[str, int], server: StartedServer | None = None, *, restarts: bool = False
    ) -> None:
        self.address = address
        self.restarts = restarts and server is not None
        self.deadline = float("inf")
        self.fate = ""
        self.is_gone = False
        self._server = server
        self._left_starts = _MAX_RESTARTS

    @property
    def is_ours(self) -> bool:
        """Whether the check can start it again."""
        return self._server is not None and self._left_starts > 0

    def is_there(self, exit_seconds: float = 0.0) -> bool:
        """Return whether a plain request is answered, by one byte at least; if not, *fate* describes the end.

        A program that was started may end up to *exit_seconds* later. Behind the deadline there is no time to ask.
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
        self.fate = self._describe(found)
        return False

    def restart(self) -> bool:
        """Start the program again, and return whether it answers."""
        if self._server is None or self._left_starts == 0:
            return False
        self._left_starts -= 1
        began = time.monotonic()
        self._server.stop()
        try:
            self._server.start()
        except StartError as error:
            self.fate = f"it does not start again: {error}"
            self._left_starts = 0
            return False
        finally:
            self.deadline += time.monotonic() - began
        self.address = self._server.address
        return True

    def _ask(self) -> wire.Transcript:
        """Return the answer to one plain request on a connection of its own."""
        return wire.exchange(
            self.address, [sentinel(0)], seconds=_ANSWER_SECONDS, ends=False, patience=_ANSWER_SECONDS / 2, max_octets=1
        )

    def _exit_code(self, seconds: float) -> int | None:
        return None if self._server is None else self._server.exit_code(seconds)

    def _describe(self, found: wire.Transcript) -> str:
        """Return a description of the server's end; it answered *found* to a plain request."""
        code = self._exit_code(_RETURN_SECONDS)
        if code is None:
            refused = "it accepts no connection any more"
            said = refused if found.ended == "refused" else f"it answers no plain request any more ({found.ended})"
        else:
            said = f"signal {-code} ended it" if code < 0 else f"it ended with exit code {code}"
        output = "" if self._server is None else self._server.last_output()
        return f"{said}; it printed last: {output}" if output else said
