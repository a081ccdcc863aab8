"""Preconditions: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since and If-Range (RFC 9110 §13)."""

import itertools

import pytest

from httpsock.http.grammar import format_http_date
from httpsock.http.messages import Request
from httpsock.http.preconditions import Evaluation, Validators, evaluate, range_applies
from httpsock.http.request_parser import parse_head
from tests.support import get
from tests.support.rows import each_row

# The time Sun, 06 Nov 1994 08:49:37 GMT, and a time long after it.
MODIFIED = 784_111_777
NOW = 800_000_000.0
STRONG = Validators(b'"abc"', MODIFIED)
WEAK = Validators(b'W/"abc"', MODIFIED)
UNDATED = Validators(b'"abc"', None)
MODIFIED_DATE = format_http_date(MODIFIED)
EARLIER_DATE = format_http_date(MODIFIED - 1)
LATER_DATE = format_http_date(MODIFIED + 1)


def request(*field_lines: str, method: str = "GET") -> Request:
    """Return a request with Host and *field_lines*."""
    return parse_head(get("/", *field_lines, method=method), 100)


@each_row(
    ("if_match", "validators", "expected"),
    [
        pytest.param('"abc"', STRONG, Evaluation.PROCEED, id="R121: the entity-tag itself"),
        pytest.param('"x", "abc"', STRONG, Evaluation.PROCEED, id="R121: one entity-tag of a list matches"),
        pytest.param(' ,, "x" ,"abc",', STRONG, Evaluation.PROCEED, id="R041: empty members are skipped"),
        pytest.param("*", STRONG, Evaluation.PROCEED, id="§13.1.1: * is any state"),
        pytest.param("*", WEAK, Evaluation.PROCEED, id="§13.1.1: * is any state, of a weak entity-tag too"),
        pytest.param('"abd"', STRONG, Evaluation.FAILED, id="R121: another entity-tag"),
        pytest.param('"ABC"', STRONG, Evaluation.FAILED, id="§8.8.3: entity-tags do not ignore case"),
        pytest.param('W/"abc"', STRONG, Evaluation.FAILED, id="R121: a weak entity-tag does not match a strong one"),
        pytest.param('W/"abc"', WEAK, Evaluation.FAILED, id="§8.8.3.2: two equal weak entity-tags do not match"),
        pytest.param('"abc"', WEAK, Evaluation.FAILED, id="§8.8.3.2: a strong entity-tag does not match a weak one"),
        pytest.param("abc", STRONG, Evaluation.FAILED, id="without quotes it is no entity-tag"),
        pytest.param('w/"abc"', WEAK, Evaluation.FAILED, id="§8.8.3: a weak entity-tag begins with W in upper case"),
        pytest.param('"abc" "x"', STRONG, Evaluation.FAILED, id="a list without its comma matches nothing"),
        pytest.param('*, "abc"', STRONG, Evaluation.FAILED, id="§13.1.1: * stands alone"),
        pytest.param("", STRONG, Evaluation.FAILED, id="an empty list names no state"),
        pytest.param('"x"\r\nIf-Match: "abc"', STRONG, Evaluation.PROCEED, id="§5.3: two lines are one list"),
    ],
)
def test_if_match_compares_strongly(if_match: str, validators: Validators, expected: Evaluation) -> None:
    assert evaluate(request(f"If-Match: {if_match}"), validators, NOW) is expected


@each_row(
    ("if_none_match", "validators", "expected"),
    [
        pytest.param('"abc"', STRONG, Evaluation.NOT_MODIFIED, id="R117: the entity-tag itself"),
        pytest.param('W/"abc"', STRONG, Evaluation.NOT_MODIFIED, id="R117: a weak entity-tag matches a strong one"),
        pytest.param('"abc"', WEAK, Evaluation.NOT_MODIFIED, id="R117: a strong entity-tag matches a weak one"),
        pytest.param('W/"abc"', WEAK, Evaluation.NOT_MODIFIED, id="R117: equal weak entity-tags match"),
        pytest.param('"x", W/"abc"', STRONG, Evaluation.NOT_MODIFIED, id="R117: one entity-tag of a list matches"),
        pytest.param('"a,b", "abc"', STRONG, Evaluation.NOT_MODIFIED, id="a comma in an entity-tag ends nothing"),
        pytest.param("*", STRONG, Evaluation.NOT_MODIFIED, id="R117: * is any state"),
        pytest.param('"x"\r\nIf-None-Match: "abc"', STRONG, Evaluation.NOT_MODIFIED, id="§5.3: two lines are one list"),
        pytest.param('"abd", "ab"', STRONG, Evaluation.PROCEED, id="R117: no entity-tag of a list matches"),
        pytest.param('"x,"abc"', STRONG, Evaluation.PROCEED, id="a list with broken quotes matches nothing"),
        pytest.param("abc", STRONG, Evaluation.PROCEED, id="without quotes it is no entity-tag"),
        pytest.param('"*"', STRONG, Evaluation.PROCEED, id="an asterisk in quotes is an entity-tag"),
        pytest.param("**", STRONG, Evaluation.PROCEED, id="two asterisks are nothing"),
        pytest.param("", STRONG, Evaluation.PROCEED, id="an empty list names no state"),
        pytest.param('"\xff"', STRONG, Evaluation.PROCEED, id="R040: octets beyond ASCII are opaque"),
    ],
)
def test_if_none_match_compares_weakly(if_none_match: str, validators: Validators, expected: Evaluation) -> None:
    assert evaluate(request(f"If-None-Match: {if_none_match}"), validators, NOW) is expected


