"""Checks on preconditions: RFC 9110 §13, and the 304 of §15.4.5."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

from conformance.live.site import DIGITS
from conformance.live.wire import Response

from .session import (
    Chapter,
    InapplicableError,
    Session,
    entity_tag,
    expect,
    field,
    get,
    last_modified_date,
    request,
    unless,
)

CHECKS = Chapter()

_PATH = "/digits.txt"
_LONG_AGO = "Sun, 06 Nov 1994 08:49:37 GMT"
_OTHER = '"no-such-tag"'


def _status_with(
    session: Session, fields: list[str], statuses: list[int], method: str = "GET", path: str = _PATH
) -> str | None:
    """Send a request with preconditions in *fields*. Return a fault if the status is not one of *statuses*.

    In *fields*, {tag} stands for the entity-tag of /digits.txt, and {date} for its Last-Modified date.
    """
    text = "\n".join(fields)
    if "{tag}" in text or "{bare}" in text:
        tag = entity_tag(session)
        text = text.replace("{tag}", tag).replace("{bare}", tag[1:-1])
    if "{date" in text:
        text = _with_dates(text, last_modified_date(session))
    response = session.one(request(method, path, *text.split("\n")))
    return expect(response, *statuses) or _content_fault(response)


def _with_dates(text: str, date: datetime) -> str:
    """Fill in the dates in *text*. Each name in braces becomes a form of *date*, or a time near it."""
    second = timedelta(seconds=1)
    forms = {
        "{date}": format_datetime(date, usegmt=True),
        "{date-before}": format_datetime(date - second, usegmt=True),
        "{date-after}": format_datetime(date + second, usegmt=True),
        "{date850}": f"{_DAYS[date.weekday()]}, {date:%d}-{_MONTHS[date.month - 1]}-{date:%y %H:%M:%S} GMT",
        "{date-asctime}": f"{_DAYS[date.weekday()][:3]} {_MONTHS[date.month - 1]} {date.day:2} {date:%H:%M:%S %Y}",
        "{date-now}": format_datetime(datetime.now(UTC), usegmt=True),
    }
    for name, form in forms.items():
        text = text.replace(name, form)
    return text


_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _content_fault(response: Response) -> str | None:
    """Return a fault if a 304, 412 or 404 contains the content of /digits.txt."""
    if response.status in {304, 412, 404}:
        return unless(DIGITS not in response.content, f"the {response.status} contains the file")
    return None


def _add(name: str, requirement: str, level: str, fields: list[str], *statuses: int, method: str = "GET") -> None:
    CHECKS.add(name, requirement, level, partial(_status_with, fields=fields, statuses=[*statuses], method=method))


_TABLE: list[tuple[str, str, str, list[str], int]] = [
    # RFC 9110 §13.1.2: weak comparison.
    ("If-None-Match with the entity-tag gives 304", "R117", "MUST", ["If-None-Match: {tag}"], 304),
    ("If-None-Match compares weakly", "R117", "MUST", ["If-None-Match: W/{tag}"], 304),
    ("If-None-Match with another tag gives the file", "R117", "MUST", [f"If-None-Match: {_OTHER}"], 200),
    ("If-None-Match is a list: last", "R117", "MUST", [f'If-None-Match: "a", {_OTHER}, {{tag}}'], 304),
    ("If-None-Match is a list: first", "R117", "MUST", [f"If-None-Match: {{tag}}, {_OTHER}"], 304),
    ("If-None-Match is a list: without spaces", "R117", "MUST", ['If-None-Match: "a",{tag},"b"'], 304),
    ("If-None-Match is a list: empty elements", "R117", "MUST", ['If-None-Match: , "a", , {tag},'], 304),
    ("If-None-Match is a list: spaces and tabs", "R117", "MUST", ['If-None-Match: "a"\t ,\t {tag}\t'], 304),
    ("If-None-Match is a list: two field lines", "R117", "SHOULD", ['If-None-Match: "a"', "If-None-Match: {tag}"], 304),
    ("If-None-Match is a list: weak among strong", "R117", "MUST", ['If-None-Match: W/"a", W/{tag}'], 304),
    ("A comma within an entity-tag does not end it", "R117", "MUST", ['If-None-Match: "a,b", {tag}'], 304),
    ("A tag within another tag does not match", "R117", "MUST", ['If-None-Match: "x{bare}"'], 200),
    ("A tag that begins another does not match", "R117", "MUST", ['If-None-Match: "{bare}x"'], 200),
    ("An empty entity-tag does not match", "R117", "MUST", ['If-None-Match: ""'], 200),
    ("If-None-Match: * gives 304", "R117", "MUST", ["If-None-Match: *"], 304),
    ('If-None-Match: "*" is a tag like another', "R117", "MUST", ['If-None-Match: "*"'], 200),
    # RFC 9110 §13.1.3.
    ("If-Modified-Since the same date gives 304", "R119", "SHOULD", ["If-Modified-Since: {date}"], 304),
    ("If-Modified-Since a later date gives 304", "R119", "SHOULD", ["If-Modified-Since: {date-after}"], 304),
    ("If-Modified-Since the current time gives 304", "R119", "SHOULD", ["If-Modified-Since: {date-now}"], 304),
    ("If-Modified-Since a second before gives the file", "R118", "MUST", ["If-Modified-Since: {date-before}"], 200),
    ("If-Modified-Since long ago gives the file", "R118", "MUST", [f"If-Modified-Since: {_LONG_AGO}"], 200),
    ("If-Modified-Since with a word is ignored", "R118", "MUST", ["If-Modified-Since: tomorrow"], 200),
    ("If-Modified-Since with a number is ignored", "R118", "MUST", ["If-Modified-Since: 4102444800"], 200),
    ("If-Modified-Since without a value is ignored", "R118", "MUST", ["If-Modified-Since:"], 200),
    (
        "If-Modified-Since with an ISO date is ignored",
        "R118",
        "MUST",
        ["If-Modified-Since: 2099-01-01T00:00:00Z"],
        200,
    ),
    (
        "If-Modified-Since is ignored beside If-None-Match that does not match",
        "R118",
        "MUST",
        [f"If-None-Match: {_OTHER}", "If-Modified-Since: {date}"],
        200,
    ),
    (
        "If-Modified-Since is ignored beside If-None-Match that matches",
        "R118",
        "MUST",
        ["If-None-Match: {tag}", f"If-Modified-Since: {_LONG_AGO}"],
        304,
    ),
    # RFC 9110 §13.1.1: strong comparison.
    ("If-Match with the entity-tag gives the file", "R121", "MUST", ["If-Match: {tag}"], 200),
    ("If-Match with another tag gives 412", "R121", "MUST", [f"If-Match: {_OTHER}"], 412),
    ("If-Match compares strongly", "R121", "MUST", ["If-Match: W/{tag}"], 412),
    ("If-Match: * gives the file", "R121", "MUST", ["If-Match: *"], 200),
    ("If-Match is a list", "R121", "MUST", ['If-Match: "a", "b,c", {tag}'], 200),
    ("If-Match is a list: two field lines", "R121", "SHOULD", ['If-Match: "a"', "If-Match: {tag}"], 200),
    ("If-Match: a list without the tag gives 412", "R121", "MUST", ['If-Match: "a", W/{tag}, "b"'], 412),
    ("If-Match with a longer tag gives 412", "R121", "MUST", ['If-Match: "{bare}x"'], 412),
    ("If-Match that fails gives 412 even with Range", "R121", "MUST", [f"If-Match: {_OTHER}", "Range: bytes=0-1"], 412),
    # RFC 9110 §13.1.4.
    ("If-Unmodified-Since the same date gives the file", "R122", "MUST", ["If-Unmodified-Since: {date}"], 200),
    ("If-Unmodified-Since a later date gives the file", "R122", "MUST", ["If-Unmodified-Since: {date-after}"], 200),
    ("If-Unmodified-Since a second before gives 412", "R122", "MUST", ["If-Unmodified-Since: {date-before}"], 412),
    ("If-Unmodified-Since long ago gives 412", "R122", "MUST", [f"If-Unmodified-Since: {_LONG_AGO}"], 412),
    ("If-Unmodified-Since with a word is ignored", "R122", "MUST", ["If-Unmodified-Since: yesterday"], 200),
    (
        "If-Unmodified-Since is ignored beside If-Match that matches",
        "R122",
        "MUST",
        ["If-Match: {tag}", f"If-Unmodified-Since: {_LONG_AGO}"],
        200,
    ),
    # RFC 9110 §13.2.2.
    ("If-Match comes before If-None-Match", "R123", "MUST", [f"If-Match: {_OTHER}", "If-None-Match: {tag}"], 412),
    (
        "If If-Match is true, If-None-Match decides",
        "R123",
        "MUST",
        ["If-Match: {tag}", "If-None-Match: {tag}"],
        304,
    ),
    (
        "If-Unmodified-Since comes before If-None-Match",
        "R123",
        "MUST",
        [f"If-Unmodified-Since: {_LONG_AGO}", "If-None-Match: {tag}"],
        412,
    ),
    ("If-None-Match comes before Range", "R123", "MUST", ["If-None-Match: {tag}", "Range: bytes=0-1"], 304),
    (
        "If-None-Match comes before an unsatisfiable Range",
        "R123",
        "MUST",
        ["If-None-Match: {tag}", "Range: bytes=99-"],
        304,
    ),
    ("If-Modified-Since comes before Range", "R123", "SHOULD", ["If-Modified-Since: {date}", "Range: bytes=0-1"], 304),
    (
        "If-Match comes before If-Range",
        "R123",
        "MUST",
        [f"If-Match: {_OTHER}", "Range: bytes=0-1", "If-Range: {tag}"],
        412,
    ),
]

for _name, _requirement, _level, _fields, _status in _TABLE:
    _add(_name, _requirement, _level, _fields, _status)
_add("HEAD with If-None-Match gives 304", "R117", "MUST", ["If-None-Match: {tag}"], 304, method="HEAD")
_add("HEAD with If-Modified-Since gives 304", "R119", "SHOULD", ["If-Modified-Since: {date}"], 304, method="HEAD")
_add("HEAD with If-Match that fails gives 412", "R121", "MUST", [f"If-Match: {_OTHER}"], 412, method="HEAD")


def _date_form(session: Session, name: str, value: str, preferred: str, status: int) -> str | None:
    """Check that a precondition with an obsolete form of a date gets *status*.

    If the same precondition with the date *preferred* gets another status, raise InapplicableError.
    """
    if _status_with(session, [f"{name}: {preferred}"], [status]):
        raise InapplicableError(f"the server does not evaluate {name}")
    return _status_with(session, [f"{name}: {value}"], [status])


# If-Unmodified-Since is tried with an old date, which gets 412: a server that can't read the date sends the file.
for _name, _value, _preferred, _status in (
    ("If-Modified-Since", "{date850}", "{date}", 304),
    ("If-Modified-Since", "{date-asctime}", "{date}", 304),
    ("If-Unmodified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", _LONG_AGO, 412),
    ("If-Unmodified-Since", "Sun Nov  6 08:49:37 1994", _LONG_AGO, 412),
):
    _form = "RFC 850" if "94 " in _value or "850" in _value else "asctime"
    _run = partial(_date_form, name=_name, value=_value, preferred=_preferred, status=_status)
    CHECKS.add(f"{_name} accepts a date in the form of {_form}", "R120", "MUST", _run)


def _like_plain(session: Session, method: str, path: str, fields: list[str]) -> str | None:
    """Check that preconditions do not change a response other than a 2xx (RFC 9110 §13.2.1)."""
    plain = session.one(request(method, path))
    if plain.status < 300:
        raise InapplicableError(f"{method} {path} is answered with {plain.status}")
    return expect(session.one(request(method, path, *fields)), plain.status, whether=" as without the condition")


for _field in (
    "If-None-Match: *",
    "If-Match: *",
    f"If-Match: {_OTHER}",
    f"If-Unmodified-Since: {_LONG_AGO}",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
):
    for _what, _method, _path in (
        ("a missing file", "GET", "/missing"),
        ("a method not allowed", "POST", _PATH),
        ("a redirect", "GET", "/folder"),
    ):
        _run = partial(_like_plain, method=_method, path=_path, fields=[_field])
        CHECKS.add(f"{_field} does not replace the answer to {_what}", "R124", "MUST", _run)


def _not_modified(session: Session, path: str = _PATH) -> tuple[Response, Response]:
    """Return a 200 and a 304 for the same resource. If the server sends no 304, raise InapplicableError."""
    full = session.whole(path)
    tag, date = field(full, "etag"), field(full, "last-modified")
    response = session.one(get(path, f"If-None-Match: {tag}" if tag else f"If-Modified-Since: {date or _LONG_AGO}"))
    if response.status != 304:
        raise InapplicableError("the server sends no 304")
    return full, response


for _field in ("Date", "ETag", "Vary", "Cache-Control", "Expires", "Content-Location"):

    def _repeats(session: Session, name: str = _field.lower()) -> str | None:
        full, response = _not_modified(session, "/style.css")
        if full.field(name) is None:
            raise InapplicableError(f"the 200 has no {name}")
        if response.field(name) is None:
            return f"the 304 lacks {name}, which the 200 has"
        return unless(
            name in {"date", "expires"} or response.field(name) == full.field(name), f"{name} is not that of the 200"
        )

    CHECKS.add(f"304 repeats {_field}", "R125", "MUST", _repeats)


@CHECKS.check("304 has only metadata that caches need", "R125", "SHOULD")
def _no_other_metadata(session: Session) -> str | None:
    response = _not_modified(session)[1]
    names = [name.decode("latin-1") for name, _ in response.fields if name.startswith(b"content-")]
    surplus = sorted(set(names) - {"content-location", "content-length", "content-security-policy"})
    return unless(not surplus, f"the 304 has {', '.join(surplus)}")


@CHECKS.check("304 has no content, and what follows it is the next response", "R126", "MUST")
def _no_content(session: Session) -> str | None:
    full = _not_modified(session)[0]
    tag, date = field(full, "etag"), field(full, "last-modified")
    condition = f"If-None-Match: {tag}" if tag else f"If-Modified-Since: {date}"
    responses = session.ask(get(_PATH, condition), get("/letters.txt"))
    is_next = not responses[1:] or responses[1].content == b"abcdefghij"
    return unless(is_next, "the next response is wrong") or session.fault


@CHECKS.check("304 has the Content-Length of the 200, or none", "R126", "MUST")
def _length(session: Session) -> str | None:
    full, response = _not_modified(session)
    return unless(
        response.field("content-length") in {None, full.field("content-length")},
        "the Content-Length of the 304 is not that of the 200",
    ) or unless(not response.field("transfer-encoding"), "the 304 has Transfer-Encoding")
