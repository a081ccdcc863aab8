"""Broken responses and connections: rules choose which ones to break, and how.

Takes rules, gives the faulty parts of a server: its accept queues, its transports and a middleware. Each rule has its
own random numbers. So the same seed, rules and requests lead to the same choices.

RFC 9112 §6.3 (framing), §9 (connections).
"""

import math
import random
import sys
import threading

from httpsock.handlers.checked import finish
from httpsock.http.checks import check_number
from httpsock.http.grammar import format_http_date
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import FileSlice, Part, Refusal, Request, Response, Sleep, Stream

from .exact import exact_response, is_exact
from .faults import FAULTS, Message, Rule, Stage
from .listening import Period, Port
from .transport import RecordedTransport


class _ActiveRule:
    """A rule with its own random numbers. *left* is how many more times the rule may be applied."""

    def __init__(self, rule: Rule, seed: str | None) -> None:
        self.rule = rule
        self.stage = FAULTS[rule.name].stage
        self.left = math.inf if rule.times is None else rule.times
        self._random = random.Random(seed)  # noqa: S311 (no secret)

    def applies(self) -> bool:
        """Decide at random whether the rule applies this time, and return the decision.

        Each time the rule applies, reduce the number of times that are left.
        """
        if self._random.random() >= self.rule.probability:
            return False
        self.left -= 1
        return True


class Faults:
    """The faults of one server. With the same *seed*, a second run makes the same choices.

    If a request's path begins with *exempt*, the response is never broken.
    """

    def __init__(self, seed: int | None = None, *, exempt: str | None = None) -> None:
        self._seed = seed
        self._exempt = exempt
        self._rules: list[_ActiveRule] = []
        # How many rules there have been since the last ``clear``.
        self._count = 0
        self._lock = threading.Lock()
        self._port = Port(self._next_period, self._next_delay)
        # Makes the accept queue of a listening socket.
        self.accept_queue = self._port.accept_queue

    def add(self, rule: Rule) -> None:
        """Apply *rule* from now on. If several rules select a response or a connection, the first rule applies.

        Raise ValueError if *rule* is wrong, can't apply on this system, or would never apply.
        """
        if rule.times is not None:
            check_number("times", rule.times, 1, 10**9)
        if FAULTS[rule.name].stage in (Stage.PORT, Stage.QUEUE) and not sys.platform.startswith("linux"):
            raise ValueError(f"the fault {rule.name} needs Linux")
        with self._lock:
            chosen = _ActiveRule(rule, None if self._seed is None else f"{self._seed} {self._count}")
            for each in self._rules:
                if each.stage is chosen.stage is not Stage.PORT and each.rule.hides(rule):
                    raise ValueError(
                        f"the fault {rule.name} would never apply: {each.rule.name} is first, and always does"
                    )
            self._rules.append(chosen)
            self._count += 1
        self._port.is_slow |= chosen.stage is Stage.QUEUE
        if chosen.stage is Stage.PORT:
            self._port.closed_seconds = max(self._port.closed_seconds, rule.value)
            self._port.begin_period()

    def clear(self) -> None:
        """Remove all rules, so that no response and no connection is broken."""
        with self._lock:
            self._rules.clear()
            self._count = 0
        self._port.is_slow = False
        self._port.begin_period()

    def middleware(self, handler: Handler) -> Handler:
        """Return a handler that calls *handler*, and breaks its responses as the rules say."""

        def respond(request: Request, context: Context) -> Response | Steps[Response]:
            response = handler(request, context)
            path = request.target.path.decode("latin-1")
            if self._exempt is not None and path.startswith(self._exempt):
                return response
            rule = self._choose(Stage.RESPONSE, path)
            return response if rule is None else _broken(rule, response, request, context)

        return respond

    def begin(self, transport: RecordedTransport) -> RecordedTransport:
        """Return *transport*. If a rule selects the connection, the connection ends before a request is read."""
        rule = self._choose(Stage.CONNECTION)
        if rule is not None:
            text, is_reset = FAULTS[rule.name].text, rule.name == "connect-reset"

            def break_off() -> None:
                if is_reset:
                    transport.reset()
                raise ConnectionAbortedError(text)

            transport.begin = break_off
        return transport

    def _next_period(self) -> Period:
        """Return whether the port is closed in the next period, and how long the period lasts."""
        seconds = min((each.rule.value for each in self._rules_of(Stage.PORT)), default=math.inf)
        rule = self._choose(Stage.PORT)
        return Period(is_closed=False, seconds=seconds) if rule is None else Period(is_closed=True, seconds=rule.value)

    def _next_delay(self) -> float:
        """Return how many seconds the next connection must wait in the accept queue."""
        rule = self._choose(Stage.QUEUE)
        return 0.0 if rule is None else rule.value

    def _rules_of(self, stage: Stage) -> list[_ActiveRule]:
        with self._lock:
            return [each for each in self._rules if each.stage is stage and each.left]

    def _choose(self, stage: Stage, path: str = "") -> Rule | None:
        """Return the rule to apply now. If no rule applies, return None.

        *path* is the path of the request, or "" if there is no request yet.
        """
        with self._lock:
            for each in self._rules:
                if each.stage is stage and each.left and each.rule.matches(path) and each.applies():
                    return each.rule
        return None


def _broken(rule: Rule, response: Response | Steps[Response], request: Request, context: Context) -> Steps[Response]:
    """Return *response* with the fault of *rule*. A response of exact octets stays unchanged."""
    response = yield from finish(response)
    if is_exact(response):
        return response
    try:
        content = response.content if request.method != "HEAD" else ()
        if isinstance(content, Stream):
            content = ((yield from _collect(content, context)),)
    except BaseException:
        response.close()
        raise
    fault = FAULTS[rule.name]
    script = fault.make(_message(response, content, request, context), rule.value)
    broken = exact_response(iter(script.parts), script.then, response.status, response)
    broken.refusal = Refusal(response.status, f"fault {rule.name}: {fault.text}", fault.section)
    return broken


def _collect(stream: Stream, context: Context) -> Steps[bytes]:
    """Return all octets of *stream*, without its pauses."""
    octets = bytearray()
    for chunk in stream.chunks:
        if not isinstance(chunk, Sleep):
            octets += chunk
        yield
        if context.is_stopping:
            break
    return bytes(octets)


def _message(response: Response, content: tuple[Part, ...], request: Request, context: Context) -> Message:
    fields = [("Date", format_http_date(context.tick.second)), *response.fields]
    if not request.is_persistent or context.is_stopping:
        fields.insert(1, ("Connection", "close"))
    start = response.status.line + "".join(f"{name}: {value}\r\n" for name, value in fields)
    length = sum(part.length if isinstance(part, FileSlice) else len(part) for part in content)
    return Message(start.encode("latin-1"), length, content)
