"""Try cases or checks on one server, a few at a time. If the server stops, find the one that stopped it.

A server stops if it exits or no longer answers. Each trial in progress at that moment is a suspect. Its own result is
meaningless, and it may have stopped the server. If the check started the server, it starts the server again and tries
the suspects one by one. Otherwise the result lists all suspects.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .results import GONE, Outcome, Result
from .target import Target

# The name of the result for a server that has stopped, if no single trial is known to stop it.
LAST = "the-server-stays-up"
# The requirement that such a server breaks: no request may stop others from being served.
_REQUIREMENT = "R093"
_CONNECTIONS = 8
_MAX_NAMED = 12
# If at most this many trials timed out, repeat them one at a time. If more did, the server itself is slow.
_MAX_LATE = 12
# A program that exits because of a request does so within this time.
_EXIT_SECONDS = 0.02


class Attempt(NamedTuple):
    """The outcome of one trial. If *is_doubtful* is true, the server may have stopped, and the result means nothing.

    If *is_late* is true, the trial timed out. Other trials may have kept the server busy.
    """

    result: Result
    is_doubtful: bool
    is_late: bool = False


class Trial(NamedTuple):
    """A case or check to try.

    *attempt* tries it. *untried* takes a reason and returns the result of a skipped trial.
    """

    name: str
    attempt: Callable[[], Attempt]
    untried: Callable[[str], Result]


class _Round:
    """One run of trials until the server stops.

    A trial in *suspects* may have stopped it. A trial in *late* timed out.
    """

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
        """Whether the server has stopped."""
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
                # The likeliest suspect comes first; a trial answered just before may also be the cause.
                self.suspects = [trial, *self._open, *reversed(self._ended)]
            if not self._over.is_set() or (not attempt.is_doubtful and trial not in self.suspects):
                self.results[trial.name] = attempt.result
                self._ended.append(trial)
                if attempt.is_late and attempt.result.outcome is Outcome.FAILED:
                    self.late.append(trial)


def run_trials(target: Target, trials: Sequence[Trial]) -> list[Result]:
    """Try all trials and return the results in order.

    If the server stopped for no known cause, an additional result called LAST comes at the end.
    """
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
        if not any(result.stops_server for result in found.values()):
            ends = [_unexplained(target, one_round.suspects)]
        if not target.restarts or not target.is_ours:
            target.is_gone = True
            break
    return [results.get(trial.name) or trial.untried(GONE) for trial in trials] + ends


def _try_alone(target: Target, suspects: Sequence[Trial]) -> dict[str, Result]:
    """Try the suspects one by one, until one stops the server for good. Return the results."""
    results: dict[str, Result] = {}
    is_new = target.restart()
    for trial in suspects if is_new else ():
        result, is_end_here = _try_one(target, trial)
        if is_end_here and not is_new and target.restart():
            # An earlier suspect may have contributed: only the effect on a new server counts.
            result, is_end_here = _try_one(target, trial)
        results[trial.name] = result
        is_new = is_end_here and target.restarts and target.restart()
        if is_end_here and not is_new:
            break
    return results


def _try_late(target: Target, late: Sequence[Trial]) -> dict[str, Result]:
    """Retry trials that timed out, one by one, until one stops the server for good. Return the results."""
    results = {trial.name: trial.untried(GONE) for trial in late}
    for trial in late:
        results[trial.name], is_end_here = _try_one(target, trial)
        if is_end_here and not (target.restarts and target.restart()):
            target.is_gone = True
            break
    return results


def _try_one(target: Target, trial: Trial) -> tuple[Result, bool]:
    """Run one trial. Return its result, and whether the trial stopped the server."""
    result = trial.attempt().result
    if target.is_there(_EXIT_SECONDS):
        return result, False
    stopped = result._replace(
        requirement=_REQUIREMENT,
        level="SECURITY",
        outcome=Outcome.FAILED,
        why=f"the server stops: {target.end.says}",
        stops_server=True,
        output=target.end.output,
    )
    return stopped, True


def _unexplained(target: Target, suspects: Sequence[Trial]) -> Result:
    """Return the result for a server that stopped although no suspect stops it alone."""
    names = "; ".join(trial.name for trial in suspects[:_MAX_NAMED])
    alone = ", none of which stops it alone" if target.is_ours else ""
    why = f"the server stops: {target.end.says}; in progress{alone}: {names}"
    return Result(
        *(LAST, _REQUIREMENT, "SECURITY", Outcome.FAILED, why, b"", b"", ""),
        stops_server=True,
        output=target.end.output,
    )
