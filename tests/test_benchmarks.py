"""The benchmarks: their functions, and one tiny run. No test depends on a measured time."""

import gzip
import io
import pathlib
from typing import Any

import pytest

from tests.support.rows import each_row
from tests.support.tools import tool

from .benchmarks import charts, environment, files, load, measure, micro, peers, processes, report, ticks, workloads
from .benchmarks.answers import Answer, Expected, WrongAnswerError, read_answer, with_validators
from .benchmarks.launch import Stage

SMALL = workloads.BY_KEY["1k"]
EXPECTED = Expected(["GET / HTTP/1.1\r\n\r\n"], 200, 1024, 1200, 1200)
COUNTS = load.Counts(requests=1000, microseconds=1, octets=1_200_000, errors=0, right=1000, p50=1, p99=2)


def sample(rate: float, cpu: float = 10, **others: float) -> load.Sample:
    figures: dict[str, Any] = {"p50_microseconds": 100, "p99_microseconds": 200, "server_busy": 1, "client_busy": 0.5}
    return load.Sample(rate, cpu, **{**figures, "others_busy": 0, **others})


def row(**samples: list[load.Sample]) -> measure.Row:
    return measure.Row(SMALL, samples, dict.fromkeys(samples, 2**20), {name: [name] for name in samples}, {})


def test_the_figures_of_a_client_are_in_its_last_line_of_json() -> None:
    figures = '{"requests": 2, "microseconds": 3, "octets": 4, "errors": 0, "right": 2, "p50": 5, "p99": 6}'
    assert load.parse(f"Running 1s test\n{figures}\n") == load.Counts(2, 3, 4, 0, 2, 5, 6)


def test_a_client_without_figures_is_an_error() -> None:
    with pytest.raises(WrongAnswerError, match="no figures"):
        load.parse("unable to connect")


@each_row(
    "counts",
    [
        pytest.param(COUNTS, id="exact"),
        pytest.param(
            COUNTS._replace(octets=1_200_000 + 32 * 1200), id="all connections had a running response at the end"
        ),
        pytest.param(COUNTS._replace(right=-1), id="right answers are not counted"),
    ],
)
def test_right_answers_pass(counts: load.Counts) -> None:
    load.check(SMALL, counts, EXPECTED)


@each_row(
    ("counts", "reason"),
    [
        pytest.param(COUNTS._replace(errors=1), "1 errors in 1000", id="an error of a socket"),
        pytest.param(COUNTS._replace(octets=0), "no answer", id="no octets arrived"),
        pytest.param(COUNTS._replace(right=999), "only 999 of 1000", id="one status or length was wrong"),
        pytest.param(COUNTS._replace(octets=1_100_000), "1100000 octets", id="too few octets"),
        pytest.param(COUNTS._replace(octets=1_400_000), "1400000 octets", id="too many octets"),
    ],
)
def test_wrong_answers_do_not_pass(counts: load.Counts, reason: str) -> None:
    with pytest.raises(WrongAnswerError, match=reason):
        load.check(SMALL, counts, EXPECTED)


@pytest.mark.parametrize("workload", workloads.WORKLOADS, ids=lambda workload: workload.key)
def test_each_request_is_whole_and_has_no_placeholder_left(workload: workloads.Workload) -> None:
    allowed = Answer(200, {"etag": '"x"'}, b"", 1)
    for request in workloads.requests_of(workload, 8000):
        octets = workloads.numbered(with_validators(request, lambda request: allowed), 1)
        assert octets.endswith(b"\r\n\r\n")
        assert b"{" not in octets


def test_the_browsers_head_has_some_600_octets() -> None:
    (request,) = workloads.requests_of(workloads.BY_KEY["browser"], 8000)
    assert 500 < len(request) < 700


def test_a_script_for_wrk_numbers_requests_that_must_differ() -> None:
    script = load.lua(SMALL, EXPECTED._replace(requests=["GET /?{n} HTTP/1.1\r\n\r\n"]), 4096)
    assert 'all, n = {{"GET /?", " HTTP/1.1\\r\\n\\r\\n"}}' in script
    assert "n = n + 1" in script


