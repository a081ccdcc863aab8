"""Fairness: allowed behaviour never fails, and each message describes what the server did."""

import socket
from collections.abc import Callable
from functools import partial

import pytest

from conformance import check as command
from conformance.corpus.cases import load_cases
from conformance.corpus.requirements import load_requirements
from conformance.semantics.broken_servers import Behaviour, answer_always, answer_the_file, respond, running
from conformance.semantics.checks import CHECKS
from conformance.semantics.session import InapplicableError, Session

from . import causes, outputs
from .corpus_run import check_corpus
from .probes import PlainAnswer, judge, probe_of
from .responses import ParsedResponses, Response, read_responses
from .results import NO_TIME, Outcome, Result
from .target import Target
from .testing import Script, serving, wait

_CASES = {case.name: case for case in load_cases()}
# The status of the answer to a sentinel sent alone, and to every request for a missing file.
_MISSING = 404


def verdict_on(name: str, *statuses: int) -> tuple[str | None, bool]:
    """Judge a server that answers a case with *statuses*. The last status is for the plain request behind the case.

    Return the reason of a failure or None, and whether it breaks only a SHOULD.
    """
    answers = [Response(status, b"", (), b"", b"") for status in statuses]
    verdict = judge(
        probe_of(_CASES[name], 1),
        1,
        ParsedResponses(answers, b"", [], []),
        "closed",
        PlainAnswer(_MISSING, echoes=False),
    )
    return verdict.why, verdict.is_should


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        pytest.param("a-target-with-a-fragment", [301, 404], id="a redirect to the encoded form (RFC 9112 §3.2)"),
        pytest.param("a-target-with-a-broken-escape", [308, 404], id="a redirect for a broken escape"),
        pytest.param("asterisk-form-in-a-get", [404, 404], id="404 for a GET of an asterisk"),
        pytest.param("an-empty-length-beside-a-length", [404, 404], id="empty list members (RFC 9110 §5.6.1.2)"),
        pytest.param("a-length-with-a-comma-first", [404, 404], id="empty list members in one line"),
        pytest.param("a-length-with-a-bare-cr", [404, 404], id="a bare CR replaced by SP (RFC 9112 §2.2)"),
        pytest.param("a-length-with-a-nul", [404, 404], id="NUL replaced by SP (RFC 9110 §5.5)"),
        pytest.param("a-trailer-with-a-vt", [404, 404], id="another control character kept (RFC 9110 §5.5)"),
        pytest.param("a-field-line-without-end", [200], id="a higher limit for a line than that of httpsock"),
        pytest.param("a-host-of-a-future-address", [400], id="an address of no known version (RFC 3986 §3.2.2)"),
        pytest.param("close-among-options-within-quotes", [200, 404], id="an option in quotes is no option"),
        pytest.param("a-get-with-content", [400], id="content in GET may be refused (RFC 9110 §9.3.1)"),
        pytest.param("an-upgrade-that-is-not-taken", [400], id="a handshake without its key (RFC 6455 §4.2.1)"),
        pytest.param("a-length-among-the-trailers-frames-nothing", [400], id="a forbidden trailer (RFC 9110 §6.5.1)"),
        pytest.param(
            "a-host-among-the-trailers-alone", [400, 404], id="a 400 for a missing Host leaves the connection open"
        ),
        pytest.param("two-hosts-beside-an-absolute-form", [404, 404], id="Host ignored (RFC 9112 §3.2.2)"),
        pytest.param("no-host", [400, 404], id="a 400 to a valid head leaves the connection open (RFC 9112 §2.2)"),
        pytest.param(
            "a-chunk-size-with-a-plus", [404, 400], id="an answer before faulty content is read (RFC 9112 §9.3)"
        ),
        pytest.param("trailers-cut-short", [404, 400], id="an answer before incomplete content is read (RFC 9112 §8)"),
        pytest.param("http-2-0", [505, 404], id="a 505 leaves the connection open (RFC 9110 §15.6.6)"),
        pytest.param("http-1-0-that-asks-to-persist", [200], id="HTTP/1.0 closes unannounced (RFC 9112 §9.3)"),
        pytest.param("two-http-1-0-requests-on-one-connection", [200], id="HTTP/1.0 does not persist (RFC 9112 §9.3)"),
        pytest.param(
            "a-length-with-more-zeros-than-64-bits-have-digits",
            [400],
            id="a length in a hundred digits (RFC 9110 §8.6)",
        ),
    ],
)
def test_behaviour_that_the_rfc_allows_passes(name: str, statuses: list[int]) -> None:
    assert verdict_on(name, *statuses) == (None, False)


