"""Each case of the corpus through both parsers, however its octets are cut into reads.

Each test is a loop over all cases, and names every case that fails it.
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
    """Yield the positions at which *octets* are cut in two: all, up to *max_octets*.

    Longer cases repeat one octet thousands of times; a cut at every position would take half a minute. They are
    cut around their line ends, and at each 61st position between.
    """
    for position in range(1, len(octets)):
        around = octets[max(position - 2, 0) : position + 2]
        if len(octets) <= max_octets or b"\n" in around or b"\r" in around or position % 61 == 0:
            yield position


def in_octets(octets: bytes, max_octets: int) -> list[bytes]:
    """Return *octets* one by one up to *max_octets*, the rest, which repeats itself, in pieces of 61."""
    rest = [octets[start : start + 61] for start in range(max_octets, len(octets), 61)]
    return [bytes([octet]) for octet in octets[:max_octets]] + rest


def test_httpsock_reads_each_case_as_the_table_says() -> None:
    """The parser under test: the requests understood and the status of the refusal."""
    verdicts = {case.name: read_by_httpsock(case.octets).verdict for case in CASES}
    assert verdicts == {case.name: case.expected["httpsock"] for case in CASES}


def test_h11_reads_each_case_as_the_table_says() -> None:
    """The oracle: the test detects a new version of h11 with another verdict."""
    verdicts = {case.name: read_by_h11(case.octets).verdict for case in CASES}
    wrong = {
        case.name: verdicts[case.name] for case in CASES if not verdicts[case.name].agrees_with(case.expected["h11"])
    }
    assert not wrong


def test_each_difference_is_explained_and_only_differences_are() -> None:
    """Where the two parsers differ the table gives the reason, by section."""
    unexplained, needless = [], []
    for case in CASES:
        httpsock, h11 = read_by_httpsock(case.octets).verdict, read_by_h11(case.octets).verdict
        if httpsock.agrees_with(h11):
            needless += [case.name] * (case.why is not None)
        elif not case.why or not SECTION.search(case.why) or not case.why.endswith("."):
            unexplained.append((case.name, httpsock, h11))
    assert not needless, "both agree on these, and the table explains a difference"
    assert not unexplained, "without a sentence that names a section"


@pytest.mark.parametrize("max_octets", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_octet_by_octet_the_verdict_is_the_same(max_octets: int) -> None:
    """R001: a message is a sequence of octets, however it is cut into reads."""
    verdicts = {case.name: read_by_httpsock(*in_octets(case.octets, max_octets)).verdict for case in CASES}
    assert verdicts == {case.name: case.expected["httpsock"] for case in CASES}


@pytest.mark.parametrize("max_octets", [40, pytest.param(10_000, marks=pytest.mark.slow)])
def test_cut_in_two_anywhere_the_verdict_is_the_same(max_octets: int) -> None:
    """R001: the same, with every position of the case at the border of two reads."""
    wrong = [
        (case.name, position)
        for case in CASES
        for position in cut_positions(case.octets, max_octets)
        if read_by_httpsock(case.octets[:position], case.octets[position:]).verdict != case.expected["httpsock"]
    ]
    assert not wrong


@pytest.mark.parametrize("max_octets", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_octet_by_octet_h11_gives_the_same_verdict_or_the_table_explains_it(max_octets: int) -> None:
    """The test also detects an excuse that is no longer needed."""
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
def test_cut_in_two_anywhere_h11_gives_the_same_verdict() -> None:
    """h11 limits incomplete parts of a request, so a cut can lead to a refusal: the table says where."""
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


def test_a_request_behind_an_accepted_case_is_understood_as_itself() -> None:
    """R052, R055: the case ends at its last octet, and the next request starts there."""
    cases = [case for case in CASES if not case.is_refused]
    verdicts = {case.name: read_by_httpsock(case.octets + SENTINEL).verdict for case in cases}
    assert verdicts == {case.name: _with_sentinel(case) for case in cases}


def test_a_request_behind_a_refused_case_is_never_understood() -> None:
    """R007: parsing ends at a fault; a case that only lacks its end takes octets of the sentinel."""
    understood = [
        case.name
        for case in CASES
        if case.is_refused and UNDERSTOOD_SENTINEL in read_by_httpsock(case.octets + SENTINEL).verdict.accepted
    ]
    assert not understood


def test_the_table_marks_the_cases_that_are_refused_only_because_they_end() -> None:
    """These wait for more octets until the end of input; httpsock refuses all others without an end."""
    waiting = {
        case.name
        for case in CASES
        if case.is_refused and not read_by_httpsock(case.octets, is_ended=False).verdict.is_refused
    }
    assert waiting == {case.name for case in CASES if case.is_cut_short}


def test_every_parser_is_in_the_table() -> None:
    """A new parser needs its column."""
    assert all(case.expected.keys() == PARSERS.keys() for case in CASES)
