"""Content negotiation: the server selects the representation that a client prefers (RFC 9110 §12.4, §12.5)."""

import pytest

from httpsock.http.negotiation import accepted_codings, preferred_media_type
from tests.support.rows import each_row

FORMS = ("text/plain", "text/html", "application/json")
CODINGS = ("br", "zstd", "gzip")
BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@each_row(
    ("accept", "expected"),
    [
        pytest.param(None, "text/plain", id="a client without Accept gets the first offer"),
        pytest.param(b"", "text/plain", id="an empty Accept accepts nothing in particular: the first offer"),
        pytest.param(b"*/*", "text/plain", id="curl takes anything: the first offer"),
        pytest.param(BROWSER, "text/html", id="a browser gets a page"),
        pytest.param(b"application/json", "application/json", id="a type named alone is preferred"),
        pytest.param(b"Application/JSON", "application/json", id="R035: types ignore case"),
        pytest.param(b"image/png", "text/plain", id="§12.5.1: nothing acceptable gives the first offer, not 406"),
        pytest.param(b"text/plain;q=0.5, text/html;q=0.6", "text/html", id="§12.4.2: the higher weight wins"),
        pytest.param(b"text/html;q=0.5, application/json;q=0.5", "text/html", id="equal weights: the order offered"),
        pytest.param(b"application/json, text/html", "text/html", id="the order in the field does not count"),
        pytest.param(b"text/html;q=1.000,text/plain;q=0.999", "text/html", id="§12.4.2: three decimals count"),
        pytest.param(b"text/html;q=0.001,text/plain;q=0", "text/html", id="§12.4.2: the least weight is above none"),
        pytest.param(b"text/html;q=0., text/plain;q=1.", "text/plain", id="§12.4.2: a point without decimals"),
        pytest.param(b"text/html;Q=0.1, text/plain;q=0.2", "text/plain", id="the name of a weight ignores case"),
        pytest.param(b"text/html \t;\t q=0.3,text/plain ; q=0.2", "text/html", id="whitespace round ; is skipped"),
        pytest.param(b",, text/html ,\t,", "text/html", id="R041: empty members are skipped"),
        pytest.param(b"text/html;q=0, */*", "text/plain", id="§12.4.2: weight 0 means not acceptable"),
        pytest.param(b"text/plain;q=0, */*;q=0.1", "text/html", id="the most specific range counts, not the best"),
        pytest.param(b"text/*;q=0.3, */*;q=0.5", "application/json", id="§12.5.1: text/* is closer than */*"),
        pytest.param(b"text/*", "text/plain", id="text/* does not prefer one text to another"),
        pytest.param(b"application/*, text/html;q=0.9", "application/json", id="a subtype wildcard names a family"),
        pytest.param(b"*", "text/plain", id="* alone is no media range"),
        pytest.param(b"text/html;q=2, application/json;q=0.1", "application/json", id="a weight above 1: skipped"),
        pytest.param(b"text/html;q=0.1234, application/json;q=0.1", "application/json", id="four decimals: skipped"),
        pytest.param(
            b"text/html;q=, application/json;q=0.1", "application/json", id="an empty weight: the member is skipped"
        ),
        pytest.param(b"text/html;q=-1, application/json;q=0.1", "application/json", id="a negative weight: skipped"),
        pytest.param(b"text/html;q=nan, application/json;q=0.1", "application/json", id="a weight nan: skipped"),
        pytest.param(b"text/html;charset=utf-8", "text/html", id="a parameter does not hide the type"),
        pytest.param(
            b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5",
            "text/plain",
            id="§12.5.1: the RFC's own example",
        ),
        pytest.param(
            b"text/html;level=1;q=0.1, text/html;q=0.9, text/plain;q=0.5",
            "text/html",
            id="§12.5.1: a range with parameters that the offer lacks does not speak for it",
        ),
        pytest.param(
            b'text/html;title="a;q=0;b", text/plain;q=0.5', "text/html", id="§5.6.6: a semicolon in quotes is no end"
        ),
        pytest.param(b'text/html;title="a, text/plain, b"', "text/html", id="§5.6.4: a quoted comma does not separate"),
        pytest.param(
            b"text/html\xff;q=\xff, application/json", "application/json", id="R040: octets beyond ASCII are opaque"
        ),
    ],
)
def test_the_preferred_media_type_is_chosen(accept: bytes | None, expected: str) -> None:
    assert preferred_media_type(accept, FORMS) == expected


