"""The fuzzer: differences.toml explains every difference between the parsers, and the fuzzer finds new differences."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.corpus.cases import load_cases
from conformance.parsers.drivers import read_by_h11, read_by_httpsock
from conformance.parsers.results import Difference, ParsedRequest, ParseResult, find_difference
from httpsock.http import request_parser

from . import search as fuzz
from .differences import CLASSES, PREDICATES, contradict, explain
from .generator import Generator, SeededRandom
from .lenient import LenientRequest
from .search import Finding, Findings, shrink, write_candidate

CORPUS = [case.octets for case in load_cases()]
SEED = 9112
INPUTS = 20_000


def difference_of(octets: bytes) -> Difference | None:
    """Parse *octets* with both parsers. Return the difference between the results."""
    return find_difference(octets, read_by_httpsock(octets), read_by_h11(octets))


# --- The bounded run ------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [2_500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_generated_inputs_make_no_finding(inputs: int) -> None:
    generator, findings = Generator(SeededRandom(SEED), CORPUS), Findings()
    for _ in range(inputs):
        findings.try_octets(generator.octets())
    assert not findings.found, [(finding.octets, finding.says) for finding in findings.found.values()]
    # Without many differences of many classes, the run would prove little.
    assert findings.differences > inputs / 20
    assert len(findings.classes) > 20


def test_the_cases_of_the_corpus_make_no_finding() -> None:
    """If the parsers differ on a case of the corpus, the difference is of a known kind."""
    findings = Findings()
    for octets in CORPUS:
        findings.try_octets(octets)
    assert not findings.found, [(finding.octets, finding.says) for finding in findings.found.values()]


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(random=st.randoms(use_true_random=False), is_broken=st.booleans())
def test_no_valid_request_and_no_request_with_one_fault_makes_a_finding(random: Random, *, is_broken: bool) -> None:
    """Hypothesis makes the choices of the generator.

    If there is a finding, hypothesis shrinks it to the simplest request.
    """
    findings = Findings()
    findings.try_octets(Generator(random, ()).pipeline(is_broken=is_broken))
    assert not findings.found


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(st.sampled_from(CORPUS), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3))))
def test_a_case_of_the_corpus_with_random_changes_makes_no_finding(
    octets: bytes, changes: list[tuple[int, bytes, int]]
) -> None:
    for position, added, removed in changes:
        octets = octets[:position] + added + octets[position + removed :]
    findings = Findings()
    findings.try_octets(octets)
    assert not findings.found


# --- The generator --------------------------------------------------------------------------------


def test_generators_with_the_same_seed_return_the_same_octets() -> None:
    first, second = (Generator(SeededRandom(SEED), CORPUS) for _ in range(2))
    assert [first.octets() for _ in range(200)] == [second.octets() for _ in range(200)]


def test_httpsock_accepts_every_generated_valid_request() -> None:
    """Requirements R033, R039, R069, R090 and others."""
    generator = Generator(SeededRandom(SEED), ())
    for _ in range(2000):
        octets = generator.pipeline(is_broken=False)
        result = read_by_httpsock(octets)
        assert result.refusal is None, (octets, result.refusal)
        assert result.requests[-1].closes or result.requests[-1].stop == len(octets)


# --- The classes ----------------------------------------------------------------------------------


def test_each_class_of_the_table_has_a_predicate_and_each_predicate_a_class() -> None:
    assert CLASSES.keys() == PREDICATES.keys()


def test_each_example_is_explained_by_its_own_class_alone() -> None:
    """The test also fails if the parsers no longer differ on an example in differences.toml."""
    explained = {}
    for name, entry in CLASSES.items():
        difference = difference_of(entry.example)
        explained[name] = explain(difference) if difference else []
    assert explained == {name: [name] for name in CLASSES}


def test_each_predicate_recognises_only_its_own_example() -> None:
    examples = {name: LenientRequest(entry.example) for name, entry in CLASSES.items()}
    seen = {name: [other for other in CLASSES if PREDICATES[name](examples[other])] for name in CLASSES}
    assert seen == {name: [name] for name in CLASSES}


def test_each_class_has_a_section_a_direction_and_a_reason() -> None:
    wrong = [
        name
        for name, entry in CLASSES.items()
        if not re.fullmatch(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*", entry.section)
        or entry.direction not in {"httpsock refuses", "h11 refuses", "neither refuses"}
        or not re.fullmatch(r"[A-Z].*; (h11|httpsock) .*\.", entry.says)
    ]
    assert not wrong


# --- Findings -------------------------------------------------------------------------------------


def read_like_h11(octets: bytes) -> ParseResult:
    """Parse *octets* with h11. Tests give this function to the fuzzer in place of httpsock's parser."""
    return read_by_h11(octets)