@pytest.mark.parametrize(
    ("name", "statuses", "why"),
    [
        pytest.param(
            "a-length-before-transfer-encoding",
            [404, 404],
            "must close after the last",
            id="a request framed twice is processed, and the connection stays open (RFC 9112 §6.1)",
        ),
        pytest.param(
            "close-beside-keep-alive",
            [200, 200, 404],
            "must close after the last",
            id="close is one of two options (RFC 9112 §9.6)",
        ),
        pytest.param(
            "a-target-with-a-fragment",
            [404, 404],
            "the request is accepted and answered with 404; it must be refused",
            id="an invalid target is repaired silently (RFC 9112 §3.2)",
        ),
        pytest.param(
            "an-empty-length",
            [411],
            "answered with 411, not with 400",
            id="another status than the required one (RFC 9112 §6.3)",
        ),
        pytest.param(
            "a-get-with-content",
            [200, 501],
            "the next request is answered with 501",
            id="content read as a request (RFC 9112 §6.3)",
        ),
        pytest.param("a-field-line-without-end", [200, 404], "one line", id="a line read as two requests"),
        pytest.param("connect-to-a-path", [200], "tunnel", id="a 2xx to CONNECT (RFC 9110 §9.3.6)"),
    ],
)
def test_a_verdict_describes_what_the_server_did(name: str, statuses: list[int], why: str) -> None:
    found, is_should = verdict_on(name, *statuses)
    assert found is not None
    assert why in found
    assert not is_should


@pytest.mark.parametrize(
    ("name", "statuses", "requirement"),
    [
        pytest.param("a-request-and-then-none", [400], "R090", id="a valid request refused for what is behind it"),
        pytest.param("no-host", [500], "R116", id="a failure of the server"),
        pytest.param("what-is-no-request-behind-close-is-not-read", [400], "R090", id="what follows close is read"),
        pytest.param("http-1-0-with-host", [200, 404], "R087", id="HTTP/1.0 persists without being asked to"),
        pytest.param("a-field-line-without-a-colon", [400, 404], "R006", id="the connection stays open after a 400"),
        pytest.param("a-get-with-host-alone", [200], "R086", id="a close without announcement"),
    ],
)
def test_a_fault_that_the_case_is_not_about_is_reported_under_its_own_requirement(
    name: str, statuses: list[int], requirement: str
) -> None:
    """Such a fault breaks only a requirement below MUST, even if the case tests a MUST."""
    answers = [Response(status, b"", (), b"", b"") for status in statuses]
    judgement = judge(
        probe_of(_CASES[name], 1),
        1,
        ParsedResponses(answers, b"", [], []),
        "closed",
        PlainAnswer(_MISSING, echoes=False),
    )
    assert judgement.requirement == requirement
    assert load_requirements()[requirement].level != "MUST"


def _answer_alone(is_alone: Callable[[bytes], bool]) -> Script:
    """Return the behaviour of a server that reads each connection once.

    If *is_alone* returns true for these octets, the server answers each request with 404. Otherwise it sends one 400.
    """

    def script(connected: socket.socket) -> None:
        octets = connected.recv(65536)
        if is_alone(octets):
            connected.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" * octets.count(b" HTTP/1."))
        else:
            connected.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connected.shutdown(socket.SHUT_WR)
        wait(connected)

    return script


