"""``httpsock get URL...``: the client as a command.

standard output    the content, or with -i and -I the heads
standard error     what is done (-v), how far it is, what went wrong: one sentence for each URL
exit code          0 if every URL was got, else that of the first that was not; the numbers are curl's where it has one

     2  a wrong argument                          18  the content broke off: what came is kept for -C
     6  the host has no address                   22  with --fail, or -C: the status is 400 or more
     7  no connection can be made                 23  what came can't be written
     8  the response is malformed                 28  it took too long
    47  too many redirects, or one that leads where only another client can go

RFC 9110 §9 (methods), §14 (ranges), §15 (status codes).
"""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from httpsock.client.client import (
    MOST_REDIRECTS,
    Client,
    ClientResponse,
    RedirectError,
    check_request_field,
    format_head,
)
from httpsock.client.connection import ClientTimeouts
from httpsock.client.download import Download, OutputError
from httpsock.client.url import UrlError, parse_url
from httpsock.http.grammar import printable
from httpsock.http.response_parser import IncompleteError, ResponseError
from httpsock.http.text import visible

from .arguments import (
    INTERRUPTED,
    NOT_WRITTEN,
    TRACE_FORMS,
    Parser,
    command_name,
    expand_trace_option,
    field,
    number,
    print_error,
)
from .terminal import Progress, TerminalText

if TYPE_CHECKING:
    from httpsock.tracing.trace import TraceWriter

UNKNOWN_HOST = 6
NOT_CONNECTED = 7
MALFORMED = 8
INCOMPLETE = 18
FAILED = 22
TOO_LATE = 28
NOT_REDIRECTED = 47

# What curl and wget call it.
_OF_OTHERS = {
    "-O": "-o FILE", "--request": "--method", "-L": "--redirects", "--location": "--redirects", "-m": "--timeout",
    "--max-time": "--timeout", "--max-redirs": "--redirects", "--post-data": "--data", "-c": "-C",
    "--output-document": "--output", "--head-only": "--head", "-S": "--include",
}  # fmt: skip
Write = Callable[[bytes], object]

