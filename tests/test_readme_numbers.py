"""READMEs: the numbers in their sentences are the numbers in the code, or count the rows of a table."""

import pathlib
import re

from httpsock.client.client import MAX_REDIRECTS
from httpsock.client.connection import _ATTEMPT_SECONDS, ClientTimeouts
from httpsock.discovery.answers import _ALL_BURST, _ALL_PER_SECOND, _EACH_BURST, _EACH_PER_SECOND
from httpsock.discovery.search import (
    _MAX_DESCRIPTION_OCTETS,
    _MAX_DESCRIPTION_SECONDS,
    _MAX_DESCRIPTIONS_SECONDS,
)
from httpsock.discovery.ssdp import MAX_AGE_SECONDS
from httpsock.files.document_root import _MAX_SNIFFED_OCTETS, SMALL_FILE
from httpsock.files.representation import _CLOCK_GRANULARITY_NS
from httpsock.observe.recorder import _MAX_EVENTS, _MAX_LISTED, _MAX_OCTETS, _SHOWN_OCTETS
from httpsock.observe.routes import _GATHER_SECONDS
from httpsock.processes.restart import START_SECONDS
from httpsock.server.connection import _DISCARD_OCTETS, _RECEIVE_OCTETS
from httpsock.server.fairness import _LONG_SECONDS, _SHARE_SECONDS
from httpsock.server.leader import _STALL_SECONDS
from httpsock.server.listeners import BACKLOG
from httpsock.server.process import BLOCKED_SECONDS
from httpsock.testing.server import _LIMITS
from httpsock.tracing.trace import _MAX_OCTETS as _MAX_TRACE_OCTETS
from tests.benchmarks.peers import PEERS, WITH_DEFAULTS
from tests.benchmarks.workloads import WORKLOADS
from tests.support.rows import each_row

ROOT = pathlib.Path(__file__).parent.parent
_STALL = 1000 * _STALL_SECONDS
_TIMEOUTS = ClientTimeouts()


def words_of(path: str) -> str:
    """Return the text of the file at *path*, with each line end and each run of spaces replaced by one space."""
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


@each_row(
    ("path", "sentence"),
    [
        (
            "httpsock",
            (
                f"each connection receives at most {_RECEIVE_OCTETS // 1024} KiB "
                f"({_DISCARD_OCTETS // 1024} KiB of content that is discarded)"
            ),
        ),
        ("httpsock", f"Once ticks take more than {1000 * _LONG_SECONDS:g} ms, the connections of one network"),
        ("httpsock", f"may use {1000 * _SHARE_SECONDS:g} ms to receive and {1000 * _SHARE_SECONDS:g} ms to answer;"),
        ("httpsock", f"looks every {_STALL:g} ms, and leads after {_STALL:g} to {2 * _STALL:g} ms."),
        ("httpsock", f"delays all connections for {_STALL:g} to {2 * _STALL:g} ms, until a follower leads."),
        ("httpsock", f"still blocks a thread {BLOCKED_SECONDS:g} s after that"),
        ("httpsock", f"or is not ready after {START_SECONDS:g} s,"),
        (
            "httpsock",
            f"a file up to {SMALL_FILE // 1024} KiB, the first {_MAX_SNIFFED_OCTETS // 1024} KiB of a larger one.",
        ),
        ("httpsock", f"is weak for {_CLOCK_GRANULARITY_NS / 1e6:g} ms after a change"),
        ("httpsock/client", f"follow at most N ({MAX_REDIRECTS})"),
        (
            "httpsock/client",
            (
                f"{_TIMEOUTS.connect:g} s to connect, {_TIMEOUTS.response:g} s for the head, "
                f"{_TIMEOUTS.stall:g} s between two reads"
            ),
        ),
        ("httpsock/tracing", f"up to {_MAX_TRACE_OCTETS // 2**20} MiB of events wait in memory"),
        ("httpsock/tracing", f"the first {_SHOWN_OCTETS:,} bytes of each call are shown"),
        ("httpsock/tracing", f"The last {_MAX_EVENTS:,} events are remembered ({_MAX_OCTETS // 2**20} MiB at most)"),
        ("httpsock/tracing", f"then new ones, every {1000 * _GATHER_SECONDS:g} ms."),
        ("httpsock/tracing", f"the numbers of the newest {_MAX_LISTED} open ones"),
        (
            "httpsock/discovery",
            (
                f"One neighbour gets {_EACH_PER_SECOND} answers a second and {_EACH_BURST} in a burst, "
                f"all together {_ALL_PER_SECOND}:"
            ),
        ),
        ("httpsock/discovery", f"every {MAX_AGE_SECONDS // 120} minutes at least"),
        (
            "httpsock/discovery",
            (
                f"reads at most {_MAX_DESCRIPTION_OCTETS // 1024} KiB in {_MAX_DESCRIPTION_SECONDS:g} s, "
                f"{_MAX_DESCRIPTIONS_SECONDS:g} s for all."
            ),
        ),
        ("httpsock/testing", f"content may be up to {_LIMITS.content.content // 2**30} GiB"),
        (
            "tests/benchmarks",
            f"all: {len(WORKLOADS)} workloads, start-up, import, up to {len((*PEERS, *WITH_DEFAULTS))} s",
        ),
    ],
)
def test_a_sentence_has_the_number_of_the_code(path: str, sentence: str) -> None:
    assert sentence in words_of(f"{path}/README.md")


def test_the_page_on_tcp_has_the_length_of_the_accept_queue() -> None:
    assert f"queues them: up to {BACKLOG:,}, before" in words_of("www/tcp.html")


def test_the_client_tries_two_addresses_a_quarter_of_a_second_apart() -> None:
    assert "a quarter of a second apart" in words_of("httpsock/client/README.md")
    assert _ATTEMPT_SECONDS == 1 / 4


def test_all_bursts_together_are_what_a_second_allows() -> None:
    assert _ALL_BURST == _ALL_PER_SECOND


def test_the_pages_of_servers_and_parsers_have_as_many_as_the_readmes_say() -> None:
    results = (ROOT / "conformance" / "RESULTS.md").read_text(encoding="utf-8")
    servers = results.partition("## All servers")[2].partition("\n## ")[0]
    assert len(re.findall(r"(?m)^\| \[", servers)) == 30
    parsers = (ROOT / "conformance" / "PARSERS.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert len(re.findall(r"(?m)^\| \w.*\d", parsers)) == 7
    for readme in ("README.md", "conformance/README.md"):
        text = words_of(readme).lower()
        assert re.search(r"\bthirty servers\b", text)
        assert re.search(r"\bseven parsers\b", text)


def test_the_requirements_and_chapters_are_as_many_as_the_readmes_say() -> None:
    corpus = ROOT / "conformance" / "corpus"
    numbers = re.findall(r"(?m)^\[(R\d{3})\]$", (corpus / "requirements.toml").read_text(encoding="utf-8"))
    assert numbers == [f"R{number:03}" for number in range(1, len(numbers) + 1)]
    for readme in ("tests/README.md", "conformance/README.md"):
        assert f"{numbers[0]} to {numbers[-1]}" in words_of(readme)
    assert "`corpus/` has twelve chapters." in words_of("conformance/README.md")
    assert len(list(corpus.glob("*/cases.toml"))) == 12
