"""Command-line arguments: each gives a value or an error message. No program is started here."""

import argparse
import io
import os
from collections.abc import Callable

import pytest

from httpsock.cli.arguments import ArgumentParser, expand_trace_option, field, number, write_output
from tests.support.rows import each_row


def anything(name: str, value: str) -> None:
    """Accept any field name except "bad"."""
    if name == "bad":
        raise ValueError("it is bad")


@each_row("text", ["1", "5", "010"])
def test_a_number_within_its_bounds_is_accepted(text: str) -> None:
    assert number(1, 10, "a number")(text) == int(text)


@each_row("text", ["", "0", "11", "+5", " 5", "5.0", "٥", "1_0", "5" * 10])
def test_an_invalid_number_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 1 to 10"):
        number(1, 10, "a number")(text)


def test_a_field_is_split_at_its_first_colon_and_kept_as_octets() -> None:
    assert field(anything)("X: \ta:b ") == ("X", "a:b")
    assert field(anything)("X:ä") == ("X", "ä".encode().decode("latin-1"))


@each_row(("text", "reason"), [("X", "'X' is not 'Name: value'"), ("bad: x", "it is bad")])
def test_an_invalid_field_is_refused(text: str, reason: str) -> None:
    parse: Callable[[str], tuple[str, str]] = field(anything)
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        parse(text)


def test_a_wrong_argument_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        ArgumentParser("httpsock this", "", {"--theirs": "--ours"}).parse_args(["--that"])
    assert left.value.code == 2
    assert capsys.readouterr().err == "httpsock this: unrecognized arguments: --that; see httpsock this --help.\n"


@each_row(
    ("given", "option"),
    [("--port=--", "--port"), ("-p=--", "-p"), ("-p--", "-p"), ("-vp--", "-vp"), ("--trace=--", "--trace")],
)
def test_two_hyphens_are_not_a_value(given: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before Python 3.13, argparse stored an empty list instead of the value --."""
    with pytest.raises(SystemExit) as left:
        parser_of_options().parse_args([given])
    assert left.value.code == 2
    assert capsys.readouterr().err == f"httpsock: argument {option}: '--' is not a value; see httpsock --help.\n"


def test_two_hyphens_may_end_a_value_and_begin_the_other_arguments() -> None:
    options = parser_of_options().parse_args(["--port", "x=--", "-v", "--", "--port=--"])
    assert (options.port, options.names) == ("x=--", ["--port=--"])


def parser_of_options() -> ArgumentParser:
    """Return a parser for options, some with a value, and for positional arguments."""
    parser = ArgumentParser("httpsock", "", {})
    parser.add_argument("-p", "--port")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--trace", nargs="?")
    parser.add_argument("names", nargs="*")
    return parser


@pytest.mark.parametrize(
    ("given", "hint"),
    [("--prot", "--port"), ("--por=1", "--port"), ("-P", "-p"), ("--theirs", "--ours"), ("--xyz", None), ("-z", None)],
)
def test_an_unknown_option_gets_the_nearest_as_a_hint(
    capsys: pytest.CaptureFixture[str], given: str, hint: str | None
) -> None:
    parser = ArgumentParser("httpsock", "", {"--theirs": "--ours"})
    parser.add_argument("-p", "--port")
    with pytest.raises(SystemExit):
        parser.parse_args([given])
    asked = f"; did you mean {hint}?" if hint else ""
    assert capsys.readouterr().err == f"httpsock: unrecognized arguments: {given}{asked}; see httpsock --help.\n"


def test_a_mistyped_password_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ArgumentParser("httpsock", "", {}).parse_args(["http://u:p@h/\x1b[2J"])
    assert "http://***@h/\\x1b[2J;" in capsys.readouterr().err


@each_row(
    ("given", "taken"),
    [
        (["--trace"], ["--trace=text"]),
        (["--trace", "octets"], ["--trace=octets"]),
        (["--trace", "hex", "www"], ["--trace=octets", "www"]),
        (["--trace=hex"], ["--trace=octets"]),
        (["--trace", "www"], ["--trace=text", "www"]),
        (["--", "--trace"], ["--", "--trace"]),
    ],
)
def test_the_format_of_a_trace_may_follow_a_space(given: list[str], taken: list[str]) -> None:
    assert expand_trace_option(given) == taken


def test_output_is_escaped_where_standard_output_cannot_encode_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets := io.BytesIO(), "ascii"))
    write_output("Grüße\n")
    assert octets.getvalue() == rb"Gr\xfc\xdfe" + os.linesep.encode()


def test_output_is_written_to_a_stream_of_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", text := io.StringIO(newline="\n"))
    write_output("Grüße")
    assert text.getvalue() == "Grüße"


def test_line_ends_are_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "linesep", "\r\n")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets := io.BytesIO(), "utf-8"))
    write_output("a\nb\n")
    assert octets.getvalue() == b"a\r\nb\r\n"
