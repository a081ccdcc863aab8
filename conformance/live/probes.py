"""A probe is the octets that are sent to a server for a case of the corpus. This module also judges the answers.

After each case, the client sends a sentinel, a plain request with the number of the case. If the server accepts the
case, it must answer the sentinel like any plain request. If the server refuses the case, it closes the connection, so
it must not answer the sentinel. Some cases are refused only because they end too early (``cut_short`` in the table).
The client sends these cases without a sentinel, and then closes its side.

This module uses the tables and the strict reader, but no sockets. Where the RFC leaves a choice, every choice passes.
"""

from typing import NamedTuple

from conformance.corpus.cases import Case

from .allowances import (
    has_no_end,
    has_to_close,
    is_of_http_1_0,
    may_accept,
    may_persist,
    may_persist_after_refusal,
    may_refuse,
    may_refuse_target,
)
from .responses import ParsedResponses, Response

# Statuses that refuse the syntax of a request.
_SYNTAX_STATUSES = frozenset((400, 408, 413, 414, 431, 505))
# Requirements that a server may break while it answers a case about another one:
PIPELINING = "R090"  # RFC 9112 §9.3.2: each pipelined request gets a response
_CLOSE_BEHIND_NONSENSE = "R006"  # RFC 9112 §2.2: octets outside the grammar get 400 and a close
_END_OF_HTTP_1_0 = "R087"  # RFC 9112 §9.3: HTTP/1.0 persists only if the client asks for it
_FAILURE = "R116"  # RFC 9110 §15.6: no request makes the server fail with 500
_SWITCH = "R081"  # RFC 9110 §7.8: the server switches only to a protocol that the client has offered
_ANNOUNCED_CLOSE = "R086"  # RFC 9112 §9.6: a server that is going to close announces it
# Requirements of framing: after a fault there, the meaning of the following octets is unknown (RFC 9112 §2.2, §6.3).
_FRAMING = frozenset(f"R{number:03}" for number in range(48, 75))
# Requirements whose cases have a valid head, and a fault only in the content behind it.
_CONTENT = _FRAMING | {"R007", "R075", "R076", "R078"}
# Requirements on paths: there a 400 does not refuse the syntax of the request.
_PATHS = frozenset(("R138", "R139", "R140", "R141"))
# Requirements for which the RFC gives the status of the refusal: any other status is a fault.
_STATUS_IS_GIVEN = frozenset(("R029", "R030", "R031", "R036", "R048", "R049", "R057"))


class Probe(NamedTuple):
    """The octets to send for one case, and what the server may do.

    The server must accept the first *accepted_count* requests. If *may_accept* is true, it may also accept the rest as
    a request. If *may_refuse* is true, it may refuse the rest with one of *statuses*. If *statuses* is empty, it may
    use any error or give no answer. If *closes* is true, the last request closes the connection. If *is_alone* is true,
    no plain request follows the case.
    """

    case: Case
    octets: bytes
    methods: tuple[str, ...]
    accepted_count: int
    may_accept: bool
    may_refuse: bool
    statuses: frozenset[int]
    closes: bool
    is_alone: bool = False


class Judgement(NamedTuple):
    """The judgement on a server's answers. *why* is the reason of a failure, or None if the server passes.

    If *is_should* is true, the failure breaks only a SHOULD. If *requirement* is given, the failure breaks this
    requirement instead of the case's own. If *is_unanswered* is true, the server did not answer a valid request,
    perhaps because of the request behind it.
    """

    why: str | None
    is_should: bool = False
    requirement: str | None = None
    is_unanswered: bool = False


class PlainAnswer(NamedTuple):
    """How the server answers a plain request that is sent alone.

    If *echoes* is true, the content quotes the target. If *pipelines* is true, the server answers two plain requests
    that are sent together. If *fails* is true, it answers GET / with 500. If *closes* is true, it closes the connection
    after its answer, as the request asks.
    """

    status: int
    echoes: bool
    pipelines: bool = True
    fails: bool = False
    closes: bool = True