def test_a_script_for_wrk_sends_a_few_numbers_in_turn() -> None:
    page = workloads.BY_KEY["page"]
    script = load.lua(page, EXPECTED._replace(requests=["GET /a?{n}\r\n", "GET /b?{n}\r\n"]), 4096)
    assert 'all, n = {{"GET /a?", "\\r\\n"}, {"GET /b?", "\\r\\n"}}' in script
    assert "n = (n + 1) % 100" in script


@each_row(
    ("fields", "line"),
    [
        pytest.param({"etag": '"x"', "last-modified": "then"}, 'If-None-Match: "x"', id="an entity-tag"),
        pytest.param({"last-modified": "then"}, "If-Modified-Since: then", id="only a date"),
    ],
)
def test_a_request_is_revalidated_with_the_validator_of_its_answer(fields: dict[str, str], line: str) -> None:
    asked = []

    def answer_to(request: str) -> Answer:
        asked.append(request)
        return Answer(200, fields, b"", 1)

    assert with_validators("GET / HTTP/1.1\r\n{validators}\r\n", answer_to) == f"GET / HTTP/1.1\r\n{line}\r\n\r\n"
    assert asked == ["GET / HTTP/1.1\r\n\r\n"]


def test_an_answer_without_validators_cannot_be_revalidated() -> None:
    with pytest.raises(WrongAnswerError, match="neither ETag nor Last-Modified"):
        with_validators("GET / HTTP/1.1\r\n{validators}\r\n", lambda request: Answer(200, {}, b"", 1))


def test_the_files_of_a_page_have_valid_siblings(tmp_path: pathlib.Path) -> None:
    file = files.make_small_files(tmp_path) / "precompressed" / "0000.svg"
    compressed = file.with_name("0000.svg.br").read_bytes()
    assert compressed[3:-1] == file.read_bytes()
    assert gzip.decompress(file.with_name("0000.svg.gz").read_bytes()) == file.read_bytes()


def test_a_tick_answers_all_connections_correctly(tmp_path: pathlib.Path) -> None:
    root = files.make_small_files(tmp_path)
    for key in ticks.KEYS:
        with ticks.connected(root, 2) as (loop, clients):
            times = ticks.measure(workloads.BY_KEY[key]._replace(names=("0000", "0001")), loop, clients, 2)
        assert min(times) >= 0, key


def test_a_tick_with_a_wrong_answer_is_not_measured(tmp_path: pathlib.Path) -> None:
    root = files.make_small_files(tmp_path)
    with ticks.connected(root, 1) as (loop, clients), pytest.raises(WrongAnswerError, match="200 with 1024 octets"):
        ticks.measure(SMALL._replace(length=1), loop, clients, 1)


def test_a_script_for_wrk_checks_each_small_answer_and_no_large_one() -> None:
    assert "status == 200 and #content == 1024" in load.lua(SMALL, EXPECTED, 4096)
    assert "#content" not in load.lua(SMALL, EXPECTED, 1023)


def test_a_script_for_wrk_repeats_pipelined_requests() -> None:
    assert load.lua(workloads.BY_KEY["pipelined"], EXPECTED, 0).count("GET /") == 16


@each_row(
    ("octets", "method", "answer"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP",
            "GET",
            Answer(200, {"content-length": "2"}, b"ab", 40),
            id="a length",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            "GET",
            Answer(200, {"transfer-encoding": "chunked"}, b"abc", 65),
            id="chunks",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HEAD",
            Answer(200, {"content-length": "2"}, b"", 38),
            id="HEAD has no content",
        ),
        pytest.param(b"HTTP/1.1 304 x\r\n\r\n", "GET", Answer(304, {}, b"", 18), id="a 304 has no content"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nab", "GET", Answer(200, {}, b"ab", 21), id="up to the end"),
    ],
)
def test_an_answer_is_read_with_its_octets_counted(octets: bytes, method: str, answer: Answer) -> None:
    assert read_answer(io.BytesIO(octets), method) == answer