def test_a_server_without_pipelining_gets_each_case_without_a_sentinel() -> None:
    """The server in this test refuses several requests in one read, so it would refuse a case with a sentinel.

    A case that has several requests fails under R090, pipelining.
    """
    with serving(_answer_alone(lambda octets: octets.count(b" HTTP/1.") == 1)) as address:
        results = {result.name: result for result in check_corpus(Target(address), "R0")}
    assert results["a-get-with-host-alone"].outcome is Outcome.PASSED
    assert results["http-1-0-with-host"].outcome is Outcome.PASSED
    assert results["no-host"].why == "the request is answered with 404, not with 400"
    assert (results["ten-requests"].requirement, results["ten-requests"].level) == ("R090", "SHOULD")


def test_a_case_that_fails_only_with_a_request_behind_it_is_reported_as_pipelining() -> None:
    """The server in this test refuses two requests in one read if one of them is HTTP/1.0."""
    with serving(_answer_alone(lambda octets: b"/sentinel" not in octets or b"HTTP/1.0" not in octets)) as address:
        results = {result.name: result for result in check_corpus(Target(address), "R034")}
    found = results["http-1-0-with-host"]
    assert (found.requirement, found.level) == ("R090", "SHOULD")
    assert found.why.startswith("sent alone, it is answered; with a request behind it, request 1 must be accepted, but")


def _never_close(connected: socket.socket) -> None:
    """Answer each request. Never close the connection first."""
    while octets := connected.recv(65536):
        connected.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" * octets.count(b" HTTP/1."))


def test_a_server_that_never_closes_fails_the_check_on_closing_and_delays_no_case() -> None:
    """After a moment of silence, the client closes its side, so no case waits for its time limit."""
    name = "The connection closes behind the response to a request that asks to close"
    with serving(_never_close) as address:
        target = Target(address)
        results = {result.name: result for result in check_corpus(target, "R089")}
        check = next(check for check in CHECKS if check.name == name)
        fault = check.run(Session(address, silence_seconds=2, quiet_seconds=target.quiet_seconds))
    assert {result.outcome for result in results.values()} == {Outcome.PASSED}
    assert target.quiet_seconds is not None
    assert fault == "the connection stays open behind the response"


def _answer_simply(connected: socket.socket) -> None:
    """Answer a plain request correctly. Answer anything else with content alone, as in HTTP/0.9."""
    octets = connected.recv(65536)
    is_plain = octets.startswith(b"GET /sentinel") or b"/ HTTP/1.1\r\nHost: localhost\r\n\r\n" in octets
    connected.sendall(
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" * octets.count(b" HTTP/1.") if is_plain else b"<p>"
    )
    connected.shutdown(socket.SHUT_WR)
    while connected.recv(65536):
        pass


def test_a_response_without_a_head_passes_only_for_a_request_of_http_0_9() -> None:
    """RFC 1945 §6: an HTTP/0.9 response has no status line and no fields."""
    with serving(_answer_simply) as address:
        results = {result.name: result for result in check_corpus(Target(address), "R013")}
        wrong = {result.name: result for result in check_corpus(Target(address), "R008")}
    assert results["http-0-9-has-no-version"].outcome is Outcome.PASSED
    assert results["http-0-9-spelt-out"].outcome is Outcome.PASSED
    assert wrong["http-name-in-lower-case"].why == "'<p>' is not the start of a response (RFC 9112 §4)"


@pytest.mark.parametrize(
    ("name", "field", "why"),
    [
        pytest.param("connect-to-a-host-and-port", b"x", None, id="a tunnel, which an origin server may open"),
        pytest.param(
            "connect-to-a-host-and-port", b"content-length",
            "CONNECT is answered with 200, which opens a tunnel, but has Content-Length", id="content in place of one",
        ),
        pytest.param(
            "connect-to-no-port", b"x", "CONNECT without a valid port is answered with 200, which opens a tunnel",
            id="a tunnel to no port",
        ),
    ],
)  # fmt: skip
def test_a_2xx_to_connect_needs_a_valid_port_and_no_content(name: str, field: bytes, why: str | None) -> None:
    """RFC 9110 §9.3.6: an origin server may accept CONNECT, but its 2xx must not have Content-Length."""
    parsed = ParsedResponses([Response(200, b"", ((field, b"5"),), b"", b"")], b"", [], [])
    verdict = judge(probe_of(_CASES[name], 1), 1, parsed, "closed", PlainAnswer(_MISSING, echoes=False))
    assert (verdict.why, verdict.is_should) == (why, False)


