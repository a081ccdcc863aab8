"""Send the corpus to a running server, and judge the responses.

A few cases are sent at a time, each on its own connection. The time limits depend on how fast the server answers a
plain request, and on how many exchanges have timed out. So a server that never answers costs only a few minutes.

A slow server that is never silent for long breaks no rule. If content still arrives when the time of a case
is over, the case is skipped. At the deadline, all remaining cases are skipped. Any behaviour of the server gives a
Result, never an exception.
"""

import time
from functools import partial

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.requirements import load_requirements

from . import wire
from .allowances import may_answer_without_a_head
from .probes import PIPELINING, Judgement, PlainAnswer, Probe, judge, probe_of, sentinel
from .progress import Progress
from .responses import FaultKind
from .results import MAX_RECEIVED, NO_TIME, Outcome, Result, matches
from .target import Target
from .trials import Attempt, Trial, run_trials

_FIRST_SECONDS = 5.0
_FIRST_QUIET_SECONDS = 3.0
_NEXT_SECONDS = 1.5
# How long the server may be silent in a case, and how long the case may take.
_MIN_SILENCE_SECONDS = 2.0
_MAX_SILENCE_SECONDS = 4.0
_SLOWEST_SILENCE_SECONDS = 15.0
_CASE_SECONDS = 20.0
_MIN_SECONDS = 0.05
_MIN_QUIET_SECONDS = 0.1
_MAX_OCTETS = 4 * 1024 * 1024


class NothingTriedError(Exception):
    """The server does not answer a plain request, so no case can be tried. The message describes its behaviour."""