@each_row("octets", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"])
def test_an_answer_that_ends_too_early_is_wrong(octets: bytes) -> None:
    with pytest.raises(WrongAnswerError, match="before its"):
        read_answer(io.BytesIO(octets))


def test_the_time_of_a_process_includes_its_ended_children() -> None:
    assert processes.cpu_ticks("7 (a) b (c)) S 1 7 7 0 -1 4194560 9 9 0 0 10 20 3 4 20 0 1") == 37


def test_memory_is_read_in_octets() -> None:
    status = "Name:\tx\nVmHWM:\t    2 kB\nVmRSS:\t    1 kB\n"
    assert processes.status_octets(status, "VmHWM") == 2048
    assert processes.status_octets(status, "VmSwap") == 0


def test_a_ratio_is_the_median_of_the_ratios_in_each_turn() -> None:
    # The second turn was slow for both servers, the third for one of them.
    first = [sample(100), sample(10), sample(100)]
    other = [sample(50), sample(5), sample(1)]
    assert report.ratio(other, first, "rate") == 0.5


def test_without_samples_there_is_no_ratio() -> None:
    assert report.ratio([], [sample(1)], "rate") is None


def test_a_rate_that_the_client_limits_is_marked() -> None:
    measured = row(nginx=[sample(100)], floor=[sample(150, server_busy=0.7, client_busy=1)])
    assert [line[1] for line in report.table(measured)] == ["rate /s", "100", "150*"]


def test_a_table_has_the_ratios_to_its_first_server() -> None:
    lines = report.table(row(nginx=[sample(1000, 5)], httpsock=[sample(900, 10)]))
    ratios = {line[0]: (line[3], line[5]) for line in lines}
    assert ratios == {"server": ("rate ratio", "CPU ratio"), "nginx": ("1.00", "1.00"), "httpsock": ("0.90", "2.00")}


def test_the_summary_has_a_dash_for_a_server_without_figures() -> None:
    rows = [row(nginx=[sample(100)], httpsock=[sample(80)]), row(nginx=[sample(100)])]
    assert report.summary(rows, "rate")[1:] == [["1k", "1.00", "0.80"], ["1k", "1.00", "–"]]


def test_tables_are_laid_out_for_a_terminal_and_as_markdown() -> None:
    lines = [["server", "rate"], ["a", "1,000"]]
    assert report.aligned(lines) == "server   rate\na       1,000"
    assert report.markdown(lines) == "| server | rate |\n| --- | --: |\n| a | 1,000 |"


def test_a_report_states_its_conditions_and_the_omitted_servers() -> None:
    measured = row(nginx=[sample(100)])
    measured.left_out["other"] = "answers 404"
    text = report.to_markdown({"machine": "a small one"}, [measured], {"More": [["a", "b"], ["c", "d"]]})
    assert "- machine: a small one" in text
    assert "other is left out: answers 404" in text
    assert "| c | d |" in text


def test_the_error_for_a_missing_server_says_how_to_install_it() -> None:
    nothing = environment.Environment(pathlib.Path("/nowhere"), "python", {}, {})
    missing = peers.Peer("x", lambda site: [], program="no-such-program", install="apt-get install it")
    assert missing.missing(nothing) == "no-such-program is not installed: apt-get install it"
    missing = peers.Peer("x", lambda site: [], packages=("no-such-package",))
    assert "pip install no-such-package" in missing.missing(nothing)


def test_charts_are_drawn_if_matplotlib_is_installed(tmp_path: pathlib.Path) -> None:
    if not charts.are_possible():
        pytest.skip("matplotlib is not installed")
    measured = row(nginx=[sample(100)], httpsock=[sample(80)])
    charts.ratios([measured], "rate", "Rates", {"machine": "a small one"}, tmp_path / "rate.svg")
    assert "<svg" in (tmp_path / "rate.svg").read_text()


def test_each_small_task_runs() -> None:
    tasks = [task for task in micro.parser_tasks() if task.name == "httpsock"]
    tasks += list(micro.line_tasks())
    assert all(min(times) >= 0 for times in micro.measure(tasks, 1, 2).values())


@pytest.mark.slow
@pytest.mark.tools
def test_a_tiny_run_measures_httpsock_alone(tmp_path: pathlib.Path) -> None:
    tool("wrk")
    nothing = environment.Environment(tmp_path, "", {}, {})
    root = files.make_root(tmp_path)
    stage = Stage(root, tmp_path, nothing, processes.divide_processors(pin=False))
    measured = measure.measure(SMALL, [peers.HTTPSOCK], stage, 1, 1)
    assert not measured.left_out
    assert len(report.table(measured)) == 2