@each_row(
    ("accept_encoding", "expected"),
    [
        pytest.param(None, (), id="without the field a client is not known to understand any"),
        pytest.param(b"", (), id="§12.5.3: an empty field asks for no coding"),
        pytest.param(b"gzip", ("gzip",), id="R111: a coding asked for"),
        pytest.param(b"GZip", ("gzip",), id="R056: codings ignore case"),
        pytest.param(b"x-gzip", ("gzip",), id="§8.4.1.3: x-gzip is gzip"),
        pytest.param(b"gzip;q=0, x-gzip", (), id="gzip by its own name counts first"),
        pytest.param(b"x-gzip;q=0.2, br;q=0.1", ("gzip", "br"), id="the weight of x-gzip is that of gzip"),
        pytest.param(b"gzip, deflate, br, zstd", ("br", "zstd", "gzip"), id="equal weights: the order offered"),
        pytest.param(b"gzip;q=1.0, br;q=0.5", ("gzip", "br"), id="§12.4.2: the higher weight first"),
        pytest.param(b"deflate, compress", (), id="codings that are not offered"),
        pytest.param(b"*", ("br", "zstd", "gzip"), id="§12.5.3: * is any coding"),
        pytest.param(b"br;q=0, *", ("zstd", "gzip"), id="§12.5.3: * is any coding not listed"),
        pytest.param(b"*;q=0", (), id="no coding at all"),
        pytest.param(b"gzip, *;q=0", ("gzip",), id="one coding and no other"),
        pytest.param(b"gzip;q=0", (), id="§12.5.3: weight 0 is not acceptable"),
        pytest.param(b"gzip;q=0.000", (), id="weight 0 with all its decimals"),
        pytest.param(b"gzip;q=0.001", ("gzip",), id="the least weight is acceptable"),
        pytest.param(b"identity", (), id="what is not listed is not asked for"),
        pytest.param(b"identity;q=0.5, gzip;q=0.4, br;q=0.6", ("br",), id="§12.5.3: identity is preferred to gzip"),
        pytest.param(
            b"identity;q=0.5, gzip;q=0.5", ("gzip",), id="gzip is preferred to an equal identity: it is shorter"
        ),
        pytest.param(b"identity;q=0, gzip", ("gzip",), id="identity forbidden"),
        pytest.param(b"identity;q=0", (), id="identity forbidden and nothing else asked for: identity after all"),
        pytest.param(b"gzip;q=5, br", ("br",), id="a malformed weight: the member is skipped"),
        pytest.param(b"gzip;level=9", ("gzip",), id="a parameter that is no weight"),
        pytest.param(b" , gzip ,, br , ", ("br", "gzip"), id="R041: empty members are skipped"),
        pytest.param(b"gzip;q=0.1, gzip;q=1, br;q=0.5", ("br", "gzip"), id="stated twice, the first counts"),
    ],
)
def test_codings_are_accepted_by_weight(accept_encoding: bytes | None, expected: tuple[str, ...]) -> None:
    assert accepted_codings(accept_encoding, CODINGS) == expected


@each_row("field_value", [b";", b";q=1", b" ; ,;;", b'";"', b";;;;,text/html"])
def test_a_member_without_a_name_is_skipped(field_value: bytes) -> None:
    """A malformed field must not make the server fail (requirement R116)."""
    assert preferred_media_type(field_value, ("text/plain", "text/html")) in ("text/plain", "text/html")
    assert accepted_codings(field_value, ("br", "gzip")) == ()


def test_only_the_first_members_of_a_very_long_list_count() -> None:
    field_value = b"a/a;q=0.1," * 64 + b"text/html"
    assert preferred_media_type(field_value, ("text/plain", "text/html")) == "text/plain"
    assert preferred_media_type(field_value[10:], ("text/plain", "text/html")) == "text/html"


def test_only_the_first_parameters_of_a_member_count() -> None:
    """Otherwise, one request with thousands of parameters would take as long as hundreds of requests."""
    accept = b"text/html" + b";a=b" * 16 + b";q=0.1, text/plain;q=0.5"
    assert preferred_media_type(accept, ("text/plain", "text/html")) == "text/html"
    assert preferred_media_type(accept.replace(b";a=b", b"", 1), ("text/plain", "text/html")) == "text/plain"
