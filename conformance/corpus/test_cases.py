"""The tables of the corpus match its files, and entries follow the rules. Each test lists every case that fails it."""

import re

from .cases import CHAPTERS, FOLDER, load_cases
from .requirements import LEVELS, load_requirements

CASES = load_cases()


def test_files_and_entries_of_each_chapter_match() -> None:
    """Each file has an entry in the table beside it, and each entry has a file."""
    files = sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.http"))
    assert files == sorted(f"{case.chapter}/{case.name}" for case in CASES)
    assert sorted(path.parent.name for path in FOLDER.glob("*/cases.toml")) == sorted(CHAPTERS)


def test_no_two_cases_have_the_same_name_or_octets() -> None:
    """A second case with the same octets would test nothing new."""
    assert len({case.name for case in CASES}) == len(CASES)
    names: dict[bytes, list[str]] = {}
    for case in CASES:
        names.setdefault(case.octets, []).append(case.name)
    assert [same for same in names.values() if len(same) > 1] == []


def test_each_case_has_a_valid_name_requirement_section_and_level() -> None:
    wrong = [
        case.name
        for case in CASES
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", case.name)
        or not re.fullmatch(r"R(?!000)(0[0-9]{2}|1[0-3][0-9]|14[0-5])", case.requirement)
        or not re.fullmatch(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*", case.section)
        or case.level not in LEVELS
        or not set(case.also) <= load_requirements().keys() - {case.requirement}
    ]
    assert not wrong


def test_the_behaviour_that_a_case_allows_includes_that_of_httpsock() -> None:
    """The command ``check`` must not fail httpsock for a correct answer."""
    wrong = []
    for case in CASES:
        status = case.expected["httpsock"].status
        is_known = set(case.allowed) <= {"accepted", "last", "refused"} | set(range(400, 600))
        is_allowed = "accepted" in case.allowed if status is None else {"refused", status} & set(case.allowed)
        wrong += [] if is_known and is_allowed else [case.name]
    assert not wrong


def test_no_explanation_is_longer_than_a_sentence_or_two() -> None:
    """The limit is 200 characters."""
    assert [case.name for case in CASES if case.why and len(case.why) > 200] == []


def test_the_corpus_has_many_accepted_and_many_refused_cases() -> None:
    refused = [case for case in CASES if case.is_refused]
    assert len(CASES) >= 460
    assert 200 <= len(refused) <= len(CASES) - 150
