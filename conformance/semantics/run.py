"""The run of the static-semantics checks against a server: a few at a time, until a deadline."""

import time
from functools import partial

from conformance.corpus.requirements import load_requirements
from conformance.live import wire
from conformance.live.results import GONE, MAX_RECEIVED, NO_TIME, Outcome, Result, matches
from conformance.live.target import Target
from conformance.live.trials import Attempt, Trial, run_trials

from .checks import CHECKS, is_served
from .session import Check, InapplicableError, OtherFault, Session

# A check that compares responses has this many exchanges at most that are worth repeating.
_MAX_EXCHANGES = 5


def check_semantics(target: Target, only: str | None = None) -> list[Result]:
    """Return the result of each check of the static semantics that matches *only*, for *target*.

    All are skipped if *target* serves another folder than the known one.
    """
    checks = [check_ for check_ in CHECKS if matches(check_.name, check_.requirement, only)]
    if target.is_gone:
        return [_untried(check_, GONE) for check_ in checks]
    if not is_served(Session(target.address, deadline=target.deadline)):
        return [_untried(check_, "the server doesn't serve the known folder: see --start") for check_ in checks]
    return run_trials(
        target, [Trial(check_.name, partial(_attempt, target, check_), partial(_untried, check_)) for check_ in checks]
    )


def _untried(check_: Check, why: str) -> Result:
    """Return the result of *check_* if it is left out, for the reason *why*."""
    return Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, why, b"", b"", "")


def _attempt(target: Target, check_: Check) -> Attempt:
    """Return what *check_* says of *target*; after the deadline it is not asked."""
    if time.monotonic() > target.deadline:
        return Attempt(_untried(check_, NO_TIME), is_doubtful=False)
    session = Session(target.address, deadline=target.deadline)
    outcome = Outcome.FAILED
    try:
        why = check_.run(session) or ""
        outcome = Outcome.FAILED if why else Outcome.PASSED
    except InapplicableError as reason:
        outcome, why = Outcome.SKIPPED, str(reason)
    except Exception as error:
        # A response may be anything. If a check fails to read one, its author must fix the check; the run continues.
        why = f"the check cannot read the response ({type(error).__name__}: {error})"
    if outcome is Outcome.FAILED and time.monotonic() > target.deadline:
        outcome, why = Outcome.SKIPPED, NO_TIME
    transcript = session.transcript or wire.Transcript(b"", b"", "refused")
    again = "\n".join(
        wire.reproduce(*target.address, sent, ends=transcript.ended_first)
        for sent, transcript in session.exchanges[-_MAX_EXCHANGES:]
    )
    received = transcript.received[:MAX_RECEIVED]
    number, level = check_.requirement, check_.level
    if isinstance(why, OtherFault):
        number, level = why.requirement, load_requirements()[why.requirement].level
    result = Result(check_.name, number, level, outcome, str(why), transcript.sent, received, again)
    is_doubtful = outcome is Outcome.FAILED or not received
    return Attempt(result, is_doubtful, is_late=transcript.ended == "timed out")