def sentinel(number: int) -> bytes:
    """Return a plain request. Its target contains *number*."""
    return f"GET /sentinel-{number} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def probe_of(case: Case, number: int, *, is_alone: bool = False) -> Probe:
    """Return the octets to send for *case*, followed by the plain request *number*.

    If *is_alone* is true, no plain request follows. A case that ends too early is also sent alone.
    """
    expected = case.expected["httpsock"]
    status = expected.status
    statuses = frozenset(allowed for allowed in case.allowed if isinstance(allowed, int))
    is_any_error = "refused" in case.allowed
    methods = [understood.method for understood in expected.accepted]
    if status is not None:
        methods.append("HEAD" if case.octets.startswith(b"HEAD ") else "GET")
    return Probe(
        case,
        case.octets if case.is_cut_short or is_alone else case.octets + sentinel(number),
        (*methods, "GET"),
        len(expected.accepted),
        may_accept=may_accept(case),
        may_refuse=may_refuse(case),
        statuses=frozenset() if is_any_error else statuses,
        closes=bool(expected.accepted) and expected.accepted[-1].closes and not may_persist(case),
        is_alone=is_alone,
    )


def judge(probe: Probe, number: int, parsed: ParsedResponses, ended: str, plain: PlainAnswer) -> Judgement:
    """Judge the answers in *parsed* to the case in *probe*. *ended* says how the connection ended."""
    if any(response.status == 500 for response in parsed.responses) and not plain.fails:
        return Judgement("the server fails with 500", requirement=_FAILURE)
    if any(interim.status == 101 for interim in parsed.interim):
        return Judgement("the server switches to another protocol without a complete offer", requirement=_SWITCH)
    if ended == "timed out" and not parsed.responses:
        return Judgement("no answer, and the connection stays open", is_should=probe.case.is_refused)
    if probe.case.octets.startswith(b"CONNECT "):
        return _judge_tunnel(probe, parsed)
    if probe.case.is_cut_short:
        return _judge_cut_short(probe, parsed, ended)
    judgements: dict[bool, Judgement] = {}
    if probe.may_refuse:
        judgements[True] = _judge_refused(probe, number, parsed, plain)
    if probe.may_accept:
        judgements[False] = _judge_accepted(probe, number, parsed, ended, plain)
    passed = next((judgement for judgement in judgements.values() if judgement.why is None), None)
    # The server neither accepted nor refused correctly: report the one that it attempted.
    own = parsed.responses[: len(probe.methods) - 1]
    has_refused = any(_refuses(answer, probe, index) for index, answer in enumerate(own))
    return passed or judgements.get(has_refused) or judgements[not has_refused]


def _judge_tunnel(probe: Probe, parsed: ParsedResponses) -> Judgement:
    """Judge the answer to CONNECT. A 2xx opens a tunnel, so it needs a valid port and no content (RFC 9110 §9.3.6)."""
    if not parsed.responses:
        return Judgement("CONNECT is not answered", is_should=True)
    answer = parsed.responses[0]
    if answer.status >= 300:
        return Judgement(None)
    if not probe.may_accept:
        return Judgement(f"CONNECT without a valid port is answered with {answer.status}, which opens a tunnel")
    surplus = [name for name in ("Content-Length", "Transfer-Encoding") if answer.field(name.lower()) is not None]
    why = f"CONNECT is answered with {answer.status}, which opens a tunnel, but has {' and '.join(surplus)}"
    return Judgement(why if surplus else None)


def _judge_cut_short(probe: Probe, parsed: ParsedResponses, ended: str) -> Judgement:
    """Judge the answer to a request that ends too early. An answer is optional, but the connection must close."""
    answers = _without_early_answer(probe, parsed.responses)
    if len(answers) > probe.accepted_count + 1:
        why = f"{_answers(len(answers))} to {_requests(probe.accepted_count)} and an incomplete one"
        return Judgement(why)
    head = probe.case.octets.rpartition(b"\r\n\r\n")
    if len(answers) > probe.accepted_count and not head[1] and answers[-1].status < 300:
        return Judgement(f"an incomplete head is answered with {answers[-1].status}")
    # A server that has announced the close may keep reading octets in transit for a while (RFC 9112 §9.6).
    if ended == "timed out" and not (answers and answers[-1].closes):
        why = "the client has ended its side within a request, but the connection stays open"
        return Judgement(why, is_should=True)
    return Judgement(None)


def _is_sentinels(answer: Response, number: int, plain: PlainAnswer) -> bool:
    """Return whether *answer* is the right answer to the plain request *number* behind a case."""
    if answer.status != plain.status:
        return False
    return not plain.echoes or f"/sentinel-{number}".encode() in answer.content


