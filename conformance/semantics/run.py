"""Run the checks against a server, a few at a time, until the deadline."""

import time
from functools import partial

from conformance.corpus.requirements import load_requirements
from conformance.live import wire
from conformance.live.progress import Progress
from conformance.live.results import GONE, MAX_RECEIVED, NO_TIME, Outcome, Result, matches
from conformance.live.target import Target
from conformance.live.trials import Attempt, Trial, run_trials

from .checks import CHECKS, is_served
from .session import Check, InapplicableError, OtherFault, Session

# A failure has shell lines for at most this many exchanges, the last ones of the check.
_MAX_EXCHANGES = 5
# The time for one check with all its exchanges. A slow link needs it for the large file.
_CHECK_SECONDS = 60.0


def check_semantics(target: Target, only: str | None = None, progress: Progress | None = None) -> list[Result]:
    """Run the checks against *target* and return the results. *only* selects checks by name or requirement.

    If the server does not serve the folder of known files, skip all checks.
    """
    checks = [check_ for check_ in CHECKS if matches(check_.name, check_.requirement, only)]
    progress = progress or Progress()
    with progress.running("requesting a known file"):
        why = _obstacle(target)
    if why:
        return [_untried(check_, why) for check_ in checks]
    trials = [
        Trial(check_.name, partial(_attempt, target, check_), partial(_untried, check_), check_.is_heavy)
        for check_ in checks
    ]
    return run_trials(target, trials, progress)


def _obstacle(target: Target, *, is_new: bool = False) -> str:
    """Return why no check can be tried, or "". If the server has stopped, first wait for it or start it again.

    If *is_new* is true, the server has just returned, so neither wait nor start it again.
    """
    if target.is_gone:
        return GONE
    if is_served(Session(target.address, target.silence_seconds, target.deadline)):
        return ""
    if target.is_overdue:
        return NO_TIME
    if is_new or target.is_there():
        return "the server does not serve the known folder, which --start makes"
    target.is_gone = not (target.returns() or target.restart())
    return _obstacle(target, is_new=True)


def _untried(check_: Check, why: str) -> Result:
    """Return the result of a skipped check, with the reason *why*."""
    return Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, why, b"", b"", "")


def _attempt(target: Target, check_: Check) -> Attempt:
    """Run one check against *target*. After the deadline, skip the check."""
    if target.is_overdue:
        return Attempt(_untried(check_, NO_TIME), is_doubtful=False)
    deadline = min(target.deadline, time.monotonic() + target.limited_whole(_CHECK_SECONDS))
    session = Session(target.address, target.limited(target.silence_seconds), deadline, target.quiet_seconds)
    outcome = Outcome.FAILED
    try:
        why = check_.run(session) or ""
        outcome = Outcome.FAILED if why else Outcome.PASSED
    except InapplicableError as reason:
        outcome, why = Outcome.SKIPPED, str(reason)
    except Exception as error:
        # A check that crashes on a strange response must be fixed, but the run continues.
        why = f"the check can't read the response ({type(error).__name__}: {error})"
    if outcome is Outcome.FAILED and target.is_overdue:
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
    is_late = transcript.is_late or why == NO_TIME
    if is_late and outcome is Outcome.FAILED:
        target.count_timeout()
    return Attempt(result, is_doubtful, is_late)