def test_it_is_a_finding_if_both_parsers_accept_a_request_that_one_should_refuse() -> None:
    finding = Findings(read_like_h11).try_octets(b"GET / HTTP/1.1\r\nHost: a/b\r\nX: y\r\n\r\n")
    assert finding is not None
    assert finding.kind == "both accept an-invalid-host"
    assert contradict(finding.octets) == ["an-invalid-host"]
    assert len(finding.octets) < len(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")


@pytest.fixture
def unmemoised() -> Iterator[None]:
    """Clear the parser's cache of heads before and after a test that changes the parser."""
    request_parser.known_heads.cache_clear()
    yield
    request_parser.known_heads.cache_clear()


@pytest.mark.usefixtures("unmemoised")
@pytest.mark.parametrize(
    ("name", "wrong", "octets"),
    [
        pytest.param(
            "http.request_parser.check_host",
            lambda *_: None,
            b"GET / HTTP/1.0\r\nHost:\r\n\r\n",
            id="any Host is accepted",
        ),
        pytest.param(
            "http.request_parser.is_persistent",
            lambda _, minor_version: minor_version == 1,
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            id="Connection: close is ignored",
        ),
        pytest.param(
            "http.grammar.chunk_line",
            lambda: re.compile(rb"(?P<size>[0-9A-F]+)(?P<extensions>)\r\n"),
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
            id="chunk sizes in lower case are refused",
        ),
        pytest.param(
            "http.target._check_authority_form",
            lambda _: None,
            b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
            id="CONNECT needs no port",
        ),
    ],
)
def test_an_error_put_into_the_parser_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: object, octets: bytes
) -> None:
    """The fuzzer finds the error with the given *octets*, and also with octets that it generates."""
    assert Findings().try_octets(octets) is None
    request_parser.known_heads.cache_clear()
    monkeypatch.setattr(f"httpsock.{name}", wrong)
    assert Findings().try_octets(octets) is not None
    findings, generator = Findings(), Generator(SeededRandom(SEED), CORPUS)
    while not findings.found and findings.inputs < INPUTS:
        findings.try_octets(generator.octets())
    assert findings.found