def _refuses(answer: Response, probe: Probe, index: int) -> bool:
    """Return whether *answer* refuses the syntax of a request. *index* is the position of this request in the case."""
    method = probe.methods[index] if index < len(probe.methods) else "GET"
    if answer.status == 501 and method in ("GET", "HEAD"):
        return True
    if answer.status == 413 and method not in ("GET", "HEAD"):
        return False
    if answer.status == 400 and probe.case.requirement in _PATHS:
        return False
    return answer.status in _SYNTAX_STATUSES


def _judge_accepted(probe: Probe, number: int, parsed: ParsedResponses, ended: str, plain: PlainAnswer) -> Judgement:
    """Judge the answers of a server that accepted the entire case."""
    answers = parsed.responses
    count = probe.accepted_count + (1 if probe.case.expected["httpsock"].status is not None else 0)
    refused = _judge_refusal_of_valid(probe, answers[:count])
    if refused is not None:
        return refused
    if has_no_end(probe.case):
        # The case ends within a line, so that the sentinel is part of that line.
        return Judgement("bytes of one line are read as two requests" if len(answers) > count else None)
    # A server may say why it closes a connection on which it received no request (RFC 9110 §15.5.9).
    if probe.is_alone and (len(answers) == count or not probe.case.octets):
        return Judgement(None)
    if probe.is_alone and len(answers) > count:
        return Judgement(f"{_answers(len(answers))} to {_requests(count)}")
    if len(answers) > count and (probe.closes or (count > probe.accepted_count and has_to_close(probe.case))):
        why = "the connection must close after the last of these requests, but the next one is answered"
        is_by_version = probe.closes and is_of_http_1_0(probe.case) and b"close" not in probe.case.octets
        if is_by_version:
            return Judgement(why, is_should=True, requirement=_END_OF_HTTP_1_0)
        return Judgement(why)
    if len(answers) > count + 1:
        why = f"{_answers(len(answers))} to {_requests(count + 1)}: the next request starts at the wrong byte"
        return Judgement(why)
    if len(answers) == count + 1:
        if not _is_sentinels(answers[-1], number, plain):
            why = f"the next request is answered with {answers[-1].status}; sent alone, it gets {plain.status}"
            return Judgement(why)
        return Judgement(None)
    return _judge_early_end(probe, answers, count, ended)


def _judge_refusal_of_valid(probe: Probe, answers: list[Response]) -> Judgement | None:
    """Find the first answer that refuses a valid request. Return a judgement on it, or None."""
    index = next((index for index, answer in enumerate(answers) if _refuses(answer, probe, index)), None)
    if index is None:
        return None
    status = answers[index].status
    if index == 0 and _has_more(probe):
        why = f"request 1 is valid, but is refused with {status}, perhaps because of what follows"
        return Judgement(why, is_should=True, requirement=PIPELINING)
    # RFC 9110 §9.1: every server must support GET and HEAD; it may refuse other methods, best with 405 or 501.
    is_should = probe.methods[index] not in ("GET", "HEAD", "POST")
    due = "is valid, and may get 405 or 501," if is_should else "must be accepted,"
    why = f"request {index + 1} {due} but is refused with {status}"
    return Judgement(why, is_should=is_should, is_unanswered=True)


def _has_more(probe: Probe) -> bool:
    """Return whether octets follow the first request of the case."""
    return probe.accepted_count > 1 or probe.case.requirement == "R084"


def _judge_early_end(probe: Probe, answers: list[Response], count: int, ended: str) -> Judgement:
    """Judge a server that left some requests unanswered. *count* is the number of requests in the case."""
    if (probe.closes and len(answers) == count) or (answers and answers[-1].closes):
        return Judgement(None)
    why = f"{_answers(len(answers))} to {_requests(count if probe.is_alone else count + 1)}"
    if ended == "timed out":
        return Judgement(f"{why}, and the connection stays open", is_unanswered=True)
    if answers and is_of_http_1_0(probe.case):
        return Judgement(None)
    if len(answers) < count:
        return Judgement(f"{why}, without announcing a close", is_should=bool(answers), is_unanswered=True)
    return Judgement(f"{why}, without announcing a close", is_should=True, requirement=_ANNOUNCED_CLOSE)


