"""The fuzzer: parse generated octets with httpsock and h11. A difference of no known kind is a finding.

``python3 -m conformance fuzz --minutes 10`` runs for 10 minutes. Each finding is shrunk to the fewest octets that still
show it. Then it is written as a candidate for the corpus: ``<name>.http`` with its entry in ``candidates.toml``. If a
parser crashes, or if httpsock's parser takes too long, this is a finding too.
"""

import argparse
import contextlib
import hashlib
import json
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from conformance.corpus.cases import load_cases
from conformance.output_path import output_folder
from conformance.parsers.drivers import read_by_h11, read_by_httpsock
from conformance.parsers.results import ParseResult, find_difference

from .differences import contradict, explain
from .generator import Generator, SeededRandom

# The time limit for httpsock's parser on one input; it usually takes a thousandth of it.
_MAX_SECONDS = 1.0
_SHRINKING_STEPS = 3000


class Finding(NamedTuple):
    """Octets that show a fault. *says* describes the fault. Findings of equal *kind* probably show the same fault."""

    octets: bytes
    kind: str
    says: str


class Findings:
    """The findings of a run, one of each kind. *classes* counts the known differences, by the kind of difference."""

    def __init__(
        self, read: Callable[[bytes], ParseResult] = read_by_httpsock, *, max_seconds: float = _MAX_SECONDS
    ) -> None:
        self._read = read
        self._max_seconds = max_seconds
        self.inputs = 0
        self.differences = 0
        self.classes: Counter[str] = Counter()
        self.found: dict[str, Finding] = {}

    def try_octets(self, octets: bytes) -> Finding | None:
        """Parse *octets* with both parsers.

        If the result is a finding of a new kind, shrink the finding and return it.
        """
        self.inputs += 1
        finding = self._judge(octets, self.classes)
        if finding is None or finding.kind in self.found:
            return None
        self.found[finding.kind] = finding
        smallest = shrink(octets, lambda smaller: self._is_alike(smaller, finding.kind))
        self.found[finding.kind] = self._judge(smallest, None) or finding
        return self.found[finding.kind]

    def _is_alike(self, octets: bytes, kind: str) -> bool:
        finding = self._judge(octets, None)
        return finding is not None and finding.kind == kind

    def _judge(self, octets: bytes, classes: Counter[str] | None) -> Finding | None:
        """Return a finding for a slow parse, a crash, or a difference of no known kind.

        If the difference is of a known kind, count it in *classes* and return None.
        """
        # Measure the processor time of this thread, so that a busy machine does not cause a finding.
        started = time.thread_time()
        ours = self._read(octets)
        if time.thread_time() - started > self._max_seconds:
            return Finding(octets, "slow", f"httpsock takes more than {self._max_seconds} s")
        theirs = read_by_h11(octets)
        if crash := ours.crash or theirs.crash:
            return Finding(octets, crash, crash)
        difference = find_difference(octets, ours, theirs)
        if difference is None:
            return self._contradiction(octets, ours)
        names = explain(difference)
        if names:
            if classes is not None:
                self.differences += 1
                classes.update(names)
            return None
        verdicts = (f"httpsock {_verdict(ours)}", f"h11 {_verdict(theirs)}")
        kind = ", ".join((difference.direction, _outline(difference.our_refusal), _outline(difference.their_refusal)))
        return Finding(octets, kind, "; ".join(verdicts))

    @staticmethod
    def _contradiction(octets: bytes, result: ParseResult) -> Finding | None:
        """Return a finding if both parsers accepted a request that one of them should refuse."""
        start = 0
        for request in result.requests:
            if names := contradict(octets[start : request.stop]):
                kind = f"both accept {', '.join(names)}"
                return Finding(octets, kind, f"{kind}, which one of them refuses according to differences.toml")
            start = request.stop
        return None


