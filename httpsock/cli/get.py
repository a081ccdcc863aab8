"""``httpsock get URL...``: the client as a command.

Takes arguments, gives an exit code. The download itself is in client/client.py and client/download.py.

standard output    the content; with -i and -I also the heads
standard error     socket calls (with -v), progress, and errors: one sentence for each URL
exit code          0 if every URL was downloaded, else the code of the first failure; the codes are curl's

     2  wrong argument                            18  incomplete content; -C resumes it
     6  the host has no address                   22  with --fail, the status is 400 or more;
     7  no connection                                 with -C, the status is neither 200 nor 206
     8  malformed response                        23  the content can't be written
    47  too many redirects, or one to a scheme    28  timed out
        other than http                          130  interrupted

RFC 9110 §9 (methods), §14 (ranges), §15 (status codes).
"""

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence

from httpsock.client.client import (
    MAX_REDIRECTS,
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
from httpsock.tracing.output import write_all

from .arguments import (
    INTERRUPTED,
    NOT_WRITTEN,
    TRACE_FORMS,
    ArgumentParser,
    client_trace,
    command_name,
    expand_trace_option,
    field,
    number,
    print_error,
    write_output,
)
from .terminal import Progress, TerminalText

UNKNOWN_HOST = 6
NOT_CONNECTED = 7
MALFORMED = 8
INCOMPLETE = 18
FAILED = 22
TIMED_OUT = 28
NOT_REDIRECTED = 47

# Options of curl and wget, and their names here.
_FOREIGN_OPTIONS = {
    "-O": "-o FILE", "--request": "--method", "-L": "--redirects", "--location": "--redirects", "-m": "--timeout",
    "--max-time": "--timeout", "--max-redirs": "--redirects", "--post-data": "--data", "-c": "-C",
    "--output-document": "--output", "--head-only": "--head", "-S": "--include",
}  # fmt: skip
Write = Callable[[bytes], object]

_EPILOG = """examples:
  httpsock get http://127.0.0.1:8000/      print the content
  httpsock get -v http://127.0.0.1:8000/   also every call
  httpsock get -C -o clock.webm http://127.0.0.1:8000/clock.webm
  httpsock get --fail --timeout 3 -o /dev/null http://127.0.0.1:8000/

exit codes: 0 done; 2 wrong argument; 6 unknown host; 7 not connected;
  8 malformed response; 18 incomplete; 22 status of 400 or more with --fail,
  or other than 200 and 206 with -C; 23 can't be written; 28 timed out;
  47 redirects; 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    """Download the URLs in *arguments*. Return the exit code."""
    options = _options(arguments)
    outputs: list[str | None] = [*options.output, *[None] * (len(options.url) - len(options.output))]
    timeouts = ClientTimeouts(whole=options.timeout)
    code = 0
    try:
        with Client(timeouts=timeouts, redirects=options.redirects, trace=client_trace(options.trace)) as client:
            for url, path in zip(options.url, outputs, strict=True):
                result = _try_to_get(client, options, url, None if path == "-" else path)
                code = code or result
    except KeyboardInterrupt:
        _report("interrupted.")
        return INTERRUPTED
    return code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse *arguments*, and return a namespace with the values. Exit with code 2 if an argument is wrong."""
    parser = _parser()
    options = parser.parse_args(expand_trace_option(arguments))
    if len(options.output) > len(options.url):
        parser.error(f"{len(options.output)} files for {len(options.url)} URLs")
    if options.resume and (len(options.output) < len(options.url) or "-" in options.output):
        parser.error("-C needs a file for each URL: -o FILE")
    if options.resume and any(name.lower() in ("range", "if-range") for name, _ in options.header):
        parser.error("-C sets Range and If-Range itself; leave out --header for them")
    if options.head and options.output:
        parser.error("-I gets no content; leave out -o")
    method = "HEAD" if options.head else "POST" if options.data is not None else "GET"
    options.method = method if options.method is None else options.method
    if options.resume and options.method != "GET":
        parser.error("-C resumes GET only")
    try:
        format_head(options.method, parse_url(options.url[0]), options.header, b"")
    except ValueError as error:
        parser.error(str(error))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        "httpsock get",
        "[options] URL...",
        _FOREIGN_OPTIONS,
        description="Download http URLs. URLs with the same host and port share a connection.",
        epilog=_EPILOG.replace("  httpsock", f"  {command_name()}"),
    )
    parser.add_argument("url", type=_url, metavar="URL", nargs="+", help="http://HOST[:PORT]/...")
    output = parser.add_argument_group("output")
    output.add_argument("-i", "--include", action="store_true", help="print the response's head before its content")
    output.add_argument("-I", "--head", action="store_true", help="send HEAD; print the head alone")
    trace_help = "print every call and both heads; =hex adds a dump, =json prints one object per event"
    output.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    output.add_argument("-v", "--verbose", dest="trace", action="store_const", const="text", help="same as --trace")
    output_help = "write to FILE once complete; one -o for each URL, in the same order; - is standard output"
    output.add_argument("-o", "--output", type=_output, action="append", default=[], metavar="FILE", help=output_help)
    resume_help = "resume FILE.part if the file is unchanged on the server, else start over"
    output.add_argument("-C", "--continue", dest="resume", action="store_true", help=resume_help)
    request = parser.add_argument_group("request")
    method_help = "use METHOD instead of GET, HEAD (with -I) or POST (with --data)"
    request.add_argument("-X", "--method", metavar="METHOD", help=method_help)
    header_help = "add this field to the request, or replace a default one; may be repeated"
    request.add_argument(
        "-H", "--header", type=field(check_request_field), action="append", default=[], metavar="'NAME: VALUE'",
        help=header_help,
    )  # fmt: skip
    data_help = "send TEXT, the content of FILE, or standard input (@-); it is held in memory"
    request.add_argument("-d", "--data", type=_data, metavar="TEXT|@FILE", help=data_help)
    behaviour = parser.add_argument_group("behaviour")
    behaviour.add_argument(
        "-f", "--fail", action="store_true", help="on a status of 400 or more, write no content; exit 22"
    )
    redirects_help = f"follow at most N redirects (default: {MAX_REDIRECTS}); 0 shows them instead"
    behaviour.add_argument(
        "--redirects", type=number(0, 100, "a number"), default=MAX_REDIRECTS, metavar="N", help=redirects_help
    )
    timeout_help = "for each URL, from the first call to the last byte (default: only each step is limited)"
    behaviour.add_argument(
        "--timeout", type=number(1, 999_999, "a number of seconds"), metavar="SECONDS", help=timeout_help
    )
    return parser