class _Prober:
    """Sends cases to *target*. The target answered a plain request with *plain*, after *seconds*."""

    def __init__(self, target: Target, plain: PlainAnswer, seconds: float) -> None:
        self._target = target
        self._plain = plain
        # If the server does not close, waiting for that in each case would take minutes.
        self._quiet_seconds = max(
            min(max(10 * seconds, 0.5 if plain.closes else _MIN_QUIET_SECONDS), 1.5), 1.5 * seconds
        )
        if not plain.closes:
            target.quiet_seconds = self._quiet_seconds
        usual = min(max(50 * seconds, _MIN_SILENCE_SECONDS), _MAX_SILENCE_SECONDS)
        # A slow server that handles one connection at a time first answers the other cases in progress.
        target.silence_seconds = max(usual, min(round(10 * seconds, 1), _SLOWEST_SILENCE_SECONDS))
        target.plain_seconds = seconds
        target.hurried_seconds = min(max(10 * seconds, target.hurried_seconds), target.silence_seconds)

    def trial(self, case: Case, number: int) -> Trial:
        """Return a Trial that sends *case*. *number* is the position of the case in the corpus."""
        probe = probe_of(case, number, is_alone=not self._plain.pipelines)
        return Trial(case.name, partial(self._attempt, probe, number), partial(self._untried, probe))

    def _attempt(self, probe: Probe, number: int) -> Attempt:
        """Send the octets for a case and judge the response. If the server may have stopped, the result is doubtful."""
        if self._target.is_overdue:
            return Attempt(self._untried(probe, NO_TIME), is_doubtful=False)
        transcript = self._exchange(probe)
        result = self._judge(probe, number, transcript)
        is_whole = transcript.received and transcript.ended == "closed"
        is_doubtful = not is_whole or result.outcome is Outcome.FAILED
        return Attempt(result, is_doubtful, transcript.is_late)

    def _untried(self, probe: Probe, why: str) -> Result:
        """Return the result of a skipped case, with the reason *why*."""
        return self._result(probe, wire.Transcript(b"", b"", "timed out"), Outcome.SKIPPED, "", why)

    def _judge(self, probe: Probe, number: int, transcript: wire.Transcript) -> Result:
        """Judge the exchange in *transcript*. Return the result of the case."""
        if transcript.ended == "too slow" or (transcript.ended == "timed out" and self._target.is_overdue):
            return self._untried(probe, NO_TIME)
        # Do not parse an endless response, which would take longer than receiving it.
        received = b"" if transcript.ended == "flooded" else transcript.received
        parsed = wire.read_responses(received, probe.methods, is_ended=transcript.ended == "closed")
        if speaks_http_2(transcript):
            return self._result(probe, transcript, Outcome.SKIPPED, "", "the server speaks HTTP/2, which is allowed")
        judgement = _judgement(probe, number, transcript, parsed, self._plain)
        if judgement.is_unanswered and not probe.case.is_refused:
            judgement = self._judge_alone(probe, number, judgement)
        if judgement.why is None:
            return self._result(probe, transcript, Outcome.PASSED, "", "")
        level = "SHOULD" if judgement.is_should and probe.case.level == "MUST" else ""
        result = self._result(probe, transcript, Outcome.FAILED, level, judgement.why)
        if judgement.requirement is None:
            return result
        level = load_requirements()[judgement.requirement].level
        return result._replace(requirement=judgement.requirement, level=level)

    def _judge_alone(self, probe: Probe, number: int, judgement: Judgement) -> Judgement:
        """Retry the case without a second request behind it. If it then passes, return a failure of pipelining."""
        if probe.is_alone and probe.accepted_count > 1:
            # The case itself consists of several requests, and this server does not support pipelining.
            return judgement._replace(is_should=True, requirement=PIPELINING)
        if probe.is_alone:
            return judgement
        alone = probe_of(probe.case, number, is_alone=True)
        transcript = self._exchange(alone)
        parsed = wire.read_responses(transcript.received, alone.methods, is_ended=transcript.ended == "closed")
        if _judgement(alone, number, transcript, parsed, self._plain).why is not None:
            return judgement
        why = f"sent alone, it is answered; with a request behind it, {judgement.why}"
        return Judgement(why, is_should=True, requirement=PIPELINING)

    def _exchange(self, probe: Probe) -> wire.Transcript:
        """Send the octets for a case. Return the transcript. After many time-outs, use shorter time limits.

        If the time of the case is over, but no content is arriving, the transcript says "timed out".
        """
        left = max(self._target.deadline - time.monotonic(), _MIN_SECONDS)
        silence_seconds = self._target.limited(self._target.silence_seconds)
        transcript = wire.exchange(
            self._target.address,
            [probe.octets],
            silence_seconds=silence_seconds,
            max_seconds=min(self._target.limited_whole(_CASE_SECONDS), left),
            ends=probe.case.is_cut_short,
            quiet_seconds=min(self._quiet_seconds, silence_seconds / 2),
            max_octets=_MAX_OCTETS,
        )
        if transcript.is_late:
            self._target.count_timeout()
        if transcript.ended == "too slow" and not _is_under_way(transcript, probe):
            # Endless octets that are no content count as a silence.
            return transcript._replace(ended="timed out")
        return transcript

    def _result(self, probe: Probe, transcript: wire.Transcript, outcome: Outcome, level: str, why: str) -> Result:
        host, port = self._target.address
        again = wire.reproduce(host, port, probe.octets, ends=probe.case.is_cut_short)
        level = level or probe.case.level
        received = transcript.received[:MAX_RECEIVED]
        return Result(probe.case.name, probe.case.requirement, level, outcome, why, transcript.sent, received, again)


def _is_under_way(transcript: wire.Transcript, probe: Probe) -> bool:
    """Return whether *transcript* ends within the content of a response to *probe*."""
    return wire.read_responses(transcript.received, probe.methods, is_ended=False).is_under_way


def speaks_http_2(transcript: wire.Transcript) -> bool:
    """Return whether the server answered the preface of HTTP/2 with a SETTINGS frame."""
    return transcript.sent.startswith(b"PRI * HTTP/2.0") and transcript.received[3:4] == b"\x04"


def _judgement(
    probe: Probe, number: int, transcript: wire.Transcript, parsed: wire.ParsedResponses, plain: PlainAnswer
) -> Judgement:
    """Judge the syntax and the meaning of the octets that the server sent."""
    if transcript.ended == "refused":
        return Judgement("the connection is refused")
    if transcript.ended == "flooded":
        return Judgement(f"more than {_MAX_OCTETS} bytes without an end")
    faults = list(dict.fromkeys(fault.says for fault in parsed.faults))
    kinds = {fault.kind for fault in parsed.faults}
    lacks_only_allow = kinds == {FaultKind.NO_ALLOW}
    is_simple = kinds == {FaultKind.NO_START}
    judgement = judge(probe, number, parsed, transcript.ended, plain)
    # Complete responses show how the server read the case, even with these faults in them or behind them.
    is_judged = lacks_only_allow or (is_simple and bool(parsed.responses))
    is_tunnel = probe.case.octets.startswith(b"CONNECT ") and judgement.why is not None
    is_switch = judgement.requirement == "R081"
    if not faults or is_tunnel or is_switch or (is_judged and judgement.why is not None and not judgement.is_should):
        return judgement
    if is_simple and may_answer_without_a_head(probe.case):
        return Judgement(None)
    if is_simple and probe.case.is_refused:
        # This may be a response of HTTP/0.9 to an invalid request; RFC 9112 §2.2 forbids that with a SHOULD only.
        return Judgement("; ".join(faults), is_should=True)
    requirement = "R100" if lacks_only_allow else "R101" if FaultKind.CONTENT_OF_HEAD in kinds else "R115"
    return Judgement("; ".join(faults), requirement=requirement)