_EPILOG = """examples:
  httpsock get http://127.0.0.1:8000/      write the content
  httpsock get -v http://127.0.0.1:8000/   and each call
  httpsock get -C -o clock.webm http://127.0.0.1:8000/clock.webm
  httpsock get --fail --timeout 3 -o /dev/null http://127.0.0.1:8000/

exit codes: 0 done; 2 wrong argument; 6 unknown host; 7 not connected;
  8 malformed response; 18 broken off; 22 status of 400 or more, with --fail
  or -C; 23 can't be written; 28 too late; 47 redirects; 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    """Get what *arguments* ask for; return the exit code."""
    options = _options(arguments)
    outputs: list[str | None] = [*options.output, *[None] * (len(options.url) - len(options.output))]
    timeouts = ClientTimeouts(whole=options.timeout)
    code = 0
    try:
        with Client(timeouts=timeouts, redirects=options.redirects, trace=_trace(options.trace)) as client:
            for url, path in zip(options.url, outputs, strict=True):
                result = _try_to_get(client, options, url, None if path == "-" else path)
                code = code or result
    except KeyboardInterrupt:
        _say("interrupted.")
        return INTERRUPTED
    return code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what *arguments* mean. Leaves with exit code 2 if they mean nothing."""
    parser = _parser()
    options = parser.parse_args(expand_trace_option(arguments))
    if len(options.output) > len(options.url):
        parser.error(f"{len(options.output)} files for {len(options.url)} URLs")
    if options.resume and (len(options.output) < len(options.url) or "-" in options.output):
        parser.error("-C goes on with a file, so each URL needs one: -o FILE")
    if options.resume and any(name.lower() in ("range", "if-range") for name, _ in options.header):
        parser.error("-C asks for a range of its own")
    if options.head and options.output:
        parser.error("-I brings no content for -o")
    method = "HEAD" if options.head else "POST" if options.data is not None else "GET"
    options.method = options.method or method
    if options.resume and options.method != "GET":
        parser.error("-C goes on with what GET brings, and with no other method")
    try:
        format_head(options.method, parse_url(options.url[0]), options.header, b"")
    except ValueError as error:
        parser.error(str(error))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "httpsock get",
        "get [options] URL...",
        _OF_OTHERS,
        description="Download http URLs. URLs with the same host and port share a connection.",
        epilog=_EPILOG.replace("  httpsock", f"  {command_name()}"),
    )
    parser.add_argument("url", type=_url, metavar="URL", nargs="+", help="http://HOST[:PORT]/...")
    say = parser.add_argument_group("what to write")
    say.add_argument("-i", "--include", action="store_true", help="the response's head before its content")
    say.add_argument("-I", "--head", action="store_true", help="the head alone: ask with HEAD")
    trace_help = "print every call and both heads; =hex adds a dump, =json prints one object per event"
    say.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    say.add_argument("-v", "--verbose", dest="trace", action="store_const", const="text", help="the same as --trace")
    output_help = (
        "write the content there once it is whole; the first for the first URL, and so on; - is standard output"
    )
    say.add_argument("-o", "--output", type=_output, action="append", default=[], metavar="FILE", help=output_help)
    resume_help = "resume FILE.part if the file is unchanged on the server, else start over"
    say.add_argument("-C", "--continue", dest="resume", action="store_true", help=resume_help)
    ask = parser.add_argument_group("what to ask")
    ask.add_argument("-X", "--method", metavar="METHOD", help="instead of GET, of HEAD with -I, or of POST with --data")
    header_help = "add this field to the request, or replace ours; may be repeated"
    ask.add_argument(
        "-H", "--header", type=field(check_request_field), action="append", default=[], metavar="'NAME: VALUE'",
        help=header_help,
    )  # fmt: skip
    data_help = "send this content, or that of a file, or of standard input with @-; it is held in memory"
    ask.add_argument("-d", "--data", type=_data, metavar="TEXT|@FILE", help=data_help)
    how = parser.add_argument_group("how")
    how.add_argument("-f", "--fail", action="store_true", help="write no content, and exit with 22, if it is an error")
    redirects_help = f"follow at most so many redirects (default: {MOST_REDIRECTS}); 0: show them"
    how.add_argument(
        "--redirects", type=number(0, 100, "a number"), default=MOST_REDIRECTS, metavar="N", help=redirects_help
    )
    timeout_help = "for each URL, from the first call to the last octet (default: none, but 10 s to connect, and so on)"
    how.add_argument("--timeout", type=number(1, 999_999, "a number of seconds"), metavar="SECONDS", help=timeout_help)
    return parser


