"""Try cases or checks on one server, a few at a time. If the server stops, find the one that stopped it.

A server stops if it exits or no longer answers. Each trial in progress at that moment is a suspect. Its own result is
meaningless, and it may have stopped the server. The check waits until the server answers again, or starts it again.
Then it tries the suspects one by one. If the server stays down, the result lists all suspects. Heavy trials, which may
cost a server gigabytes of memory, run one at a time at the end.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .progress import Progress
from .results import GONE, NO_TIME, Outcome, Result
from .target import Target
from .threads import call_in_threads

# The name of the result for a server that has stopped, if no single trial is known to stop it.
LAST = "the-server-stays-up"
# The requirement that such a server breaks: no request may stop others from being served.
_REQUIREMENT = "R093"
_CONNECTIONS = 8
_MAX_NAMED = 12
# Repeat trials that timed out one at a time, until this many time out again: then the server itself is slow.
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

    *attempt* tries it. *untried* takes a reason and returns the result of a skipped trial. If *is_heavy* is true, the
    server may need gigabytes of memory for this trial.
    """

    name: str
    attempt: Callable[[], Attempt]
    untried: Callable[[str], Result]
    is_heavy: bool = False


class _Ended(NamedTuple):
    """How a trial ended.

    If *is_down* is true, the server no longer answers. If *is_late* is true, the trial timed out.
    """

    is_down: bool
    is_late: bool


class _Round:
    """One run of trials until the server stops.

    A trial in *suspects* may have stopped the server. A trial in *late* timed out.
    """

    def __init__(self, target: Target, progress: Progress) -> None:
        self._progress = progress
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
        call_in_threads(self._run, trials, max_threads=_CONNECTIONS)

    def _run(self, trial: Trial) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self._open.append(trial)
        attempt = _attempt(trial, self._target, self._progress)
        is_gone = attempt.is_doubtful and not self._over.is_set() and not self._target.is_there()
        with self._lock:
            if is_gone and not self._over.is_set():
                self._over.set()
                # The likeliest suspect comes first: in a silence, the oldest. A trial just answered is one too.
                likeliest = [] if attempt.is_late else [trial]
                self.suspects = list(dict.fromkeys((*likeliest, *self._open, *reversed(self._ended))))
            self._open.remove(trial)
            if not self._over.is_set() or (not attempt.is_doubtful and trial not in self.suspects):
                self.results[trial.name] = attempt.result
                self._ended.append(trial)
                if attempt.is_late and (attempt.result.outcome is Outcome.FAILED or attempt.result.why == NO_TIME):
                    self.late.append(trial)


def _attempt(trial: Trial, target: Target, progress: Progress) -> Attempt:
    """Try *trial*, and show the trial in *progress*. If the trial passes slowly, extend the deadline of *target*."""
    began = time.monotonic()
    with progress.running(trial.name):
        attempt = trial.attempt()
    if attempt.result.outcome is Outcome.PASSED:
        target.excuse(time.monotonic() - began)
    return attempt


def run_trials(target: Target, trials: Sequence[Trial], progress: Progress | None = None) -> list[Result]:
    """Try all trials and return the results in order.

    If the server stopped for no known cause, an additional result at the end reports this stop.
    """
    progress = progress or Progress()
    progress.expect(trial.name for trial in trials)
    run = _Run(target, progress)
    run.try_together([trial for trial in trials if not trial.is_heavy])
    run.try_heavy([trial for trial in trials if trial.is_heavy])
    return [run.results.get(trial.name) or trial.untried(GONE) for trial in trials] + run.ends


