"""Trials: cases or checks tried on one server, a few at a time, until it ends.

A server that ends takes the answers to others with it. Each trial that was open then is suspect: its answer shows
nothing. If the check has started the server, it starts it again and tries the suspects one by one, to find the one
that ends it; without that, the suspects are named.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .results import GONE, Outcome, Result
from .target import Target

# The name of the result for a server that has ended, if no single trial is known to end it.
LAST = "the-server-goes-on"
# Ending breaks this: a request must not stop others from being served.
_REQUIREMENT = "R093"
_CONNECTIONS = 8
_MAX_NAMED = 12
# Up to this many trials that timed out are repeated, one at a time. With more, the server itself is slow.
_MAX_LATE = 12
_ENDS = "the server ends"
# A program that ends because of a request has ended this long after it.
_EXIT_SECONDS = 0.02


def is_end(result: Result) -> bool:
    """Return whether *result* says that the server has ended."""
    return result.why.startswith(_ENDS)


class Attempt(NamedTuple):
    """The *result* of one trial; *is_doubtful* if the end of the server would explain it as well.

    *is_late* says that time ran out: the trials beside it may have kept the server.
    """

    result: Result
    is_doubtful: bool
    is_late: bool = False


class Trial(NamedTuple):
    """One case or check by *name*; *attempt* tries it, and *untried* is its result, for a reason, without that."""

    name: str
    attempt: Callable[[], Attempt]
    untried: Callable[[str], Result]


class _Round:
    """Trials on a server until it is gone: the results, and those whose result the end may have caused."""

    def __init__(self, target: Target) -> None:
        self.results: dict[str, Result] = {}
        self._over = threading.Event()
        self._target = target
        self._lock = threading.Lock()
        self._open: list[Trial] = []
        self._ended: deque[Trial] = deque(maxlen=_CONNECTIONS)
        self.suspects: list[Trial] = []
        self.late: list[Trial] = []

    @property
    def is_over(self) -> bool:
        """Whether the server is gone."""
        return self._over.is_set()

    def run(self, trials: Sequence[Trial]) -> None:
        """Try *trials*, a few at a time."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for _ in pool.map(self._run, trials):
                pass

    def _run(self, trial: Trial) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self._open.append(trial)
        attempt = trial.attempt()
        is_gone = attempt.is_doubtful and not self._over.is_set() and not self._target.is_there()
        with self._lock:
            self._open.remove(trial)
            if is_gone and not self._over.is_set():
                self._over.set()
                # The likeliest first: its own connection is dead. One that was answered before may still be the cause.
                self.suspects = [trial, *self._open, *reversed(self._ended)]
            if not self._over.is_set() or (not attempt.is_doubtful and trial not in self.suspects):
                self.results[trial.name] = attempt.result
                self._ended.append(trial)
                if attempt.is_late and attempt.result.outcome is Outcome.FAILED:
                    self.late.append(trial)


def run_trials(target: Target, trials: Sequence[Trial]) -> list[Result]:
    """Return the results of *trials*, in their order, and one more if the server ended for no known trial."""
    results: dict[str, Result] = {}
    waiting = list(trials)
    ends: list[Result] = []
    while waiting:
        one_round = _Round(target)
        one_round.run(waiting)
        results |= one_round.results
        if not one_round.is_over and len(one_round.late) <= _MAX_LATE:
            results |= _try_late(target, one_round.late)
        if not one_round.is_over:
            break
        found = _try_alone(target, one_round.suspects)
        results |= found
        waiting = [trial for trial in waiting if trial.name not in results]
        if not any(is_end(result) for result in found.values()):
            ends = [_unexplained(target, one_round.suspects)]
        if not target.restarts or not target.is_ours:
            target.is_gone = True
            break
    return [results.get(trial.name) or trial.untried(GONE) for trial in trials] + ends


def _try_alone(target: Target, suspects: Sequence[Trial]) -> dict[str, Result]:
    """Try *suspects* one by one; restart the server if one ends it, or stop there. Return the results."""
    results: dict[str, Result] = {}
    fate = target.fate
    is_new = target.restart()
    for trial in suspects if is_new else ():
        result, is_end_here = _try_one(target, trial)
        if is_end_here and not is_new and target.restart():
            # Those before may have worn it out: the effect of the trial on a new server counts.
            result, is_end_here = _try_one(target, trial)
        results[trial.name] = result
        is_new = is_end_here and target.restarts and target.restart()
        if is_end_here and not is_new:
            break
    target.fate = target.fate or fate
    return results


def _try_late(target: Target, late: Sequence[Trial]) -> dict[str, Result]:
    """Return the results of *late*, which ran out of time beside others, one by one, while the server is there."""
    results = {trial.name: trial.untried(GONE) for trial in late}
    for trial in late:
        results[trial.name], is_end_here = _try_one(target, trial)
        if is_end_here and not (target.restarts and target.restart()):
            target.is_gone = True
            break
    return results


def _try_one(target: Target, trial: Trial) -> tuple[Result, bool]:
    """Return the result of *trial*, and whether it ends the server."""
    result = trial.attempt().result
    if target.is_there(_EXIT_SECONDS):
        return result, False
    why = f"{_ENDS} here: {target.fate}"
    return result._replace(requirement=_REQUIREMENT, level="SECURITY", outcome=Outcome.FAILED, why=why), True


def _unexplained(target: Target, suspects: Sequence[Trial]) -> Result:
    """Return the result that says that the server has ended while *suspects* were tried."""
    names = ", ".join(trial.name for trial in suspects[:_MAX_NAMED])
    alone = "; none of them ends it alone" if target.is_ours else ""
    why = f"{_ENDS} while one of these is tried{alone}: {names}; {target.fate}"
    return Result(LAST, _REQUIREMENT, "SECURITY", Outcome.FAILED, why, b"", b"", "")
