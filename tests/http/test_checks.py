"""Wrong arguments: the error message of each public function and class contains the argument's name."""

import collections
import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import httpsock
from httpsock.http.checks import check_callable, check_kind, check_number, check_seconds, field_list
from httpsock.http.framing import ContentLimits
from tests.support.rows import each_row
from tests.support.servers import answering, ok, playing

NO_TIMES: list[Any] = [float("inf"), float("nan"), -1, -0.5, 1e9, "5", None, True, b"1", [1]]


# --- the checks -----------------------------------------------------------------------------------------------------


@each_row("value", NO_TIMES, ids=repr)
def test_an_infinite_or_negative_time_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^grace must be (a number of|from 0 to 1000000) seconds, not "):
        check_seconds("grace", value)
    for name in ("connect", "response", "stall"):
        with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
            httpsock.ClientTimeouts(**{name: value})


def test_valid_times_are_accepted() -> None:
    for value in (0, 0.5, 3, 1_000_000):
        check_seconds("grace", value)


def test_wrong_types_and_wrong_numbers_are_refused() -> None:
    check_kind("a", 1, int, "a number")
    check_kind("a", True, bool, "a bool")
    check_callable("log", print)
    with pytest.raises(TypeError, match=r"^a must be a number, not a value of type bool$"):
        check_kind("a", True, int, "a number")
    with pytest.raises(TypeError, match=r"^a must be a str, not None$"):
        check_kind("a", None, str, "a str")
    with pytest.raises(TypeError, match=r"^log must be a function, not a value of type str$"):
        check_callable("log", "print")
    with pytest.raises(ValueError, match=r"^port must be from 0 to 65535, not 65536$"):
        check_number("port", 65536, 0, 65535)


def test_fields_are_pairs_or_a_mapping() -> None:
    expected = [("A", "b"), ("C", "d")]
    for given in (expected, dict(expected), iter(expected), collections.UserDict(expected), [["A", "b"], ("C", "d")]):
        assert field_list(given) == expected


@each_row("fields", ["A: b", b"A: b", 5, None, ["A: b"], [("A",)], [("A", 5)], [(b"A", "b")], {"A": None}])
def test_invalid_fields_are_named(fields: Any) -> None:
    with pytest.raises(TypeError, match=r"^(fields must be pairs of name and value|the (name|value) of a field must)"):
        field_list(fields)


# --- the client -----------------------------------------------------------------------------------------------------