class _Run:
    """All trials on *target*, with their *results* by name.

    If the server stops for no known cause, *ends* has a result that reports this stop.
    """

    def __init__(self, target: Target, progress: Progress) -> None:
        self._target = target
        self._progress = progress
        self.results: dict[str, Result] = {}
        self.ends: list[Result] = []

    def try_together(self, trials: Sequence[Trial]) -> None:
        """Try *trials*, a few at a time. If the server stops, find the trial that stopped it, and go on if possible."""
        waiting = list(trials)
        while waiting:
            one_round = _Round(self._target, self._progress)
            one_round.run(waiting)
            self.results |= one_round.results
            if not one_round.is_over:
                self._try_late(one_round.late)
                return
            with self._target.extra_time():
                is_up = self._try_alone(one_round.suspects)
            if not any(self.results[trial.name].stops_server for trial in waiting if trial.name in self.results):
                self.ends = [_unexplained(self._target, one_round.suspects)]
                self._progress.report(LAST, self.ends[0].why)
            if not is_up:
                self._target.is_gone = True
                return
            waiting = [trial for trial in waiting if trial.name not in self.results]

    def try_heavy(self, trials: Sequence[Trial]) -> None:
        """Try *trials* one at a time. If one times out or stops the server, skip the rest to save memory."""
        for position, trial in enumerate(trials, 1):
            if self._target.is_gone:
                return
            ended = self._try_one(trial)
            if ended.is_down and not self._restart():
                self._target.is_gone = True
            elif ended.is_down or ended.is_late:
                why = f"not tried, to save memory: the server did not answer in time at: {trial.name}"
                self.results |= {other.name: other.untried(why) for other in trials[position:]}
                return

    def _try_alone(self, suspects: Sequence[Trial]) -> bool:
        """Wait until the server answers again, or start it again. Then try *suspects* one by one.

        If a suspect stops the server for good, try no more. Return whether the server is up.
        """
        has_returned = self._returns()
        is_new = not has_returned and self._restart()
        if not has_returned and not is_new:
            return False
        for trial in suspects:
            is_down = self._try_one(trial).is_down
            if is_down and not is_new and self._restart():
                # An earlier suspect may have contributed: only the effect on a new server counts.
                is_down = self._try_one(trial).is_down
            is_new = is_down and self._restart()
            if is_down and not is_new:
                return False
        return True

    def _try_late(self, late: Sequence[Trial]) -> None:
        """Retry the trials in *late* one by one. If the server stops, or if many time out again, retry no more."""
        waiting = deque(late)
        count = 0
        while waiting and count < _MAX_LATE and not self._target.is_overdue:
            ended = self._try_one(waiting.popleft())
            count += ended.is_late
            if ended.is_down and not self._restart():
                self._target.is_gone = True
                self.results |= {trial.name: trial.untried(GONE) for trial in waiting}
                return
        if count < _MAX_LATE:
            # No time is left to find out whether these trials time out alone, too.
            self.results |= {trial.name: trial.untried(NO_TIME) for trial in waiting}
            return
        for trial in waiting:
            if self.results[trial.name].outcome is Outcome.FAILED:
                self._progress.report(trial.name, self.results[trial.name].why)

    def _try_one(self, trial: Trial) -> _Ended:
        """Try *trial* alone and store the result. Return whether the server is down and whether the trial timed out."""
        result, _, is_late = _attempt(trial, self._target, self._progress)
        is_late = is_late and result.outcome is not Outcome.PASSED
        is_down = False
        if not self._target.is_there(_EXIT_SECONDS):
            is_down = not self._returns()
            result = result._replace(
                requirement=_REQUIREMENT,
                level="SECURITY",
                outcome=Outcome.FAILED,
                why=self._target.end.says,
                stops_server=True,
                output=self._target.end.output,
            )
        self.results[trial.name] = result
        if (is_late and result.outcome is Outcome.FAILED) or result.stops_server:
            self._progress.report(trial.name, result.why)
        return _Ended(is_down, is_late)

    def _returns(self) -> bool:
        """Wait until a silent server answers again. If it stays silent, return False."""
        with self._progress.running("waiting for the server, which does not answer"), self._target.extra_time():
            return self._target.returns()

    def _restart(self) -> bool:
        """Start the server again. Return whether it answers."""
        with self._progress.running("starting the server again"):
            return self._target.restart()


def _unexplained(target: Target, suspects: Sequence[Trial]) -> Result:
    """Return the result for a server that stopped for no known cause. The message lists the trials in progress."""
    names = "; ".join(trial.name for trial in suspects[:_MAX_NAMED])
    alone = ", none of which stops it alone" if target.is_ours else ""
    why = f"{target.end.says}; in progress{alone}: {names}"
    return Result(
        *(LAST, _REQUIREMENT, "SECURITY", Outcome.FAILED, why, b"", b"", ""),
        stops_server=True,
        output=target.end.output,
    )