@each_row(
    ("date", "validators", "expected"),
    [
        pytest.param(MODIFIED_DATE, STRONG, Evaluation.NOT_MODIFIED, id="R119: the very date"),
        pytest.param(LATER_DATE, STRONG, Evaluation.NOT_MODIFIED, id="R119: a later date"),
        pytest.param(EARLIER_DATE, STRONG, Evaluation.PROCEED, id="R119: a second before"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", STRONG, Evaluation.NOT_MODIFIED, id="R120: rfc850-date"),
        pytest.param("Sun Nov  6 08:49:37 1994", STRONG, Evaluation.NOT_MODIFIED, id="R120: asctime-date"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 CET", STRONG, Evaluation.PROCEED, id="R118: another zone is no date"),
        pytest.param("Sun, 32 Nov 1994 08:49:37 GMT", STRONG, Evaluation.PROCEED, id="R118: an impossible day"),
        pytest.param("2094-11-06", STRONG, Evaluation.PROCEED, id="R118: another form is no date"),
        pytest.param(f"{MODIFIED_DATE}; length=3", STRONG, Evaluation.PROCEED, id="R118: parameters are no date"),
        pytest.param("", STRONG, Evaluation.PROCEED, id="R118: an empty date"),
        pytest.param(LATER_DATE, UNDATED, Evaluation.PROCEED, id="§13.1.3: ignored without Last-Modified"),
    ],
)
def test_if_modified_since_is_a_date_or_ignored(date: str, validators: Validators, expected: Evaluation) -> None:
    assert evaluate(request(f"If-Modified-Since: {date}"), validators, NOW) is expected


@each_row(
    ("date", "validators", "expected"),
    [
        pytest.param(MODIFIED_DATE, STRONG, Evaluation.PROCEED, id="R122: the very date"),
        pytest.param(LATER_DATE, STRONG, Evaluation.PROCEED, id="R122: a later date"),
        pytest.param(EARLIER_DATE, STRONG, Evaluation.FAILED, id="R122: a second before"),
        pytest.param("Sunday, 06-Nov-94 08:49:36 GMT", STRONG, Evaluation.FAILED, id="R120: rfc850-date"),
        pytest.param("Sun Nov  6 08:49:36 1994", STRONG, Evaluation.FAILED, id="R120: asctime-date"),
        pytest.param("yesterday", STRONG, Evaluation.PROCEED, id="R122: ignored when invalid"),
        pytest.param(EARLIER_DATE, UNDATED, Evaluation.PROCEED, id="§13.1.4: ignored without Last-Modified"),
    ],
)
def test_if_unmodified_since_is_a_date_or_ignored(date: str, validators: Validators, expected: Evaluation) -> None:
    assert evaluate(request(f"If-Unmodified-Since: {date}"), validators, NOW) is expected


# The field lines that make each condition missing (None), true, or false.
LINES: dict[str, dict[bool | None, tuple[str, ...]]] = {
    "If-Match": {None: (), True: ('If-Match: "abc"',), False: ('If-Match: "x"',)},
    "If-Unmodified-Since": {
        None: (),
        True: (f"If-Unmodified-Since: {MODIFIED_DATE}",),
        False: (f"If-Unmodified-Since: {EARLIER_DATE}",),
    },
    "If-None-Match": {None: (), True: ('If-None-Match: "x"',), False: ('If-None-Match: "abc"',)},
    "If-Modified-Since": {
        None: (),
        True: (f"If-Modified-Since: {EARLIER_DATE}",),
        False: (f"If-Modified-Since: {MODIFIED_DATE}",),
    },
}
# RFC 9110 §13.2.2, steps 1 and 2: If-Match and If-Unmodified-Since together.
FIRST_STEPS = {
    (None, None): True,
    (None, True): True,
    (None, False): False,
    (True, None): True,
    (True, True): True,
    (True, False): True,
    (False, None): False,
    (False, True): False,
    (False, False): False,
}
# The same table holds for steps 3 and 4: If-None-Match and If-Modified-Since together.
LAST_STEPS = FIRST_STEPS
COMBINATIONS = [
    pytest.param(dict(zip(LINES, held, strict=True)), id=" ".join({None: "-", True: "T", False: "F"}[h] for h in held))
    for held in itertools.product((None, True, False), repeat=4)
]


@each_row("method", ["GET", "HEAD"])
@each_row("held", COMBINATIONS)
def test_conditions_are_evaluated_in_the_order_of_the_rfc(held: dict[str, bool | None], method: str) -> None:
    """In a test ID, T is true, F is false, and - means no field (RFC 9110 §13.2.2, requirement R123)."""
    field_lines = [line for name, holds in held.items() for line in LINES[name][holds]]
    if not FIRST_STEPS[held["If-Match"], held["If-Unmodified-Since"]]:
        expected = Evaluation.FAILED
    elif not LAST_STEPS[held["If-None-Match"], held["If-Modified-Since"]]:
        expected = Evaluation.NOT_MODIFIED
    else:
        expected = Evaluation.PROCEED
    assert evaluate(request(*field_lines, method=method), STRONG, NOW) is expected
    # The order of the lines does not matter.
    assert evaluate(request(*reversed(field_lines), method=method), STRONG, NOW) is expected


def test_an_invalid_if_none_match_still_overrides_if_modified_since() -> None:
    """If a request has If-None-Match, the server must ignore If-Modified-Since (RFC 9110 §13.1.3, requirement R118)."""
    asked = request("If-None-Match: broken", f"If-Modified-Since: {MODIFIED_DATE}")
    assert evaluate(asked, STRONG, NOW) is Evaluation.PROCEED


@each_row(
    ("if_range", "validators", "now", "expected"),
    [
        pytest.param('"abc"', STRONG, NOW, True, id="R137: the entity-tag itself"),
        pytest.param('"x"', STRONG, NOW, False, id="R137: another entity-tag"),
        pytest.param('W/"abc"', STRONG, NOW, False, id="R137: a weak entity-tag"),
        pytest.param('W/"abc"', WEAK, NOW, False, id="R137: a weak entity-tag does not match itself"),
        pytest.param('"abc"', WEAK, NOW, False, id="R137: a strong entity-tag does not match a weak one"),
        pytest.param('"abc", "x"', STRONG, NOW, False, id="§13.1.5: a list is not one entity-tag"),
        pytest.param("*", STRONG, NOW, False, id="§13.1.5: an asterisk is no entity-tag"),
        pytest.param("abc", STRONG, NOW, False, id="neither entity-tag nor date"),
        pytest.param("", STRONG, NOW, False, id="an empty value"),
        pytest.param(MODIFIED_DATE, STRONG, NOW, True, id="R137: the very date"),
        pytest.param("Sun Nov  6 08:49:37 1994", STRONG, NOW, True, id="R120: the very date in another form"),
        pytest.param(EARLIER_DATE, STRONG, NOW, False, id="R137: an earlier date is not exact"),
        pytest.param(LATER_DATE, STRONG, NOW, False, id="R137: a later date is not exact"),
        pytest.param(MODIFIED_DATE, UNDATED, NOW, False, id="a date, but the file has none"),
        pytest.param(MODIFIED_DATE, STRONG, MODIFIED + 1.0, False, id="§8.8.2.2: a date of the last second is weak"),
        pytest.param(MODIFIED_DATE, STRONG, MODIFIED + 1.5, True, id="§8.8.2.2: a date older than a second is strong"),
    ],
)
def test_if_range_must_match_exactly(if_range: str, validators: Validators, now: float, expected: bool) -> None:
    asked = request("Range: bytes=0-1", f"If-Range: {if_range}")
    assert range_applies(asked, validators, now) is expected


def test_a_range_applies_without_if_range() -> None:
    assert range_applies(request("Range: bytes=0-1"), WEAK, NOW)