def _url(text: str) -> str:
    """Return *text* if it can be asked for."""
    try:
        parse_url(text)
    except UrlError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _output(text: str) -> str:
    """Return *text* if it can name a file."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the file is empty")
    if text.endswith(tuple(filter(None, (os.sep, os.altsep)))) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file")
    return text


def _data(text: str) -> bytes:
    """Return the content to be sent: *text*, or what the file holds that it names."""
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        if text == "@-":
            if sys.stdin is None:
                raise argparse.ArgumentTypeError("standard input is closed")
            return sys.stdin.buffer.read()
        with open(text[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]!r} can't be read: {error.strerror}") from None


def _try_to_get(client: Client, options: argparse.Namespace, url: str, path: str | None) -> int:
    """Get one URL; return its exit code, having said what went wrong, if anything did."""
    try:
        return _get(client, options, url, path)
    except (RedirectError, ResponseError, OutputError, OSError) as error:
        code, sentence = _explain(error)
    _say(f"{printable(url.encode('utf-8', 'surrogateescape'), 200)}: {sentence}")
    return code


def _explain(error: Exception) -> tuple[int, str]:
    """Return the exit code for *error*, and what to say of it."""
    sentence = visible(str(error))
    match error:
        case IncompleteError():
            return INCOMPLETE, sentence
        case ResponseError():
            return MALFORMED, sentence
        case RedirectError():
            return NOT_REDIRECTED, sentence
        case OutputError():
            return NOT_WRITTEN, sentence
        case socket.gaierror():
            return UNKNOWN_HOST, f"the host has no address: {error.strerror}"
        case TimeoutError():
            return TOO_LATE, sentence
        case _:
            return NOT_CONNECTED, f"no connection: {getattr(error, 'strerror', None) or sentence}"


def _get(client: Client, options: argparse.Namespace, url: str, path: str | None) -> int:
    """Get one URL into the file *path*, or to standard output; return 0, or FAILED."""
    download = Download(path, url, resumes=options.resume) if path else None
    if options.resume and download and not download.is_resumable:
        _say(f"{download.obstacle}; from the beginning.")
    response = client.request(
        options.method, url, fields=[*_fields(options, path), *(download.fields if download else [])],
        content=options.data or b"",
    )  # fmt: skip
    if download and download.is_resumable and not download.accepts(response):
        response.close()
        download.forget()
        response = client.request(options.method, url, fields=options.header)
    with response:
        _check_is_asked_for(response, [*options.header, *(download.fields if download else [])])
        if options.include or options.head:
            _write_out(response.head.octets, is_text=True)
        is_unwanted = response.head.is_error and options.fail
        if is_unwanted or (options.resume and response.status not in (200, 206)):
            phrase = visible(response.phrase)
            _say(f"{printable(response.url.encode('ascii'), 200)}: {response.status} {phrase}".rstrip() + ".")
            return FAILED
        if download:
            _write_file(response, download)
        else:
            _write_content(response)
    return 0


def _fields(options: argparse.Namespace, path: str | None) -> list[tuple[str, str]]:
    """Return the request fields; a terminal prefers the listing of a folder as text."""
    names = {name.lower() for name, _ in options.header}
    prefers_text = path is None and _is_terminal() and "accept" not in names
    return [*options.header, *([("Accept", "text/plain, */*;q=0.8")] if prefers_text else [])]


def _check_is_asked_for(response: ClientResponse, fields: Sequence[tuple[str, str]]) -> None:
    """Raise ResponseError if it is a part and the request, with *fields*, has asked for the whole."""
    if response.status == 206 and not any(name.lower() == "range" for name, _ in fields):
        raise ResponseError("a part is sent, and the whole was asked for", "RFC 9110 §15.3.7")


def _write_file(response: ClientResponse, download: Download) -> None:
    """Write the content into a file."""
    try:
        download.begin(response)
        length = response.content_length
        progress = _progress(download.octets, None if length is None else download.octets + length)
        for octets in response:
            download.write(octets)
            if progress:
                progress.advance(len(octets))
        if progress:
            progress.finish()
        download.finish()
    except (IncompleteError, TimeoutError, KeyboardInterrupt):
        download.close()
        if download.is_kept:
            _say(f"{download.part_path} has {download.octets} octets; go on with -C.")
        raise
    finally:
        download.close()


def _progress(octets: int, total: int | None) -> Progress | None:
    """Return the bar for a transfer, or None where nobody would see it."""
    return Progress(sys.stderr, octets, total) if sys.stderr is not None and sys.stderr.isatty() else None


def _write_content(response: ClientResponse) -> None:
    """Write the content to standard output: as it is, but for a terminal."""
    if _is_terminal():
        text = TerminalText(sys.stdout)
        for octets in response:
            text.write(octets)
        text.write(b"", is_last=True)
        return
    progress = _progress(0, response.content_length)
    for octets in response:
        _write_out(octets)
        if progress:
            progress.advance(len(octets))
    if progress:
        progress.finish()


def _write_out(octets: bytes, *, is_text: bool = False) -> None:
    """Write *octets* to standard output; *is_text*: as text, if that is a terminal."""
    if sys.stdout is None:
        raise OutputError("standard output takes no more: it is closed")
    try:
        if is_text and _is_terminal():
            TerminalText(sys.stdout).write(octets, is_last=True)
            return
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"standard output takes no more: {reason}") from error


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _trace(form: str | None) -> "TraceWriter | None":
    """Return what tells of each call on standard error, if that is wanted."""
    if form is None:
        return None
    # Wanted by few.
    from httpsock.tracing.trace import trace_on_standard_error

    return trace_on_standard_error(form, is_client=True)


def _say(sentence: str) -> None:
    print_error(f"httpsock get: {sentence}")