@each_row(
    ("arguments", "reason"),
    [
        ({"timeouts": 5}, "timeouts must be ClientTimeouts, not a value of type int"),
        ({"timeouts": httpsock.Timeouts()}, "timeouts must be ClientTimeouts"),
        ({"limits": httpsock.Limits()}, "limits must be ResponseLimits"),
        ({"redirects": -1}, "redirects must be from 0 to 1000, not -1"),
        ({"redirects": True}, "redirects must be a whole number"),
        ({"redirects": "5"}, "redirects must be a whole number"),
    ],
)
def test_a_client_names_its_wrong_argument(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        httpsock.Client(**arguments)


@each_row(
    ("method", "url", "more", "reason"),
    [
        (b"GET", "http://a/", {}, "method must be a str"),
        ("GET", b"http://a/", {}, "url must be a str"),
        ("GET", None, {}, "url must be a str, not None"),
        ("POST", "http://a/", {"content": "text"}, "content must be bytes; encode a str first"),
        ("POST", "http://a/", {"content": 5}, "content must be bytes"),
        ("GET", "http://a/", {"fields": "A: b"}, "fields must be pairs"),
        ("GET", "http://a/", {"fields": {"A": "b\r\nC: d"}}, "the value of A has a control character"),
        ("GET", "http://a/", {"fields": {"A:": "b"}}, "the field name 'A:' is not a token"),
        ("GET", "http://a/", {"fields": {"A": "→"}}, "the value of A has a character beyond Latin-1"),
        ("G→T", "http://a/", {}, "the method 'G→T' is not a token"),
    ],
)
def test_a_request_names_its_wrong_argument(method: Any, url: Any, more: dict[str, Any], reason: str) -> None:
    with httpsock.Client() as client, pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        client.request(method, url, **more)


def test_fields_may_be_a_mapping_and_content_a_bytearray() -> None:
    seen: list[bytes] = []
    with playing(answering(ok(b""), seen=seen)) as url, httpsock.Client() as client:
        client.request("PUT", url, fields={"A": "b"}, content=bytearray(b""))
    assert b"\r\nA: b\r\n" in seen[0]


@each_row("name", ["head", "field_lines", "interim_responses"])
@each_row("value", [-1, 1.5, "5", None, True, float("inf")])
def test_an_invalid_limit_is_named(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
        httpsock.ResponseLimits(**{name: value})


def test_limits_of_content_are_checked_as_well() -> None:
    with pytest.raises(TypeError, match=r"^content must be ContentLimits, not a value of type int$"):
        httpsock.ResponseLimits(content=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^content\.trailers must be from 0 to"):
        httpsock.ResponseLimits(content=ContentLimits(trailers=-1))


# --- the names ------------------------------------------------------------------------------------------------------


# These names are aliases of types, which have no docstring; http/handler.py describes them.
ALIASES = {"Handler", "Middleware", "Steps"}


def test_each_public_name_is_there_and_documented() -> None:
    for name in httpsock.__all__:
        value = getattr(httpsock, name)
        assert name in {"__version__", *ALIASES} or (value.__name__ == name and value.__doc__)


def test_the_public_names_are_those_of_the_parts_that_a_program_uses() -> None:
    """Programs would break if a public name were removed or renamed."""
    of_handlers = "Context FileSlice Request RequestError Response Sleep Status Stream respond in_thread"
    of_middleware = "basic_authentication single_page"
    of_server = "ContentLimits Exchange Limits Server TestServer Timeouts"
    of_client = (
        "Client ClientResponse ClientTimeouts IncompleteError RedirectError ResponseError ResponseLimits UrlError"
    )
    names = f"{of_handlers} {of_middleware} {of_server} {of_client} __version__".split()
    assert sorted(httpsock.__all__) == sorted({*names, *ALIASES})


def test_the_package_loads_its_modules_on_demand() -> None:
    program = "import httpsock, sys; print([name for name in sys.modules if name.startswith('httpsock.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


# --- the server -----------------------------------------------------------------------------------------------------


@each_row(
    ("arguments", "reason"),
    [
        ({"directory": 5}, "directory must be a str or a path, not a value of type int"),
        ({"directory": None}, "directory must be a str or a path, not None"),
        ({"hosts": []}, "hosts must not be empty"),
        ({"hosts": ""}, "'' is not an IPv4 or IPv6 address"),
        ({"hosts": "localhost"}, "'localhost' is not an IPv4 or IPv6 address"),
        ({"hosts": None}, "hosts must be a sequence, not None"),
        ({"hosts": [5]}, "each of hosts must be a str"),
        ({"port": 65536}, "port must be from 0 to 65535, not 65536"),
        ({"port": -1}, "port must be from 0 to 65535, not -1"),
        ({"port": True}, "port must be a whole number, not a value of type bool"),
        ({"port": "80"}, "port must be a whole number, not a value of type str"),
        ({"port": 80.0}, "port must be a whole number"),
        ({"threads": 0}, "threads must be from 1 to 1000, not 0"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"show_hidden": "no"}, "show_hidden must be a bool"),
        ({"follow_links": 1}, "follow_links must be a bool"),
        ({"siblings": None}, "siblings must be a bool"),
        ({"cache_control": 5}, "cache_control must be a str"),
        ({"cache_control": "a\r\nB: c"}, "the value of Cache-Control has a control character"),
        ({"fields": "A: b"}, "fields must be pairs of name and value"),
        ({"fields": {"A": "b\nC: d"}}, "the value of A has a control character"),
        ({"fields": {"A": 5}}, "the value of a field must be a str"),
        ({"fields": {"A": "→"}}, "the value of A has a character beyond Latin-1"),
        ({"fields": {"Ä": "b"}}, "the field name 'Ä' is not a token"),
        ({"fields": {"\ud800": "b"}}, r"the field name '\\ud800' is not a token"),
        ({"listeners": 5}, "listeners must be a sequence, not a value of type int"),
        ({"listeners": []}, "listeners must not be empty"),
        ({"listeners": [5]}, "each of listeners must be a socket, not a value of type int"),
        ({"log": "access.log"}, "log must be a function"),
        ({"report": None}, "report must be a function, not None"),
        ({"limits": 5}, "limits must be Limits"),
        ({"limits": httpsock.Limits(head=-1)}, "head must be from 0"),
        ({"limits": httpsock.Limits(content=5)}, "content must be ContentLimits"),  # type: ignore[arg-type]
        ({"timeouts": 5}, "timeouts must be Timeouts"),
        ({"timeouts": httpsock.ClientTimeouts()}, "timeouts must be Timeouts"),
        ({"timeouts": httpsock.Timeouts(idle=float("inf"))}, "idle must be from 0 to 1000000 seconds, not inf"),
        ({"timeouts": httpsock.Timeouts(head=float("nan"))}, "head must be from 0 to 1000000 seconds, not nan"),
    ],
)
def test_a_server_names_its_wrong_argument(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        httpsock.Server(**{"port": 0, **arguments})


def test_hosts_may_be_one_address_and_fields_a_mapping(tmp_path: pathlib.Path) -> None:
    with httpsock.Server(tmp_path, hosts="127.0.0.1", port=0, fields={"A": "b"}) as server, httpsock.Client() as client:
        assert client.get(server.url).field("a") == "b"


def test_a_server_serves_once(tmp_path: pathlib.Path) -> None:
    with httpsock.Server(tmp_path, port=0) as server:
        with pytest.raises(RuntimeError, match=r"^the server has been started; make another one$"):
            server.start()
        with pytest.raises(RuntimeError, match="has been started"), server:
            pass
        with httpsock.Client() as client:
            assert client.get(server.url).status == 200
    with pytest.raises(RuntimeError, match="has been started"):
        server.start()
    server.stop()
    stopped = httpsock.Server(tmp_path, port=0)
    stopped.stop()
    stopped.wait_for_log()
    with pytest.raises(RuntimeError, match=r"^the server has been stopped; make another one$"):
        stopped.start()


@pytest.mark.parametrize("grace", [float("inf"), float("nan"), -1, "5", None, True])
def test_an_invalid_grace_is_refused(tmp_path: pathlib.Path, grace: Any) -> None:
    with httpsock.Server(tmp_path, port=0) as server:
        with pytest.raises((TypeError, ValueError), match=r"^grace_seconds must be "):
            server.stop(grace)
        with httpsock.Client() as client:
            assert client.get(server.url).status == 200


def test_a_test_can_wait_for_the_log(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(bytes(300_000))
    logged: list[httpsock.Exchange] = []
    with httpsock.Server(tmp_path, port=0, log=logged.extend) as server, httpsock.Client() as client:
        server.wait_for_log()
        for number in range(1, 30):
            client.get(server.url + "a").read()
            server.wait_for_log()
            assert len(logged) == number
    server.wait_for_log()


def test_waiting_for_a_log_that_blocks_times_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, logged = threading.Event(), list[httpsock.Exchange]()

    def log(batch: Sequence[httpsock.Exchange]) -> None:
        assert gate.wait(60)
        logged.extend(batch)

    monkeypatch.setattr("httpsock.server.server._CHECK_SECONDS", 0.001)
    is_running: Any = vars(httpsock.Server)["is_running"]
    looks: list[None] = []

    def look(server: httpsock.Server) -> bool:
        # The second call of this function comes after a wait that timed out.
        looks.append(None)
        if len(looks) == 2:
            gate.set()
        return bool(is_running.fget(server))

    with httpsock.Server(tmp_path, port=0, log=log) as server, httpsock.Client() as client:
        client.get(server.url).read()
        with monkeypatch.context() as looking:
            looking.setattr(httpsock.Server, "is_running", property(look))
            server.wait_for_log()
    assert len(logged) == 1
    assert len(looks) >= 2


def test_the_log_itself_does_not_wait_for_the_log(tmp_path: pathlib.Path) -> None:
    reports: list[str] = []
    with (
        httpsock.Server(tmp_path, port=0, log=lambda _: server.wait_for_log(), report=reports.append) as server,
        httpsock.Client() as client,
    ):
        client.get(server.url)
    assert "wait_for_log() would wait for the thread that calls it" in reports[0]
