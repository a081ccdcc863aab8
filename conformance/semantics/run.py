"""The run of the static-semantics checks against a server: a few at a time, until a deadline."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from conformance.live import wire
from conformance.live.results import KEPT_OCTETS, NO_TIME, Outcome, Result

from .checks import CHECKS, is_served
from .session import Check, InapplicableError, Session

_CONNECTIONS = 8


def check_semantics(address: tuple[str, int], deadline: float) -> Iterator[Result]:
    """Yield what each check of the static semantics says of the server at *address* until *deadline*.

    All are skipped for another folder than the known one.
    """
    if not is_served(Session(address, deadline=deadline)):
        why = "the server doesn't serve the known folder: see --start"
        for check_ in CHECKS:
            yield Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, why, b"", b"", "")
        return
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        yield from pool.map(partial(_semantic, address, deadline), CHECKS)


def _semantic(address: tuple[str, int], deadline: float, check_: Check) -> Result:
    """Return what *check_* says of the server at *address*; after *deadline* it is not asked."""
    if time.monotonic() > deadline:
        return Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, NO_TIME, b"", b"", "")
    session = Session(address, deadline=deadline)
    outcome = Outcome.FAILED
    try:
        why = check_.run(session) or ""
        outcome = Outcome.FAILED if why else Outcome.PASSED
    except InapplicableError as reason:
        outcome, why = Outcome.SKIPPED, str(reason)
    except Exception as error:
        # The checks read what may be anything. That they can't is for their author to mend, and no reason to stop.
        why = f"the check cannot read the response ({type(error).__name__}: {error})"
    if outcome is Outcome.FAILED and time.monotonic() > deadline:
        outcome, why = Outcome.SKIPPED, NO_TIME
    transcript = session.transcript or wire.Transcript(b"", b"", "refused")
    again = wire.reproduce(*address, transcript.sent)
    received = transcript.received[:KEPT_OCTETS]
    return Result(check_.name, check_.requirement, check_.level, outcome, why, transcript.sent, received, again)
