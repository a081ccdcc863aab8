"""The corpus against a running server.

A few connections at a time. Each has a time limit that follows from how fast the server answers a plain request: a
server that never answers costs seconds, not minutes. After *deadline* the rest is skipped, which is no failure.
Every reaction of the server becomes a Result.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from conformance.corpus.cases import Case, load_cases

from . import wire
from .probes import Judgement, PlainAnswer, Probe, judge, probe_of, sentinel
from .results import KEPT_OCTETS, NO_TIME, Outcome, Result

# The name of the first result; if it fails, the run stops.
FIRST = "the-server-answers-a-plain-request"

_CONNECTIONS = 8
_FIRST_SECONDS = 5.0
_CORPUS_SECONDS = 16.0
_MIN_SECONDS = 0.05
_MAX_OCTETS = 4 * 1024 * 1024
# After this many time-outs, less patience for the rest.
_MANY_TIMEOUTS = 12


class _Prober:
    """Sends cases to the server at *address*, which answers a plain request after *seconds*, until *deadline*."""

    def __init__(self, address: tuple[str, int], plain: PlainAnswer, seconds: float, deadline: float) -> None:
        self._address = address
        self._plain = plain
        self._patience = min(max(10 * seconds, 0.5), 1.5)
        self._seconds = min(max(50 * seconds, 2.0), 4.0)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._timeouts = 0

    def probe(self, case: Case, number: int) -> Result:
        """Return what the server makes of *case*."""
        probe = probe_of(case, number)
        if time.monotonic() > self._deadline:
            return self._result(probe, wire.Transcript(b"", b"", "timed out"), Outcome.SKIPPED, "", NO_TIME)
        transcript = self._exchange(probe)
        if transcript.ended == "timed out" and time.monotonic() > self._deadline:
            return self._result(probe, transcript, Outcome.SKIPPED, "", NO_TIME)
        # An endless response is not parsed: that would take longer than sending it.
        received = b"" if transcript.ended == "flooded" else transcript.received
        reading = wire.read_responses(received, probe.methods, is_ended=transcript.ended == "closed")
        if speaks_http_2(transcript):
            return self._result(probe, transcript, Outcome.SKIPPED, "", "the server speaks HTTP/2, which is no fault")
        judgement = _judgement(probe, number, transcript, reading, self._plain)
        if judgement.why is None:
            return self._result(probe, transcript, Outcome.PASSED, "", "")
        level = "SHOULD" if judgement.is_should and case.level == "MUST" else ""
        result = self._result(probe, transcript, Outcome.FAILED, level, judgement.why)
        if judgement.requirement is None:
            return result
        return result._replace(requirement=judgement.requirement, level="MUST")

    def _exchange(self, probe: Probe) -> wire.Transcript:
        """Probe *probe*; a server that never closes has less and less time for it."""
        is_slow = self._timeouts >= _MANY_TIMEOUTS
        left = max(self._deadline - time.monotonic(), _MIN_SECONDS)
        transcript = wire.exchange(
            self._address,
            [probe.octets],
            seconds=min(0.5 if is_slow else self._seconds, left),
            ends=probe.case.is_cut_short,
            patience=0.25 if is_slow else self._patience,
            max_octets=_MAX_OCTETS,
        )
        if transcript.ended == "timed out":
            with self._lock:
                self._timeouts += 1
        return transcript

    def _result(self, probe: Probe, transcript: wire.Transcript, outcome: Outcome, level: str, why: str) -> Result:
        host, port = self._address
        again = wire.reproduce(host, port, probe.octets)
        level = level or probe.case.level
        received = transcript.received[:KEPT_OCTETS]
        return Result(probe.case.name, probe.case.requirement, level, outcome, why, transcript.sent, received, again)


def speaks_http_2(transcript: wire.Transcript) -> bool:
    """Return whether the server took the preface of HTTP/2 for one, and answered with a SETTINGS frame."""
    return transcript.sent.startswith(b"PRI * HTTP/2.0") and transcript.received[3:4] == b"\x04"


def _judgement(
    probe: Probe, number: int, transcript: wire.Transcript, reading: wire.Reading, plain: PlainAnswer
) -> Judgement:
    """Return whether what was received passes: in its form, then in its meaning."""
    if transcript.ended == "refused":
        return Judgement("the connection is refused")
    if transcript.ended == "flooded":
        return Judgement(f"more than {_MAX_OCTETS} bytes without an end")
    faults = list(dict.fromkeys(reading.faults))
    lacks_allow = all("Allow" in fault for fault in faults)
    is_simple = all("no start of a response" in fault for fault in faults)
    judgement = judge(probe, number, reading, transcript.ended, plain)
    # Whole responses show how the server read the case, even with faults in them or behind them.
    is_judged = not faults or lacks_allow or (is_simple and bool(reading.responses))
    if not faults or (is_judged and judgement.why is not None and not judgement.is_should):
        return judgement
    if is_simple and probe.case.is_refused:
        # It may be a response of HTTP/0.9 to an invalid request of HTTP/1; RFC 9112 §2.2 has no MUST on that.
        return Judgement("; ".join(faults), is_should=True)
    return Judgement("; ".join(faults), requirement="R100" if lacks_allow else "R115")


def check_corpus(address: tuple[str, int], deadline: float | None = None) -> Iterator[Result]:
    """Yield what the server at *address* makes of each case until *deadline*, in the order of the table."""
    started = time.monotonic()
    first = wire.exchange(address, [sentinel(0)], seconds=_FIRST_SECONDS, ends=False, patience=2.0, max_octets=2**22)
    seconds = time.monotonic() - started
    answers = wire.read_responses(first.received, ["GET"], is_ended=first.ended == "closed").responses
    if not answers:
        again = wire.reproduce(*address, sentinel(0))
        why = f"a plain request gets no answer that is a response: {first.ended}"
        received = first.received[:KEPT_OCTETS]
        yield Result(FIRST, "R097", "MUST", Outcome.FAILED, why, sentinel(0), received, again)
        return
    # A server that closes only when we have ended is not slow.
    plain = PlainAnswer(answers[0].status, b"/sentinel-0" in answers[0].content)
    prober = _Prober(address, plain, seconds, deadline or started + _CORPUS_SECONDS)
    cases = load_cases()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        yield from pool.map(prober.probe, cases, range(1, len(cases) + 1))