def check_corpus(target: Target, only: str | None = None, progress: Progress | None = None) -> list[Result]:
    """Send the cases that *only* selects to *target*. Return the results in the order of the corpus.

    If *target* does not answer a plain request, raise NothingTriedError.
    """
    progress = progress or Progress()
    with progress.running("sending a plain request"):
        plain, seconds = _ask_plainly(target)
    prober = _Prober(target, plain, seconds)
    trials = [prober.trial(case, number) for number, case in enumerate(load_cases(), 1)
              if matches(case.name, case.requirement, only)]  # fmt: skip
    return run_trials(target, trials, progress)


def _ask_plainly(target: Target) -> tuple[PlainAnswer, float]:
    """Send a plain request to *target*. Return the answer and the time in seconds."""
    host, port = target.address
    started = time.monotonic()
    first = wire.exchange(
        target.address,
        [sentinel(0)],
        silence_seconds=_FIRST_SECONDS,
        ends=False,
        quiet_seconds=_FIRST_QUIET_SECONDS,
        max_octets=_MAX_OCTETS,
    )
    seconds = time.monotonic() - started
    if first.ended_first:
        seconds = _seconds_to_first_octet(target)
    if first.ended == "refused":
        raise NothingTriedError(f"cannot connect to {host} port {port}: start the server first, or use --start")
    received = b"" if first.ended == "flooded" else first.received
    parsed = wire.read_responses(received, ["GET"], is_ended=first.ended == "closed")
    if not parsed.responses:
        says = dict.fromkeys(fault.says for fault in parsed.faults)
        faults = "; ".join(says) or f"{len(first.received)} bytes, then: {first.ended}"
        raise NothingTriedError(
            f"a plain request gets no valid response: {faults}\n  {wire.reproduce(host, port, sentinel(0))}"
        )
    answer = parsed.responses[0]
    plain = PlainAnswer(
        answer.status,
        b"/sentinel-0" in answer.content,
        _pipelines(target, answer.status),
        _fails(target, answer.status),
        closes=not first.ended_first,
    )
    return plain, seconds


def _seconds_to_first_octet(target: Target) -> float:
    """Return how many seconds *target* takes to send the first octet of an answer."""
    started = time.monotonic()
    wire.exchange(target.address, [sentinel(0)], silence_seconds=_FIRST_SECONDS, ends=False, max_octets=1)
    return time.monotonic() - started


def _fails(target: Target, status: int) -> bool:
    """Return whether *target* answers GET / with 500, although it answers another path with a different *status*.

    If it does, a 500 in answer to a case proves nothing.
    """
    octets = sentinel(0).replace(b"/sentinel-0", b"/")
    plain = wire.exchange(target.address, [octets], silence_seconds=_NEXT_SECONDS, ends=False, quiet_seconds=1.0)
    answers = wire.read_responses(plain.received, ["GET"], is_ended=plain.ended == "closed").responses
    return bool(answers) and answers[0].status == 500 != status


def _pipelines(target: Target, status: int) -> bool:
    """Return whether *target* answers two pipelined requests, or announces a close in its first answer.

    *status* is the status of the target's answer to a single request.
    """
    first = sentinel(0).replace(b"Connection: close\r\n", b"")
    parts = [first + sentinel(0)]
    both = wire.exchange(target.address, parts, silence_seconds=_NEXT_SECONDS, ends=False, quiet_seconds=1.0)
    answers = wire.read_responses(both.received, ["GET", "GET"], is_ended=both.ended == "closed").responses
    return bool(answers) and answers[0].status == status and (len(answers) > 1 or answers[0].closes)
