"""The live check: the corpus and the static semantics, played against any running server.

A few connections at a time, each with a time limit that follows how fast the server answers a plain request, so that
one that answers nothing costs seconds, not minutes; and one limit for all, behind which nothing more is tried: what
was not, or was cut off by it, is skipped and no fault. Whatever the server sends becomes a Result.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import NamedTuple

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.requirements import chapter_of, load_requirements
from conformance.semantics import checks as semantics

from . import wire
from .plays import Plain, Play, Verdict, judge, play_of, sentinel

# What is tried before anything else; if it fails, nothing else is tried.
FIRST = "the-server-answers-a-plain-request"

_CONNECTIONS = 8
_FIRST_SECONDS = 5.0
# From the start of the check to the end of each part.
_CORPUS_SECONDS = 16.0
_SEMANTICS_SECONDS = 27.0
_LEAST_SECONDS = 0.05
_MOST_OCTETS = 4 * 1024 * 1024
# What a Result keeps of what was received: of a server that never ends, not megabytes for each case.
_MOST_KEPT_OCTETS = 64 * 1024
NO_TIME = "no time was left"
# After so many connections that were waited for in vain, less patience for the rest.
_MANY_TIMEOUTS = 12


class Outcome(Enum):
    """What became of a case or a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(NamedTuple):
    """One case or check against one server: what came of it, and, if it failed, why and how to see that again."""

    name: str
    requirement: str
    level: str
    outcome: Outcome
    why: str
    sent: bytes
    received: bytes
    reproduce: str


class _Player:
    """Plays cases against the server at *address*, which answers a plain request after *seconds*, until *deadline*."""

    def __init__(self, address: tuple[str, int], plain: Plain, seconds: float, deadline: float) -> None:
        self._address = address
        self._plain = plain
        self._patience = min(max(10 * seconds, 0.5), 1.5)
        self._seconds = min(max(50 * seconds, 2.0), 4.0)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._timeouts = 0

    def play(self, case: Case, number: int) -> Result:
        """Return what the server makes of *case*."""
        play = play_of(case, number)
        if time.monotonic() > self._deadline:
            return self._result(play, wire.Transcript(b"", b"", "timed out"), Outcome.SKIPPED, "", NO_TIME)
        transcript = self._exchange(play)
        if transcript.ended == "timed out" and time.monotonic() > self._deadline:
            return self._result(play, transcript, Outcome.SKIPPED, "", NO_TIME)
        # What never ends is not read either: that would take longer than it took to send.
        received = b"" if transcript.ended == "flooded" else transcript.received
        reading = wire.read_responses(received, play.methods, is_ended=transcript.ended == "closed")
        if speaks_http_2(transcript):
            return self._result(play, transcript, Outcome.SKIPPED, "", "the server speaks HTTP/2, which is no fault")
        verdict = _verdict(play, number, transcript, reading, self._plain)
        if verdict.why is None:
            return self._result(play, transcript, Outcome.PASSED, "", "")
        level = "SHOULD" if verdict.is_should and case.level == "MUST" else ""
        result = self._result(play, transcript, Outcome.FAILED, level, verdict.why)
        if verdict.requirement is None:
            return result
        return result._replace(requirement=verdict.requirement, level="MUST")

    def _exchange(self, play: Play) -> wire.Transcript:
        """Play *play*; a server that never closes has less and less time for it."""
        is_slow = self._timeouts >= _MANY_TIMEOUTS
        left = max(self._deadline - time.monotonic(), _LEAST_SECONDS)
        transcript = wire.exchange(
            self._address,
            [play.octets],
            seconds=min(0.5 if is_slow else self._seconds, left),
            ends=play.is_cut_short,
            patience=0.25 if is_slow else self._patience,
            most_octets=_MOST_OCTETS,
        )
        if transcript.ended == "timed out":
            with self._lock:
                self._timeouts += 1
        return transcript

    def _result(self, play: Play, transcript: wire.Transcript, outcome: Outcome, level: str, why: str) -> Result:
        host, port = self._address
        again = wire.reproduce(host, port, play.octets)
        level = level or play.case.level
        received = transcript.received[:_MOST_KEPT_OCTETS]
        return Result(play.case.name, play.case.requirement, level, outcome, why, transcript.sent, received, again)


def speaks_http_2(transcript: wire.Transcript) -> bool:
    """Return whether the server took the preface of HTTP/2 for one, and answered with a SETTINGS frame."""
    return transcript.sent.startswith(b"PRI * HTTP/2.0") and transcript.received[3:4] == b"\x04"