def test_an_exception_other_than_request_error_is_a_finding() -> None:

    def read(octets: bytes) -> ParseResult:
        return ParseResult((), crash="httpsock raised ValueError()") if b"!" in octets else read_by_httpsock(octets)

    finding = Findings(read).try_octets(b"GET /a!b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert finding == Finding(b"!", "httpsock raised ValueError()", "httpsock raised ValueError()")


def test_an_input_that_takes_too_long_is_a_finding() -> None:
    finding = Findings(max_seconds=-1.0).try_octets(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert finding is not None
    assert (finding.kind, finding.octets) == ("slow", b"")


def test_a_second_finding_of_the_same_kind_is_not_reported() -> None:
    findings = Findings(lambda octets: ParseResult((), f"never {len(octets)}"))
    assert findings.try_octets(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") is not None
    assert findings.try_octets(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n") is None
    assert len(findings.found) == 1


USUAL = ParsedRequest(b"GET", b"/", None, ((b"a", b"b"),), b"a", 10, closes=False)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(USUAL._replace(method=b"HEAD"), id="the method"),
        pytest.param(USUAL._replace(path=b"/b"), id="the path"),
        pytest.param(USUAL._replace(query=b""), id="no query and an empty one"),
        pytest.param(USUAL._replace(fields=((b"a", b"c"),)), id="the value of a field"),
        pytest.param(USUAL._replace(content=b"b"), id="the content"),
        pytest.param(USUAL._replace(stop=11), id="where the request ends"),
        pytest.param(USUAL._replace(closes=True), id="whether another request may follow"),
    ],
)
def test_results_differ_if_any_attribute_of_a_request_differs(other: ParsedRequest) -> None:
    usual = ParseResult((USUAL,))
    assert find_difference(b"." * 20, usual, usual) is None
    assert find_difference(b"." * 20, usual, ParseResult((other,))) is not None


def test_a_difference_starts_behind_the_last_request_that_both_parsers_agree_on() -> None:
    good, bad = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"
    difference = difference_of(good + bad)
    assert difference is not None
    assert difference.octets == bad
    assert difference.direction == "httpsock refuses"


# --- Shrinking and writing ------------------------------------------------------------------------


def test_shrinking_leaves_few_and_simple_octets() -> None:
    assert shrink(b"GET / HTTP/1.1\r\nX: !\r\nY: ?\r\n\r\n", lambda octets: b"!" in octets and b"?" in octets) == b"!?"
    assert shrink(b"hello world", lambda octets: len(octets) > 2) == b"aaa"


def test_a_finding_is_written_once_as_a_candidate_for_the_corpus(tmp_path: Path) -> None:
    """The octets of the finding become a file.

    The verdicts of both parsers become an entry in the form of cases.toml.
    """
    octets = b'GET /"\x7f HTTP/1.1\r\nHost: a\r\n\r\n'
    finding = Finding(octets, "kind", 'says "this"')
    path = write_candidate(tmp_path / "candidates", finding)
    assert write_candidate(tmp_path / "candidates", finding) == path
    assert path.read_bytes() == octets
    table = tomllib.loads((path.parent / "candidates.toml").read_text("utf-8"))
    expected = {"requirement": "R000", "section": "RFC 9112 §3", "httpsock": {"refused": 400}, "h11": "refused"}
    assert table == {path.stem: expected}


def test_the_entry_of_every_candidate_is_valid_toml(tmp_path: Path) -> None:
    paths = [write_candidate(tmp_path, Finding(entry.example, "kind", "says\nthis")) for entry in CLASSES.values()]
    table = tomllib.loads((tmp_path / "candidates.toml").read_text("utf-8"))
    assert list(table) == [path.stem for path in paths]


def test_without_a_finding_the_command_prints_counts_and_writes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = tmp_path / "candidates"
    assert fuzz.main(["--inputs", "300", "--seed", str(SEED), "--candidates", str(candidates)]) == 0
    output = capsys.readouterr()
    assert f"0 kinds of findings (seed {SEED})" in output.out
    assert output.out.splitlines()[-1].startswith("300 inputs, ")
    assert "100%" in output.err
    assert not candidates.exists()


@pytest.mark.parametrize("option", ["--minutes=nan", "--minutes=-1", "--inputs=-1"])
def test_a_limit_that_is_not_zero_or_more_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fuzz.main([option])
    assert ended.value.code == 2
    assert "give 0 or more" in capsys.readouterr().err


def test_a_run_of_zero_minutes_tries_no_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--minutes", "0", "--seed", "1", "--candidates", str(tmp_path / "candidates")]) == 0
    assert capsys.readouterr().out.endswith("0 inputs, 0 with a known difference, 0 kinds of findings (seed 1)\n")
