"""The states of a connection, and the phases of a server.

A connection's coroutine yields a state and a deadline, and waits for the state's event. Only the event loop sets
``Connection.state``.

    state            next
    NEW              RECEIVING, QUEUED, LINGERING
    IDLE             RECEIVING, QUEUED, SENDING, LINGERING
    RECEIVING        IDLE, QUEUED, SENDING, LINGERING
    QUEUED           CONTENT, DISCARDING, SENDING, SLEEPING, PAUSED, SUSPENDED, IDLE, RECEIVING, LINGERING
    CONTENT          DISCARDING, QUEUED, SENDING, SLEEPING, PAUSED, SUSPENDED, IDLE, RECEIVING, LINGERING
    DISCARDING       QUEUED, SENDING, SLEEPING, PAUSED, SUSPENDED, IDLE, RECEIVING, LINGERING
    SENDING          QUEUED, DISCARDING, SLEEPING, IDLE, RECEIVING, LINGERING
    SLEEPING         SLEEPING_UNREAD, QUEUED, DISCARDING, SENDING, IDLE, RECEIVING, LINGERING
    SLEEPING_UNREAD  SLEEPING, QUEUED, DISCARDING, SENDING, IDLE, RECEIVING, LINGERING
    PAUSED           QUEUED, DISCARDING, SENDING, IDLE, RECEIVING, LINGERING
    SUSPENDED        QUEUED
    LINGERING        CLOSED

A state may also follow itself. CLOSED follows any state if the peer is gone or the server stops. A state of the
handshake may come between any two states. A connection is DETACHED while a slow disk blocks the thread that runs it.

RFC 9112 §9 (connection management).
"""

from enum import Enum
from typing import Self

from .poller import NEITHER, READABLE, WRITABLE


class State(Enum):
    """The reason why a connection waits. *event* is the event to poll for. If there is no such event, *event* is None.

    *words* describe the state in a trace.
    """

    def __new__(cls, event: int | None, words: str) -> Self:
        """Make the member with this *event* and these *words*."""
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.event = event
        member.words = words
        return member

    event: int | None
    words: str

    # Accepted, but no request has begun.
    NEW = READABLE, "a request"
    # A transport with encryption agrees on keys, or must send in order to receive, or receive in order to send.
    HANDSHAKE_IN = READABLE, "the transport's own octets"
    HANDSHAKE_OUT = WRITABLE, "room to send the transport's own octets"
    SENDING_IN = READABLE, "the transport's own octets"  # noqa: PIE796 (a trace does not tell it from HANDSHAKE_IN)
    IDLE = READABLE, "a request"  # noqa: PIE796 (a trace does not tell it from NEW)
    RECEIVING = READABLE, "the rest of the head"
    # Ready to answer once all connections that are readable in this tick have received; or between two steps of work.
    QUEUED = None, "its turn to answer"
    CONTENT = READABLE, "content"
    # The same, but the content is discarded.
    DISCARDING = READABLE, "content"  # noqa: PIE796 (a trace does not tell it from CONTENT)
    SENDING = WRITABLE, "room to send"
    # A stream has nothing to send; UNREAD: the client has already sent its next request.
    SLEEPING = READABLE, "the next part of a stream"
    SLEEPING_UNREAD = NEITHER, "the next part of a stream"
    # A response has a pause; its end follows.
    PAUSED = NEITHER, "the next part of a response"
    # The handler waits for a thread of its own.
    SUSPENDED = None, "a thread"
    # A slow disk blocks the thread that runs it, and another thread has taken over the event loop.
    DETACHED = None, "the thread that it blocks"
    LINGERING = READABLE, "the peer's end"
    CLOSED = None, "nothing more"


class Phase(Enum):
    """The phase of a server.

    A draining server closes each connection after its next response. Idle connections keep their time-outs. A stopping
    server closes idle connections immediately.
    """

    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


# In these states, to close the connection loses no request and no response; a stream that sleeps can be resumed.
IDLE_STATES = frozenset((State.NEW, State.IDLE, State.SLEEPING, State.SLEEPING_UNREAD, State.LINGERING))
