"""The base of the request parser and the response parser: it buffers octets and decodes content.

Takes the octets of a connection, in pieces of any size. Gives the content and its end. "Need more" is an event, not an
error. Knows no heads, sockets or files. Next: request_parser and response_parser, which read the heads.

RFC 9112 §6 (message body), §8 (incomplete messages).
"""

from enum import Enum
from typing import NamedTuple

from .framing import ChunkedDecoder, CloseDecoder, FramingError, FramingFault, LengthDecoder


class Pause(Enum):
    """The reason why no event is available yet."""

    NEED_DATA = "more octets are needed"
    CLOSED = "the peer has closed its side, between two messages"


class Content(NamedTuple):
    """An event: the next octets of the current message's content."""

    octets: bytes


class EndOfContent(NamedTuple):
    """An event: the content of the current message is complete."""


Decoder = LengthDecoder | ChunkedDecoder | CloseDecoder


class MessageReader:
    """The base of a parser. Call ``receive`` with octets, then call ``next_event`` until it returns a Pause.

    If a head announces content, the parser sets *_decoder*. The reader removes the decoder at the end of the content.
    The methods raise FramingError. ``next_event`` turns this error into an error about a request or a response.
    """

    __slots__ = ("_decoder", "_has_ended", "unread")

    def __init__(self) -> None:
        # Octets received but not yet consumed by an event.
        self.unread = b""
        self._has_ended = False
        self._decoder: Decoder | None = None

    def receive(self, octets: bytes) -> None:
        """Append octets received from the peer to the buffer. If *octets* are empty, the peer has closed its side."""
        if not octets:
            self._has_ended = True
        self.unread = self.unread + octets if self.unread else octets

    def _next_content(self, decoder: Decoder) -> Content | EndOfContent | Pause:
        """Return the next piece of content, its end, or a Pause."""
        decoded = decoder.decode(self.unread)
        self.unread = self.unread[decoded.used :]
        if decoded.content:
            return Content(decoded.content)
        if decoder.is_complete or (self._has_ended and isinstance(decoder, CloseDecoder)):
            self._decoder = None
            return EndOfContent()
        if self._has_ended:
            raise incomplete("content")
        return Pause.NEED_DATA


def incomplete(part: str) -> FramingError:
    """Return the error for a connection that ended within a message. *part* is the incomplete part of the message."""
    reason = f"the connection ended before the {part} was complete"
    return FramingError(reason, "RFC 9112 §8", FramingFault.INCOMPLETE)