def _verdict(result: ParseResult) -> str:
    """Describe the result of a parser in words."""
    accepted = [f"{request.method.decode()} {request.path!r}" for request in result.requests]
    words = "accepts " + ", ".join(accepted) if accepted else "accepts no request"
    return f"{words}, then refuses: {result.refusal}" if result.refusal is not None else words


def _outline(refusal: str | None) -> str:
    """Return the reason of a refusal without quotations and numbers. If there is no refusal, return "-"."""
    return re.sub(r'".*"|(bytearray)?\(?b[\'"].*|[0-9]+', "_", refusal) if refusal else "-"


def shrink(octets: bytes, is_alike: Callable[[bytes], bool]) -> bytes:
    """Remove or simplify as many octets as possible.

    *is_alike* returns whether shorter octets still show the same fault.
    """
    remaining = _SHRINKING_STEPS

    def is_better(smaller: bytes) -> bool:
        nonlocal remaining
        remaining -= 1
        return remaining >= 0 and is_alike(smaller)

    before = None
    while octets != before and remaining > 0:
        before = octets
        octets = _without_lines(octets, is_better)
        octets = _without_runs(octets, is_better)
        octets = _simplify(octets, is_better)
    return octets


def _without_lines(octets: bytes, is_better: Callable[[bytes], bool]) -> bytes:
    """Remove each line if *is_better* accepts the octets without this line."""
    lines = octets.splitlines(keepends=True)
    for number in reversed(range(len(lines))):
        fewer = lines[:number] + lines[number + 1 :]
        if is_better(b"".join(fewer)):
            lines = fewer
    return b"".join(lines)


def _without_runs(octets: bytes, is_better: Callable[[bytes], bool]) -> bytes:
    """Remove long sequences of octets, then shorter ones, if *is_better* accepts the result."""
    size = max(len(octets) // 2, 1)
    while size:
        position = 0
        while position < len(octets):
            smaller = octets[:position] + octets[position + size :]
            if is_better(smaller):
                octets = smaller
            else:
                position += size
        size //= 2
    return octets


def _simplify(octets: bytes, is_better: Callable[[bytes], bool]) -> bytes:
    """Replace each octet by "a" if *is_better* accepts the result."""
    for position, octet in enumerate(octets):
        simpler = octets[:position] + b"a" + octets[position + 1 :]
        if octet != ord("a") and is_better(simpler):
            octets = simpler
    return octets


def write_candidate(folder: Path, finding: Finding) -> Path:
    """Write *finding* into *folder* as a candidate for the corpus. Return the path of its file."""
    name = f"a-finding-{hashlib.sha256(finding.octets).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.http"
    is_new = not path.exists()
    path.write_bytes(finding.octets)
    if is_new:
        with (folder / "candidates.toml").open("a", encoding="utf-8") as table:
            table.write(_entry(name, finding))
    return path


def _entry(name: str, finding: Finding) -> str:
    """Return an entry for cases.toml. The entry lacks the reason, which only a person can write."""
    ours, theirs = read_by_httpsock(finding.octets), read_by_h11(finding.octets)
    accepted = ", ".join(
        f"{{ method = {_text(request.method)}, path = {_text(request.path)}, fields = {len(request.fields)}, "
        f"content = {len(request.content)}{', closes = true' if request.closes else ''} }}"
        for request in ours.requests
    )
    refused = re.match(r"[0-9]{3}", ours.refusal or "")
    verdict = [f"accepted = [{accepted}]"] if accepted or not refused else []
    verdict += [f"refused = {refused[0]}"] if refused else []
    section = re.search(r"RFC [0-9]+ §[0-9]+(\.[0-9]+)*", ours.refusal or "")
    lines = (
        f"# {json.dumps(finding.says, ensure_ascii=True)}",
        f"[{name}]",
        'requirement = "R000"',
        f'section = "{section[0] if section else "RFC 9112 §2.2"}"',
        f"httpsock = {{ {', '.join(verdict)} }}",
        f'h11 = "{"accepted" if theirs.refusal is None else "refused"}"',
    )
    return "\n".join((*lines, "", ""))


def _text(octets: bytes) -> str:
    """Return *octets* as a TOML string."""
    return json.dumps(octets.decode("utf-8", "backslashreplace"), ensure_ascii=False).replace("\x7f", "\\u007f")


# --- The command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Fuzz with the options *argv*. If there is a finding, return 1, otherwise 0."""
    options = _parse_options(argv)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    generator = Generator(SeededRandom(seed), [case.octets for case in load_cases()])
    findings = Findings()
    progress = _Progress(sys.stderr, options.inputs, options.minutes * 60)
    # Ctrl-C ends the run early; the findings until then are reported.
    with contextlib.suppress(KeyboardInterrupt):
        _run(generator, findings, progress, options.candidates)
    progress.finish(findings)
    for name, count in findings.classes.most_common():
        print(f"{count:9} {name}")
    print(
        f"{findings.inputs} inputs, {findings.differences} with a known difference, "
        f"{len(findings.found)} kinds of findings (seed {seed})"
    )
    return 1 if findings.found else 0


def _run(generator: Generator, findings: Findings, progress: "_Progress", folder: Path) -> None:
    """Try generated octets until the run is over. Write each finding into *folder*."""
    while not progress.is_over(findings):
        if finding := findings.try_octets(generator.octets()):
            path = write_candidate(folder, finding)
            print(f"\n{path}: {finding.octets[:300]!r}\n  {finding.says}", file=sys.stderr)


def _parse_options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance fuzz",
        description="Search for input that httpsock and h11 parse differently for no known reason. Exits with 1 if "
        "there is a finding.",
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="duration (default: 1)")
    parser.add_argument("--inputs", type=int, metavar="NUMBER", help="stop after this many inputs")
    parser.add_argument("--seed", type=int, metavar="NUMBER", help="repeat the run with this seed (default: random)")
    folder = Path("candidates")
    parser.add_argument(
        "--candidates",
        type=output_folder,
        metavar="FOLDER",
        default=folder,
        help="write each finding into this folder (default: ./candidates)",
    )
    options = parser.parse_args(argv)
    if not options.minutes >= 0:
        parser.error(f"--minutes is {options.minutes}: give 0 or more")
    if options.inputs is not None and options.inputs < 0:
        parser.error(f"--inputs is {options.inputs}: give 0 or more")
    return options