def _verdict(play: Play, number: int, transcript: wire.Transcript, reading: wire.Reading, plain: Plain) -> Verdict:
    """Return whether what was received passes: in its form, then in its meaning."""
    if transcript.ended == "refused":
        return Verdict("the connection is refused")
    if transcript.ended == "flooded":
        return Verdict(f"more than {_MOST_OCTETS} octets, and no end")
    faults = list(dict.fromkeys(reading.faults))
    lacks_allow = all("Allow" in fault for fault in faults)
    is_simple = all("no start of a response" in fault for fault in faults)
    verdict = judge(play, number, reading, transcript.ended, plain)
    # Responses that are whole show what the server has made of the case, whatever is wrong with them or behind them.
    is_judged = not faults or lacks_allow or (is_simple and bool(reading.responses))
    if not faults or (is_judged and verdict.why is not None and not verdict.is_should):
        return verdict
    if is_simple and play.case.is_refused:
        # It may be a response of HTTP/0.9 to what is no request of HTTP/1; RFC 9112 §2.2 has no MUST on that.
        return Verdict("; ".join(faults), is_should=True)
    return Verdict("; ".join(faults), requirement="R100" if lacks_allow else "R115")


def check_corpus(address: tuple[str, int], deadline: float | None = None) -> Iterator[Result]:
    """Yield what the server at *address* makes of each case until *deadline*, in the order of the table."""
    started = time.monotonic()
    first = wire.exchange(address, [sentinel(0)], seconds=_FIRST_SECONDS, ends=False, patience=2.0, most_octets=2**22)
    seconds = time.monotonic() - started
    answers = wire.read_responses(first.received, ["GET"], is_ended=first.ended == "closed").responses
    if not answers:
        again = wire.reproduce(*address, sentinel(0))
        why = f"a plain request gets no answer that is a response: {first.ended}"
        received = first.received[:_MOST_KEPT_OCTETS]
        yield Result(FIRST, "R097", "MUST", Outcome.FAILED, why, sentinel(0), received, again)
        return
    # A server that closes only when we have ended is not slow.
    plain = Plain(answers[0].status, b"/sentinel-0" in answers[0].content)
    player = _Player(address, plain, seconds, deadline or started + _CORPUS_SECONDS)
    cases = load_cases()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        yield from pool.map(player.play, cases, range(1, len(cases) + 1))


def check_semantics(address: tuple[str, int], deadline: float) -> Iterator[Result]:
    """Yield what each check of the static semantics says of the server at *address* until *deadline*.

    All are skipped for another folder than the known one.
    """
    if not semantics.is_served(semantics.Talk(address, deadline=deadline)):
        why = "the server doesn't serve the known folder: see --start"
        for check_ in semantics.CHECKS:
            yield Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, why, b"", b"", "")
        return
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        yield from pool.map(partial(_semantic, address, deadline), semantics.CHECKS)


def _semantic(address: tuple[str, int], deadline: float, check_: semantics.Check) -> Result:
    """Return what *check_* says of the server at *address*; after *deadline* it is not asked."""
    if time.monotonic() > deadline:
        return Result(check_.name, check_.requirement, check_.level, Outcome.SKIPPED, NO_TIME, b"", b"", "")
    talk = semantics.Talk(address, deadline=deadline)
    outcome = Outcome.FAILED
    try:
        why = check_.run(talk) or ""
        outcome = Outcome.FAILED if why else Outcome.PASSED
    except semantics.InapplicableError as reason:
        outcome, why = Outcome.SKIPPED, str(reason)
    except Exception as error:
        # The checks read what may be anything. That they can't is for their author to mend, and no reason to stop.
        why = f"the answer is none that the check can read ({type(error).__name__}: {error})"
    if outcome is Outcome.FAILED and time.monotonic() > deadline:
        outcome, why = Outcome.SKIPPED, NO_TIME
    transcript = talk.transcript or wire.Transcript(b"", b"", "refused")
    again = wire.reproduce(*address, transcript.sent)
    received = transcript.received[:_MOST_KEPT_OCTETS]
    return Result(check_.name, check_.requirement, check_.level, outcome, why, transcript.sent, received, again)


def chapter_of_result(result: Result) -> str:
    """Return the chapter that what *result* tries is in."""
    requirement = load_requirements().get(result.requirement)
    return chapter_of(requirement.section if requirement else "practice")


def section_of_result(result: Result) -> str:
    """Return the section that says what *result* tries."""
    requirement = load_requirements().get(result.requirement)
    return requirement.section if requirement else ""


def matches(result: Result, only: str | None) -> bool:
    """Return whether *only* is None or is part of the name, the requirement or the chapter of *result*."""
    if only is None:
        return True
    return any(
        only.lower() in text.lower()
        for text in (result.name, result.requirement, section_of_result(result), chapter_of_result(result))
    )


def check(address: tuple[str, int], only: str | None = None) -> list[Result]:
    """Return all results for the server at *address*, or those that match *only*."""
    started = time.monotonic()
    results = list(check_corpus(address, started + _CORPUS_SECONDS))
    if results[0].name == FIRST:
        return results
    results += check_semantics(address, started + _SEMANTICS_SECONDS)
    return [result for result in results if matches(result, only)]


def breaks_a_must(results: list[Result]) -> bool:
    """Return whether one of *results* says that a MUST is broken."""
    return any(result.outcome is Outcome.FAILED and result.level.startswith("MUST") for result in results)