def _run(name: str, behaviour: Behaviour) -> str | None:
    """Run the check called *name* on a broken server. Return the fault or None."""
    check = next(check for check in CHECKS if check.name == name)
    with running(behaviour) as address:
        return check.run(Session(address))


@pytest.mark.parametrize("name", ["get is not GET", "GETT is not GET"])
def test_a_server_that_ignores_the_method_does_not_fail_the_checks_on_similar_methods(name: str) -> None:
    """A server that ignores the method fails only the check on unknown methods (RFC 9110 §9.1)."""
    with pytest.raises(InapplicableError):
        _run(name, answer_the_file)
    assert _run("An unknown method gets 501", answer_the_file)


def _answer_loosely(request: bytes) -> bytes:
    """Answer every method that starts with GE or ge with the file, and any other method with 405."""
    return answer_the_file(request) if request[:2].upper() == b"GE" else respond(405, Allow="GET")


def test_a_server_that_distinguishes_methods_fails_if_it_treats_get_in_lower_case_as_get() -> None:
    assert _run("get is not GET", _answer_loosely) == "get is answered with 200"


def test_a_redirect_of_connect_opens_no_tunnel_but_a_200_does() -> None:
    """RFC 9110 §9.3.6: only a 2xx opens a tunnel."""
    assert _run("CONNECT opens no tunnel", partial(answer_always, 301)) is None
    assert _run("CONNECT opens no tunnel", partial(answer_always, 200))


def test_a_server_that_does_not_know_a_type_does_not_fail() -> None:
    """RFC 9110 §8.3: a server need not know the type of a file."""

    def answer_bytes(request: bytes) -> bytes:
        return respond(200, b"body {}", Content_Type="application/octet-stream")

    with pytest.raises(InapplicableError):
        _run("Content-Type of /style.css fits", answer_bytes)


def test_a_206_with_less_than_the_requested_range_passes() -> None:
    """RFC 9110 §15.3.7 allows a smaller part, but no byte outside the range."""

    def answer_less(request: bytes) -> bytes:
        return respond(206, b"2", Content_Range="bytes 2-2/10")

    assert _run("Range: bytes=2-7 of ten bytes is 2 to 7", answer_less) is None
    assert _run("Range: bytes=0-1,4-5 of ten bytes is understood", answer_less) is None
    assert _run("Range: bytes=0-0 of ten bytes is 0 to 0", answer_less)
    assert _run("Range: bytes=0-1,4-5 of ten bytes gives all requested bytes", answer_less)


def _result(level: str, requirement: str, outcome: Outcome = Outcome.FAILED, why: str = "why") -> Result:
    return Result("a-name", requirement, level, outcome, why, b"", b"", "")


def test_failures_with_one_likely_cause_are_one_paragraph_and_the_gravest_come_first() -> None:
    thirty = [_result("MUST", "R031")._replace(name=f"a-name-{number}") for number in range(30)]
    results = [*thirty, _result("POLICY", "R144"), _result("SHOULD", "R004"), _result("MUST", "R036", Outcome.PASSED)]
    found = causes.find_causes(results)
    assert [(cause.level, cause.requirements, len(cause.failures)) for cause in found] == [
        ("MUST", ("R031",), 30),
        ("SHOULD", ("R004",), 1),
        ("POLICY", ("R144",), 1),
    ]
    text = outputs.as_table(results)
    assert text.startswith("33 cases and checks tried: 1 passed, 32 failed, with 3 likely causes, the gravest first. ")
    assert "MUST: 30 failures" in text
    assert "   30  R031  RFC 9112 §3.2  A Host that is not a host" in text
    assert "a-name-0; a-name-1; a-name-2; and 27 more" in text
    assert "other servers need not make" in text
    assert "failures" not in outputs.as_table([_result("MUST", "R036", Outcome.PASSED)])
    assert outputs.as_html(results, "title").count("<summary>") == 32