class _Progress:
    """A progress bar with the speed of the run. Without a terminal, only the final bar is drawn.

    If *inputs* is given, the run ends after this many inputs. Otherwise it ends after *seconds*.
    """

    def __init__(self, stream: TextIO, inputs: int | None, seconds: float) -> None:
        self._stream = stream
        self._inputs = inputs
        self._seconds = seconds
        self._started = self._shown = time.monotonic()

    def is_over(self, findings: Findings) -> bool:
        """Return whether the run is over. Also redraw the bar, at most five times a second."""
        if self._inputs is not None and findings.inputs >= self._inputs:
            return True
        if findings.inputs % 64:
            return False
        now = time.monotonic()
        if now - self._shown >= 0.2 and self._stream.isatty():
            self._shown = now
            self._stream.write(self._bar(findings, now))
            self._stream.flush()
        return self._inputs is None and now - self._started >= self._seconds

    def finish(self, findings: Findings) -> None:
        """Draw the final bar."""
        self._stream.write(self._bar(findings, time.monotonic()) + "\n")

    def _bar(self, findings: Findings, now: float) -> str:
        seconds = max(now - self._started, 0.001)
        done = seconds / max(self._seconds, 0.001) if self._inputs is None else findings.inputs / max(self._inputs, 1)
        full = int(min(done, 1) * 30)
        rate = findings.inputs / seconds
        counts = f"{findings.inputs} inputs, {rate:.0f}/s, {len(findings.found)} findings"
        return f"\r[{'#' * full}{'.' * (30 - full)}] {min(done, 1):4.0%} {counts}"
