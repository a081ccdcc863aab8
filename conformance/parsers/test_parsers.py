"""Both parsers read each case of the corpus, in one read and in several.

Each test is a loop over all cases, and lists every case that fails.
"""

import re
from collections.abc import Iterator

import pytest

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.verdicts import Understood, Verdict

from .drivers import PARSERS, read_by_h11, read_by_httpsock

CASES = load_cases()
SECTION = re.compile(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*")
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNDERSTOOD_SENTINEL = Understood("GET", "/sentinel", 1, 0)


def cut_positions(octets: bytes, max_octets: int) -> Iterator[int]:
    """Yield the positions at which to cut *octets* in two. Up to a length of *max_octets*, yield every position.

    Longer cases repeat one octet thousands of times. To save time, yield only positions around line ends and each 61st
    position.
    """
    for position in range(1, len(octets)):
        around = octets[max(position - 2, 0) : position + 2]
        if len(octets) <= max_octets or b"\n" in around or b"\r" in around or position % 61 == 0:
            yield position


def in_octets(octets: bytes, max_octets: int) -> list[bytes]:
    """Cut the first *max_octets* octets into single octets, and the rest into pieces of 61 octets."""
    rest = [octets[start : start + 61] for start in range(max_octets, len(octets), 61)]
    return [bytes([octet]) for octet in octets[:max_octets]] + rest


def test_httpsock_reaches_the_verdict_of_the_table_in_each_case() -> None:
    verdicts = {case.name: read_by_httpsock(case.octets).verdict for case in CASES}
    assert verdicts == {case.name: case.expected["httpsock"] for case in CASES}


def test_h11_reaches_the_verdict_of_the_table_in_each_case() -> None:
    """If a new version of h11 reads a case differently, this test fails."""
    verdicts = {case.name: read_by_h11(case.octets).verdict for case in CASES}
    wrong = {
        case.name: verdicts[case.name] for case in CASES if not verdicts[case.name].agrees_with(case.expected["h11"])
    }
    assert not wrong


def test_the_table_gives_a_reason_exactly_if_the_parsers_differ() -> None:
    """Each reason names a section of an RFC."""
    unexplained, needless = [], []
    for case in CASES:
        httpsock, h11 = read_by_httpsock(case.octets).verdict, read_by_h11(case.octets).verdict
        if httpsock.agrees_with(h11):
            needless += [case.name] * (case.why is not None)
        elif not case.why or not SECTION.search(case.why) or not case.why.endswith("."):
            unexplained.append((case.name, httpsock, h11))
    assert not needless, "the table gives a reason, but the parsers agree"
    assert not unexplained, "the table gives no reason with a section"


@pytest.mark.parametrize("max_octets", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_httpsock_reaches_the_same_verdict_octet_by_octet(max_octets: int) -> None:
    """Requirement R001: the cuts between reads do not change the meaning of a message."""
    verdicts = {case.name: read_by_httpsock(*in_octets(case.octets, max_octets)).verdict for case in CASES}
    assert verdicts == {case.name: case.expected["httpsock"] for case in CASES}


@pytest.mark.parametrize("max_octets", [40, pytest.param(10_000, marks=pytest.mark.slow)])
def test_httpsock_reaches_the_same_verdict_on_a_case_cut_in_two(max_octets: int) -> None:
    """Requirement R001: the cuts between reads do not change the meaning of a message."""
    wrong = [
        (case.name, position)
        for case in CASES
        for position in cut_positions(case.octets, max_octets)
        if read_by_httpsock(case.octets[:position], case.octets[position:]).verdict != case.expected["httpsock"]
    ]
    assert not wrong


@pytest.mark.parametrize("max_octets", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_h11_reaches_the_same_verdict_octet_by_octet_unless_the_table_gives_a_reason(max_octets: int) -> None:
    """The test also detects a reason that is no longer needed."""
    wrong = []
    for case in CASES:
        verdict = read_by_h11(*in_octets(case.octets, max_octets)).verdict
        expected = case.expected["h11"]
        if case.h11_in_parts is None:
            is_right = verdict.agrees_with(expected)
        else:
            is_right = verdict.is_refused and not expected.is_refused and bool(SECTION.search(case.h11_in_parts))
        wrong += [] if is_right else [(case.name, verdict)]
    assert not wrong


@pytest.mark.slow
def test_h11_reaches_the_same_verdict_on_a_case_cut_in_two_unless_the_table_gives_a_reason() -> None:
    """h11 limits the size of an event only while the event is incomplete. A cut can therefore lead to a refusal."""
    wrong = []
    for case in CASES:
        for position in cut_positions(case.octets, 1_000):
            verdict = read_by_h11(case.octets[:position], case.octets[position:]).verdict
            is_excused = case.h11_in_parts is not None and verdict.is_refused
            if not is_excused and not verdict.agrees_with(case.expected["h11"]):
                wrong.append((case.name, position, verdict))
    assert not wrong


def _with_sentinel(case: Case) -> Verdict:
    accepted = case.expected["httpsock"].accepted
    is_last = bool(accepted) and accepted[-1].closes
    return Verdict(accepted if is_last else (*accepted, UNDERSTOOD_SENTINEL))


def test_the_request_behind_an_accepted_case_starts_at_the_right_octet() -> None:
    """Requirements R052 and R055: the length of the content is read correctly."""
    cases = [case for case in CASES if not case.is_refused]
    verdicts = {case.name: read_by_httpsock(case.octets + SENTINEL).verdict for case in cases}
    assert verdicts == {case.name: _with_sentinel(case) for case in cases}


def test_the_request_behind_a_refused_case_is_never_parsed() -> None:
    """Requirement R007. If a case ends too early, the parser reads the octets behind it as the rest of the case."""
    understood = [
        case.name
        for case in CASES
        if case.is_refused and UNDERSTOOD_SENTINEL in read_by_httpsock(case.octets + SENTINEL).verdict.accepted
    ]
    assert not understood


def test_the_table_marks_the_cases_that_are_refused_only_because_they_end_too_early() -> None:
    """The marked cases are refused only at the end of input. Every other invalid case is refused earlier."""
    waiting = {
        case.name
        for case in CASES
        if case.is_refused and not read_by_httpsock(case.octets, is_ended=False).verdict.is_refused
    }
    assert waiting == {case.name for case in CASES if case.is_cut_short}


def test_each_case_has_a_verdict_for_each_parser() -> None:
    assert all(case.expected.keys() == PARSERS.keys() for case in CASES)