def test_failures_of_one_requirement_are_grouped_by_their_verdicts() -> None:
    """The messages in a group may differ in numbers and quotations, but not in the expected status."""
    results = [
        *(_result("MUST", "R100", why=f"{count} bytes, then '{count}'") for count in range(3)),
        *(_result("MUST", "R122", why=f"the status is {status}, not 200") for status in (412, 304)),
        _result("MUST", "R122", why="the status is 200, not 304"),
        *(_result("MUST", number, why="the status is 206, not 412") for number in ("R121", "R122", "R123")),
    ]
    found = {(cause.requirements, len(cause.failures)) for cause in causes.find_causes(results)}
    assert found == {(("R100",), 3), (("R122",), 2), (("R122",), 1), (("R121", "R122", "R123"), 3)}
    assert len(causes.find_causes(results[-2:])) == 2


@pytest.mark.parametrize("octets", [b"'", b'"', b"\\", b'it\'s "quoted" \\', bytes(range(128, 256)), b"0'" * 40])
def test_quotations_of_any_bytes_do_not_keep_a_group_apart(octets: bytes) -> None:
    """A long quotation is shortened, but still ends with a quotation mark."""
    faults = read_responses(octets + b"\r\n\r\n", ["GET"], is_ended=True).faults
    assert [causes.shape(fault.says) for fault in faults] == ["# is not a status line"]


def test_causes_that_stop_the_server_come_first_then_faults_of_framing() -> None:
    """One framing fault comes before nine other failures of a MUST. A failure of a SHOULD comes last."""
    stops = _result("SECURITY", "R093", why="the server stops")._replace(stops_server=True, output="a\nb")
    results = [*[_result("MUST", "R100")] * 9, _result("MUST", "R059"), _result("SHOULD", "R004"), stops,
               stops._replace(output="c\nb")]  # fmt: skip
    assert [cause.requirements[0] for cause in causes.find_causes(results)] == ["R093", "R059", "R100", "R004"]
    assert "       | b\n" in outputs.as_table(results)
    assert "  | b\n  > " in outputs.as_table(results, shows_all=True)
    assert '<failure message="the server stops' in outputs.as_junit([stops])
    assert "<failure" not in outputs.as_junit([_result("SECURITY", "R093")])


def test_the_bytes_of_failures_are_printed_if_there_are_few_or_with_the_option_all() -> None:
    """If many cases failed, the table shows no bytes, but mentions the option --all."""
    results = [_result("MUST", "R100")._replace(sent=b"GET / HTTP/1.1\r\n")] * 4
    assert "  > GET / HTTP/1.1" not in outputs.as_table(results)
    assert "--all shows the bytes" in outputs.as_table(results)
    assert outputs.as_table(results, shows_all=True).count("  > GET / HTTP/1.1") == 4
    assert outputs.as_table(results[:2]).count("  > GET / HTTP/1.1") == 2


def test_each_level_of_a_case_or_a_check_has_an_explanation() -> None:
    """If a level had no explanation, the report would leave out its failures."""
    levels = {case.level for case in _CASES.values()} | {check.level for check in CHECKS}
    assert levels <= causes.LEVELS.keys()


def test_if_time_runs_out_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case that was not tried may break a MUST, so the check must not report success."""
    from conformance.__main__ import main

    passed, untried = _result("MUST", "R036", Outcome.PASSED), _result("MUST", "R036", Outcome.SKIPPED, NO_TIME)
    monkeypatch.setattr(command, "check", lambda *_, **__: [passed, untried])
    assert main(["check", "http://127.0.0.1:1/"]) == 1
    assert "cases and checks without a verdict, since the server is too slow: 1\n" in capsys.readouterr().err
    monkeypatch.setattr(command, "check", lambda *_, **__: [passed])
    assert main(["check", "http://127.0.0.1:1/"]) == 0
