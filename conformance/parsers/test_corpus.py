"""Each case of the corpus, before both judges, however its octets are cut."""

import re
from collections.abc import Iterator

import pytest

from conformance.corpus.cases import CHAPTERS, FOLDER, Case, load_cases
from conformance.corpus.requirements import LEVELS, load_requirements

from .judges import JUDGES, Understood, Verdict, judge_by_h11, judge_by_httpsock

CASES = load_cases()
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
each_accepted_case = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name) for case in CASES if not case.is_refused]
)
each_refused_case = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name) for case in CASES if case.is_refused]
)

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNDERSTOOD_SENTINEL = Understood("GET", "/sentinel", 1, 0)


def cut_positions(octets: bytes, most_octets: int) -> Iterator[int]:
    """Yield the positions at which *octets* are cut in two: all, up to *most_octets*.

    Longer cases are one octet thousands of times, and cutting these everywhere would take half a minute. They are cut
    round their line ends, and at each 61st position between.
    """
    for position in range(1, len(octets)):
        around = octets[max(position - 2, 0) : position + 2]
        if len(octets) <= most_octets or b"\n" in around or b"\r" in around or position % 61 == 0:
            yield position


def in_octets(octets: bytes) -> list[bytes]:
    """Return *octets* one by one."""
    return [bytes([octet]) for octet in octets]


@each_case
def test_httpsock_makes_of_a_case_what_the_table_says(case: Case) -> None:
    """The defendant: the requests understood and the status of the refusal are as written down."""
    assert judge_by_httpsock([case.octets]) == case.expected["httpsock"]


@each_case
def test_h11_makes_of_a_case_what_the_table_says(case: Case) -> None:
    """The oracle: a new version of h11 that judges otherwise is noticed."""
    verdict = judge_by_h11([case.octets])
    assert verdict.agrees_with(case.expected["h11"]), verdict


@each_case
def test_a_difference_is_explained_and_nothing_else_is(case: Case) -> None:
    """Where the two differ the table says why, by section; where they agree it says nothing."""
    httpsock, h11 = judge_by_httpsock([case.octets]), judge_by_h11([case.octets])
    if httpsock.agrees_with(h11):
        assert case.why is None, "both agree: there is nothing to explain"
    else:
        assert case.why, f"not explained: httpsock says {httpsock}, h11 {h11}"
        assert re.search(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*", case.why), "the explanation names no section"
        assert case.why.endswith(".")


@each_case
def test_octet_by_octet_the_verdict_is_the_same(case: Case) -> None:
    """R001: a message is octets, however they are cut into reads."""
    assert judge_by_httpsock(in_octets(case.octets)) == case.expected["httpsock"]


@each_case
def test_cut_in_two_anywhere_the_verdict_is_the_same(case: Case) -> None:
    """R001: the same, with every place of the case at the border of two reads."""
    for position in cut_positions(case.octets, 10_000):
        verdict = judge_by_httpsock([case.octets[:position], case.octets[position:]])
        assert verdict == case.expected["httpsock"], f"cut at {position}"


@each_case
def test_octet_by_octet_h11_gives_the_same_verdict_or_the_table_says_why(case: Case) -> None:
    """The oracle is asked as the defendant is; and an excuse that is no longer needed is taken back."""
    verdict = judge_by_h11(in_octets(case.octets))
    if case.h11_in_parts is None:
        assert verdict.agrees_with(case.expected["h11"]), verdict
    else:
        assert verdict.is_refused
        assert not case.expected["h11"].is_refused
        assert re.search(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*", case.h11_in_parts)


@each_case
def test_cut_in_two_anywhere_h11_gives_the_same_verdict(case: Case) -> None:
    """Where h11 limits what is incomplete, it depends on the place of the cut whether it is."""
    for position in cut_positions(case.octets, 1000):
        verdict = judge_by_h11([case.octets[:position], case.octets[position:]])
        is_excused = case.h11_in_parts is not None and verdict.is_refused
        assert is_excused or verdict.agrees_with(case.expected["h11"]), f"cut at {position}: {verdict}"


@each_accepted_case
def test_a_request_behind_an_accepted_case_is_understood_as_itself(case: Case) -> None:
    """R052, R055: no octet of the case is left for the next request, and none of that is taken for the case."""
    accepted = case.expected["httpsock"].accepted
    is_last = bool(accepted) and accepted[-1].closes
    expected = Verdict(accepted if is_last else (*accepted, UNDERSTOOD_SENTINEL))
    assert judge_by_httpsock([case.octets + SENTINEL]) == expected


@each_refused_case
def test_a_request_behind_a_refused_case_is_never_understood(case: Case) -> None:
    """R007: nothing comes after a fault; and what only lacks its end takes octets of the sentinel into it."""
    assert UNDERSTOOD_SENTINEL not in judge_by_httpsock([case.octets + SENTINEL]).accepted


def test_each_file_of_the_corpus_is_in_the_table_and_nothing_else_is() -> None:
    """Neither a file nor an entry is forgotten."""
    assert sorted(path.name for path in FOLDER.glob("*/*.http")) == sorted(f"{case.name}.http" for case in CASES)
    assert sorted(path.parent.name for path in FOLDER.glob("*/*.toml")) == sorted(CHAPTERS)


def test_no_two_cases_have_the_same_octets() -> None:
    """Each case tries something of its own."""
    names: dict[bytes, str] = {}
    for case in CASES:
        assert names.setdefault(case.octets, case.name) == case.name


@each_case
def test_a_case_is_named_by_a_sentence_and_says_what_it_tries(case: Case) -> None:
    """The table can be read without the files."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", case.name)
    assert re.fullmatch(r"R(?!000)(0[0-9]{2}|1[0-3][0-9]|14[0-5])", case.requirement)
    assert re.fullmatch(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*", case.section)
    assert case.level in LEVELS
    assert set(case.also) <= load_requirements().keys() - {case.requirement}


@each_case
def test_what_httpsock_makes_of_a_case_is_among_what_is_allowed(case: Case) -> None:
    """Nobody else is asked for more than httpsock does."""
    status = case.expected["httpsock"].status
    assert set(case.allowed) <= {"accepted", "last", "refused"} | set(range(400, 600))
    if status is None:
        assert "accepted" in case.allowed
    else:
        assert "refused" in case.allowed or status in case.allowed


def test_no_explanation_is_longer_than_a_sentence_or_two() -> None:
    """The table is read by people."""
    assert [case.name for case in CASES if case.why and len(case.why) > 200] == []


def test_there_are_as_many_cases_as_promised() -> None:
    """Of each kind, too."""
    refused = [case for case in CASES if case.is_refused]
    assert len(CASES) >= 460
    assert 200 <= len(refused) <= len(CASES) - 150


def test_every_judge_is_in_the_table() -> None:
    """A new judge needs its column."""
    assert all(case.expected.keys() == JUDGES.keys() for case in CASES)