def _url(text: str) -> str:
    """Return *text*. Raise ArgumentTypeError if *text* is not a URL that the client supports."""
    try:
        parse_url(text)
    except UrlError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _output(text: str) -> str:
    """Return *text*. Raise ArgumentTypeError if *text* can't be the name of a file."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the file is empty")
    if text.endswith(tuple(filter(None, (os.sep, os.altsep)))) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file")
    return text


def _data(text: str) -> bytes:
    """Return the content to send. If *text* is @FILE, return the content of FILE. Otherwise, encode *text* itself."""
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
    """Download one URL, and report a failure. Return the exit code."""
    try:
        return _get(client, options, url, path)
    except (RedirectError, ResponseError, OutputError, OSError) as error:
        code, sentence = _explain(error)
    _report(f"{printable(url.encode('utf-8', 'surrogateescape'), 200)}: {sentence}")
    return code


def _explain(error: Exception) -> tuple[int, str]:
    """Return the exit code for *error*, and a sentence that describes *error*."""
    sentence = str(error)
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
            return TIMED_OUT, sentence
        case _:
            return NOT_CONNECTED, f"no connection: {getattr(error, 'strerror', None) or sentence}"


def _get(client: Client, options: argparse.Namespace, url: str, path: str | None) -> int:
    """Download one URL to the file *path*, or to standard output if *path* is None. Return the exit code."""
    download = Download(path, url, resumes=options.resume) if path else None
    if options.resume and download and not download.is_resumable:
        _report(f"{download.restart_reason}; starting over.")
    response = client.request(
        options.method, url, fields=[*_fields(options, path), *(download.fields if download else [])],
        content=options.data or b"",
    )  # fmt: skip
    if download and download.is_resumable and not download.accepts(response):
        response.close()
        download.restart()
        response = client.request(options.method, url, fields=options.header)
    with response:
        _check_is_requested(response, [*options.header, *(download.fields if download else [])])
        if options.include or options.head:
            _write_out(response.head.octets, _terminal_text(), is_last=True)
        has_failed = response.head.is_error and options.fail
        if has_failed or (options.resume and response.status not in (200, 206)):
            status = f"{response.status} {response.phrase}".rstrip()
            _report(f"{printable(response.url.encode('ascii'), 200)}: {status}.")
            return FAILED
        if download:
            _write_file(response, download)
        else:
            _write_content(response)
    return 0


def _fields(options: argparse.Namespace, path: str | None) -> list[tuple[str, str]]:
    """Return the request fields. If the content goes to a terminal, ask for text rather than HTML."""
    names = {name.lower() for name, _ in options.header}
    prefers_text = path is None and _is_terminal() and "accept" not in names
    return [*options.header, *([("Accept", "text/plain, */*;q=0.8")] if prefers_text else [])]


def _check_is_requested(response: ClientResponse, fields: Sequence[tuple[str, str]]) -> None:
    """Raise ResponseError if *response* is partial, but the request had no Range field."""
    if response.status == 206 and not any(name.lower() == "range" for name, _ in fields):
        raise ResponseError("the server sent a part, but the request was for the whole", "RFC 9110 §15.3.7")


def _write_file(response: ClientResponse, download: Download) -> None:
    """Write the content of *response* into the file of *download*."""
    try:
        download.start(response)
        length = response.content_length
        progress = _progress(download.octets, None if length is None else download.octets + length)
        for octets in response:
            download.write(octets)
            if progress:
                progress.advance(len(octets))
        if progress:
            progress.finish()
        download.finish()
    except (IncompleteError, OutputError, TimeoutError, KeyboardInterrupt):
        # If the disk is full, close() fails again.
        with contextlib.suppress(OutputError):
            download.close()
        if download.can_be_resumed:
            _report(f"{download.part_path} has {download.octets} bytes; resume it with -C.")
        raise
    finally:
        download.close()


def _progress(octets: int, total: int | None) -> Progress | None:
    """Return a progress bar that starts at *octets* of *total*. If standard error is not a terminal, return None."""
    return Progress(sys.stderr, octets, total) if sys.stderr is not None and sys.stderr.isatty() else None


def _write_content(response: ClientResponse) -> None:
    """Write the content of *response* to standard output.

    If standard output is a terminal, escape unsafe characters.
    """
    text = _terminal_text()
    progress = None if text else _progress(0, response.content_length)
    for octets in response:
        _write_out(octets, text)
        if progress:
            progress.advance(len(octets))
    if progress:
        progress.finish()
    _write_out(b"", text, is_last=True)


def _write_out(octets: bytes, text: TerminalText | None, *, is_last: bool = False) -> None:
    """Write *octets* to standard output, escaped by *text* if it is not None. Raise OutputError if writing fails."""
    if sys.stdout is None:
        raise OutputError("can't write to standard output: it is closed")
    try:
        if text:
            text.write(octets, is_last=is_last)
        else:
            write_all(sys.stdout.buffer, octets)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"can't write to standard output: {reason}") from error


def _terminal_text() -> TerminalText | None:
    """If standard output is a terminal, return an object that writes safe text to it. Otherwise, return None."""
    return TerminalText(write_output) if _is_terminal() else None


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _report(sentence: str) -> None:
    """Write *sentence* to standard error. Escape unsafe characters, since a file name may contain them."""
    print_error(f"httpsock get: {visible(sentence)}")
