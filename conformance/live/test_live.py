"""The check of running servers: httpsock passes every case, and no other server makes the check hang or crash."""

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

import httpsock
from conformance import check as command
from conformance.__main__ import main
from conformance.check import check
from conformance.corpus.cases import load_cases
from conformance.parsers.h11_client import faults_by_h11_client
from conformance.semantics.checks import CHECKS, site

from . import outputs
from .allowances import may_refuse
from .corpus_run import NothingTriedError, check_corpus
from .probes import PlainAnswer, judge, probe_of
from .results import NO_TIME, Outcome, Result, breaks_a_must, matches
from .start import Program
from .target import Target
from .testing import Script, reset, serving, url_of, wait
from .trials import LAST
from .wire import ParsedResponses, Response, exchange, read_responses

_CASES = load_cases()
_START = f"{sys.executable} -m httpsock --port {{port}} {{root}}"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Serve the folder of known files with httpsock. Yield the address."""
    root = tmp_path_factory.mktemp("live") / "root"
    root.mkdir()
    site(root)
    with httpsock.Server(root, hosts=["127.0.0.1"], port=0) as server:
        yield "127.0.0.1", server.port


@pytest.fixture(scope="module")
def results(address: tuple[str, int]) -> dict[str, Result]:
    """Run all cases on httpsock. Return the results by name."""
    return {result.name: result for result in check_corpus(Target(address))}


def test_httpsock_passes_each_case(results: dict[str, Result]) -> None:
    failed = [result for result in results.values() if result.outcome is not Outcome.PASSED]
    assert not failed, outputs.as_table(failed)
    assert results.keys() == {case.name for case in _CASES}


def test_the_strict_reader_and_h11_find_no_fault_in_the_responses_of_httpsock(results: dict[str, Result]) -> None:
    faults = {}
    for number, case in enumerate(_CASES, 1):
        octets, methods = results[case.name].received, probe_of(case, number).methods
        parsed = read_responses(octets, methods, is_ended=True)
        found = [*parsed.faults, *faults_by_h11_client(octets, [*methods, "GET"][: len(parsed.responses)])]
        if found or parsed.leftover:
            faults[case.name] = (found, parsed.leftover)
    assert not faults


def test_each_refusal_by_httpsock_has_the_status_of_the_table_and_closes(results: dict[str, Result]) -> None:
    """A case may allow other servers several statuses. For httpsock, the table requires one status."""
    wrong = {}
    for number, case in enumerate(_CASES, 1):
        expected = case.expected["httpsock"]
        if expected.status is None:
            continue
        methods = probe_of(case, number).methods
        answers = read_responses(results[case.name].received, methods, is_ended=True).responses
        (refusal,) = answers[len(expected.accepted) :]
        # httpsock answers a POST with 405 before it reads the content, and so before it finds a fault there.
        is_method_refused = refusal.status == 405 and case.octets.startswith(b"POST ")
        if (refusal.status != expected.status and not is_method_refused) or not refusal.closes:
            wrong[case.name] = (refusal.status, refusal.closes)
    assert not wrong


def test_a_case_sent_octet_by_octet_gets_the_same_answers(address: tuple[str, int], results: dict[str, Result]) -> None:
    """Requirement R001. To save time, cases of 120 octets and more are left out."""
    for number, case in enumerate(_CASES, 1):
        probe = probe_of(case, number)
        if len(probe.octets) < 120:
            parts = [bytes([octet]) for octet in probe.octets]
            received = exchange(address, parts, silence_seconds=10.0, ends=probe.case.is_cut_short).received
            found = [answer.status for answer in read_responses(received, probe.methods, is_ended=True).responses]
            whole = read_responses(results[case.name].received, probe.methods, is_ended=True).responses
            assert found == [answer.status for answer in whole], case.name


def test_httpsock_passes_the_static_semantics(address: tuple[str, int]) -> None:
    found = check(Target(address), "RFC 9110 §1")
    assert [result for result in found if result.outcome is Outcome.FAILED] == []
    assert {result.name for result in found} & {check_.name for check_ in CHECKS}


def _send_endlessly(connected: socket.socket) -> None:
    while True:
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 65536)


def _read_and_reset(connected: socket.socket) -> None:
    connected.recv(1)
    reset(connected)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda connected: connected.recv(65536) and connected.recv(65536), id="never answers"),
        pytest.param(lambda connected: connected.sendall(bytes(range(256)) * 9), id="answers garbage"),
        pytest.param(socket.socket.close, id="closes immediately"),
        pytest.param(_read_and_reset, id="resets"),
        pytest.param(_send_endlessly, id="never ends"),
    ],
)
def test_without_a_valid_response_to_a_plain_request_no_case_is_tried(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints what the server did instead, and how to repeat the request. Its exit code is 2."""
    with serving(script) as (host, port):
        assert main(["check", url_of((host, port))]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a plain request gets no valid response: " in captured.err
    assert f"nc {host} {port}" in captured.err


def test_a_closed_port_is_reported_even_if_only_one_requirement_is_checked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
    with pytest.raises(NothingTriedError, match=f"cannot connect to 127.0.0.1 port {address[1]}: start the server"):
        check(Target(address), "R036")


_PLAIN = (b"GET /sentinel-0 ", b"GET /digits.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def _send_interim_responses_endlessly(connected: socket.socket) -> None:
    while True:
        connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000)


def _send_small_chunks_endlessly(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connected.sendall(b"1\r\na\r\n" * 3000)


def _send_slowly(connected: socket.socket) -> None:
    connected.settimeout(0.02)
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + b"x" * 60:
        connected.sendall(bytes([octet]))
        with suppress(TimeoutError):
            connected.recv(65536)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(wait, id="never answers"),
        pytest.param(socket.socket.close, id="closes immediately"),
        pytest.param(lambda connected: connected.sendall(bytes(range(256)) * 9), id="answers garbage"),
        pytest.param(_send_endlessly, id="sends endless content"),
        pytest.param(_send_interim_responses_endlessly, id="sends endless interim responses"),
        pytest.param(_send_small_chunks_endlessly, id="sends endless small chunks"),
        pytest.param(_send_slowly, id="answers octet by octet"),
    ],
)
def test_a_hostile_server_that_answers_plain_requests_costs_no_more_than_the_time_limit(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case and each check has a result. If no time is left for a case, the case is skipped."""
    monkeypatch.setattr(command, "_CORPUS_SECONDS", 0.1)
    monkeypatch.setattr(command, "_SEMANTICS_SECONDS", 0.2)

    def answer_plain_requests(connected: socket.socket) -> None:
        if connected.recv(65536).startswith(_PLAIN):
            connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789")
            connected.shutdown(socket.SHUT_WR)
        else:
            script(connected)

    with serving(answer_plain_requests) as address:
        results = check(Target(address))
    assert len([result for result in results if result.name != LAST]) == len(_CASES) + len(CHECKS)
    assert sum(result.why == NO_TIME for result in results) > len(results) / 2
    assert max(len(result.received) for result in results) <= 65536
    assert outputs.as_table(results)


def _answer(octets: bytes) -> Callable[[socket.socket], None]:
    """Return the behaviour of a server that answers anything with *octets*. It closes when the client does."""

    def script(connected: socket.socket) -> None:
        connected.recv(65536)
        connected.sendall(octets)
        connected.shutdown(socket.SHUT_WR)
        while connected.recv(65536):
            pass

    return script


def _outcomes(script: Script, *only: str) -> dict[str, Result]:
    with serving(script) as address:
        return {result.name: result for text in only for result in check_corpus(Target(address), text)}


def test_a_server_that_accepts_everything_fails_the_cases_that_must_be_refused() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    accepted = ("a-get-with-host-alone", "a-field-line-that-ends-with-lf")
    refused = ("no-host", "a-length-with-a-minus", "two-different-hosts", "a-space-before-the-colon")
    results = _outcomes(_answer(answer), *accepted, *refused)
    assert {results[name].outcome for name in accepted} == {Outcome.PASSED}
    for name in refused:
        assert results[name].outcome is Outcome.FAILED, name
        assert results[name].level == "MUST", name
        assert "200" in results[name].why, name


def test_a_server_that_refuses_everything_fails_the_cases_that_must_be_accepted() -> None:
    answer = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    results = _outcomes(_answer(answer), "a-get-with-host-alone", "no-host", "chunked-content")
    assert results["a-get-with-host-alone"].outcome is Outcome.FAILED
    assert results["no-host"].outcome is Outcome.PASSED
    assert results["chunked-content"].outcome is Outcome.FAILED


def test_three_answers_to_two_requests_mean_that_a_request_started_at_the_wrong_byte() -> None:
    answer = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    results = _outcomes(_answer(answer * 3), "a-get-with-host-alone")
    assert results["a-get-with-host-alone"].outcome is Outcome.FAILED
    assert "wrong byte" in results["a-get-with-host-alone"].why


def test_a_500_is_a_failure_in_every_case() -> None:
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert all(result.outcome is Outcome.FAILED for result in _outcomes(_answer(answer), "R031").values())


def test_every_case_has_a_verdict_for_any_number_of_answers() -> None:
    """A case may get no answer. It then passes only if the RFC lets a server close without a response."""
    wrong = []
    all_statuses = [(), *product((200, 400, 404), repeat=2), (404, 404, 404, 404)]
    plain = PlainAnswer(404, echoes=False)
    for ended, statuses in product(("closed", "reset", "timed out"), all_statuses):
        answers = ParsedResponses([Response(status, b"", (), b"", b"") for status in statuses], b"", [], [])
        for number, case in enumerate(_CASES, 1):
            why = judge(probe_of(case, number), number, answers, ended, plain).why
            is_sentence = why is None or len(why) > 10
            is_silence_passed = not statuses and why is None
            may_be_silent = ended != "timed out" and (case.is_refused or may_refuse(case))
            if not is_sentence or (is_silence_passed and not may_be_silent):
                wrong.append((case.name, ended, statuses, why))
    assert not wrong


def test_a_fault_in_a_response_that_is_otherwise_right_is_reported_as_r115() -> None:
    octets = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\nDate: today\r\n\r\n"
    result = _outcomes(_answer(octets), "a-get-with-host-alone")["a-get-with-host-alone"]
    assert "date is" in result.why
    assert (result.requirement, result.level) == ("R115", "MUST")


def test_the_command_starts_a_server_checks_it_and_writes_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html")]
    options = [part for option, file in zip(("--json", "--junit", "--html"), files, strict=True)
               for part in (option, str(file))]  # fmt: skip
    assert main(["check", "--start", _START, "--only", "RFC 9112 §5", *options]) == 0
    found = json.loads(files[0].read_text())
    count = len([case for case in _CASES if case.requirement == "R036"])
    assert len([entry for entry in found if entry["requirement"] == "R036"]) == count
    assert {entry["outcome"] for entry in found} <= {"passed", "skipped"}
    assert files[1].read_text().count("<testcase ") == len(found)
    assert "No failures." in files[2].read_text()
    assert "Field syntax" in capsys.readouterr().out


def test_every_output_shows_the_octets_of_a_failure_its_section_and_a_line_that_repeats_it() -> None:
    again = "printf 'x' | nc h 1"
    result = Result("a-name", "R036", "MUST", Outcome.FAILED, "why <&>", b"\x00\r\n<", b"\xff" * 5000, again)
    for text in (outputs.as_table([result]), outputs.as_junit([result]), outputs.as_html([result], "<title>")):
        assert "RFC 9112 §5.1" in text
        assert "nc h 1" in text
        assert "\\x00\\r\\n" in text
        assert "5000 bytes" in text
    assert "<title><" not in outputs.as_html([result], "<title>")
    assert json.loads(outputs.as_json([result]))[0]["sent"] == "\x00\r\n<"


def test_the_report_gives_the_most_frequent_reasons_for_skipping() -> None:
    skipped = Result("a-name", "R036", "MUST", Outcome.SKIPPED, "no <folder>", b"", b"", "")
    results = [*(skipped._replace(why=why) for why in "abc"), *[skipped] * 3, skipped._replace(why="c")]
    reasons = ["    3 skipped: no <folder>", "    2 skipped: c", "    1 skipped: a"]
    assert outputs.as_table(results).splitlines()[1:5] == [*reasons, ""]
    assert "<p>3 skipped: no &lt;folder&gt;</p>\n" in outputs.as_html(results, "title")


def test_only_a_failure_of_a_must_counts_for_the_exit_code() -> None:
    result = Result("a-name", "R036", "SHOULD", Outcome.FAILED, "why", b"", b"", "")
    assert not breaks_a_must([result])
    assert breaks_a_must([result._replace(level="MUST")])


def test_cases_are_selected_by_name_number_section_and_chapter() -> None:
    assert matches("a-name", "R036", "r036")
    assert matches("a-name", "R036", "field syntax")
    assert not matches("a-name", "R036", "R0361")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--start", "no-such-program-anywhere {port}"],
        ["check", "--start", f"{sys.executable} -c 'raise SystemExit(3)' {{port}}"],
        ["check", "--start", ""],
        ["check", "--start", "a-server --port 80"],
        ["check", "--start", "'a-server {port}"],
        ["check", "https://127.0.0.1/"],
        ["check", "http://127.0.0.1:99999/"],
        ["check", "http://127.0.0.1:port/"],
        ["check", "http://[::1"],
        ["check", "http://127.0.0.1/folder/"],
        ["check", "http://127.0.0.1/#fragment"],
        ["check", "http://user@127.0.0.1/"],
        ["check", "http://127.0.0.1/ "],
        ["check", "http://127.0.0.1\n/"],
        ["check", "http://a..b/"],
        ["check", "127.0.0.1:8000"],
        ["check", ""],
        ["nothing"],
        [],
    ],
)
def test_wrong_arguments_print_one_sentence_and_exit_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("conformance: ")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_fails_only_known_musts(tmp_path: Path) -> None:
    configuration = tmp_path / "nginx.conf"
    places = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configuration.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; {places} server {{ listen 127.0.0.1:{port}; root {tmp_path}; }} }}\n"
    )
    with Program([str(shutil.which("nginx")), "-c", str(configuration), "-e", f"{tmp_path}/log"]) as nginx:
        try:
            assert nginx.answers(("127.0.0.1", port))
            results = check_corpus(Target(("127.0.0.1", port)))
        finally:
            nginx.stop()
    broken = {result.requirement for result in results if breaks_a_must([result])}
    # nginx accepts invalid Host values, refuses a tab before a value, and sends 405 without Allow.
    assert broken <= {"R031", "R035", "R100"}