def _judge_refused(probe: Probe, number: int, parsed: ParsedResponses, plain: PlainAnswer) -> Judgement:
    """Judge the answers of a server that must refuse the case. The plain request behind it must get no answer."""
    answers = _without_early_answer(probe, parsed.responses)
    refusals = (index for index, answer in enumerate(answers) if _refuses(answer, probe, index))
    first = next(refusals, len(answers))
    # If httpsock accepts the case, the server may refuse any of its requests.
    count = probe.accepted_count if probe.case.is_refused else min(first, probe.accepted_count - 1)
    if first < min(count, len(answers)):
        why = f"request {first + 1} is valid, but is refused with {answers[first].status} because of what follows"
        return Judgement(why, is_should=True, requirement=PIPELINING)
    if len(answers) < count:
        why = f"{_answers(len(answers))} to {_requests(count)}"
        return Judgement(why, is_should=True, requirement=PIPELINING)
    refusal, behind = answers[count : count + 1], answers[count + 1 :]
    is_taken = bool(refusal) and refusal[0].status not in _SYNTAX_STATUSES
    if len(behind) > 1 and not (is_taken and probe.case.requirement == "R013"):
        # The server has accepted the case, as the RFC allows, and answered the requests behind it.
        if is_taken and may_accept(probe.case):
            return Judgement(None)
        why = f"{_answers(len(behind))} after the refusal: part of the request is read as another request"
        return Judgement(why)
    fault = _fault_of_refusal(refusal, probe, is_last=not behind)
    if fault.why is not None or not behind:
        return fault
    if may_refuse_target(probe.case, refusal[0].status) and _is_sentinels(behind[0], number, plain):
        return Judgement(None)
    if probe.case.requirement in _FRAMING:
        return Judgement(f"the request is refused with {refusal[0].status}, but the next bytes are read as a request")
    if refusal[0].status in (405, 501) or _is_sentinels(behind[0], number, plain):
        if may_persist_after_refusal(probe.case):
            return Judgement(None)
        why = f"the request is refused with {refusal[0].status}, but the connection stays open"
        return Judgement(why, is_should=True, requirement=_CLOSE_BEHIND_NONSENSE)
    why = f"the request behind the refusal is answered with {behind[0].status}; sent alone, it gets {plain.status}"
    return Judgement(why)


def _without_early_answer(probe: Probe, answers: list[Response]) -> list[Response]:
    """Leave out an early answer to a request that the server then refuses.

    Such a server answered the head, then read the content and refused it. A server that wrongly reads the content as
    another request gives the same two answers. Other cases detect this error, with content that is a valid request.
    """
    is_late = len(answers) == probe.accepted_count + 2 and answers[-1].status in _SYNTAX_STATUSES
    if is_late and probe.case.requirement in _CONTENT:
        return [*answers[:-2], answers[-1]]
    return answers


def _fault_of_refusal(refusal: list[Response], probe: Probe, *, is_last: bool) -> Judgement:
    """Judge the answer that refuses a case, or the lack of an answer. If *is_last* is true, no other answer follows."""
    is_given = probe.case.requirement in _STATUS_IS_GIVEN
    wanted = " or ".join(map(str, sorted(probe.statuses)))
    if not refusal:
        why = f"the connection closes without an answer; {wanted} is due" if wanted else None
        return Judgement(why, is_should=not is_given)
    status = refusal[0].status
    is_error = status >= 400 and (is_last or status not in (403, 404, 405))
    if status in probe.statuses or (is_error and not wanted) or _refuses_the_method(refusal[0], probe):
        return Judgement(None)
    if may_refuse_target(probe.case, status):
        return Judgement(None)
    if is_error:
        return Judgement(f"the request is answered with {status}, not with {wanted}", is_should=not is_given)
    due = f"refused with {wanted}" if wanted else "refused"
    return Judgement(f"the request is accepted and answered with {status}; it must be {due}")


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _refuses_the_method(refusal: Response, probe: Probe) -> bool:
    """Return whether the server refuses only the method. Such a server may not have read the rest of the request."""
    is_get = probe.case.octets.lstrip(b"\r\n").startswith((b"GET ", b"HEAD "))
    return refusal.status in (405, 501) and not is_get
