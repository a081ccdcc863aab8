"""The states of a connection, and the phases of a server.

A connection's coroutine yields a state and a deadline: it waits there for the state's event. Only the event loop sets
``Connection.state``.

    state            next
    NEW              RECEIVING, QUEUED, LINGERING
    IDLE             RECEIVING, QUEUED, SENDING, LINGERING
    RECEIVING        IDLE, QUEUED, SENDING, LINGERING
    QUEUED           CONTENT, SENDING, SLEEPING, SUSPENDED, IDLE, RECEIVING, LINGERING
    CONTENT          QUEUED, SENDING, SLEEPING, SUSPENDED, IDLE, RECEIVING, LINGERING
    SENDING          QUEUED, CONTENT, SLEEPING, IDLE, RECEIVING, LINGERING
    SLEEPING         SLEEPING_UNREAD, QUEUED, CONTENT, SENDING, IDLE, RECEIVING, LINGERING
    SLEEPING_UNREAD  SLEEPING, QUEUED, CONTENT, SENDING, IDLE, RECEIVING, LINGERING
    SUSPENDED        QUEUED
    LINGERING        CLOSED

Each may also be followed by itself, and by CLOSED: the peer is gone, or the server stops. The states of a handshake may
stand between any two, and DETACHED before any that follows one in which a thread runs.

RFC 9112 §9 (connection management).
"""

from enum import Enum
from typing import Self

from .poller import NEITHER, READABLE, WRITABLE


class State(Enum):
    """What a connection waits for: the *event* to poll for, None if no event resumes it; and the *words* of a trace."""

    def __new__(cls, event: int | None, words: str) -> Self:
        """Return the next member."""
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.event = event
        member.words = words
        return member

    event: int | None
    words: str

    # Accepted, and no request has begun.
    NEW = READABLE, "a request"
    # The transport agrees on keys, or must receive in order to send, or send in order to receive.
    HANDSHAKE_IN = READABLE, "the transport's own octets"
    HANDSHAKE_OUT = WRITABLE, "room to send the transport's own octets"
    IDLE = READABLE, "a request"  # noqa: PIE796 (a trace does not tell it from NEW)
    RECEIVING = READABLE, "the rest of the head"
    # All connections that are readable in this tick receive first; long work pauses here too.
    QUEUED = None, "its turn to answer"
    CONTENT = READABLE, "content"
    SENDING = WRITABLE, "room to send"
    # A stream has nothing to send; the client has sent another request meanwhile, or not.
    SLEEPING = READABLE, "the next part of a stream"
    SLEEPING_UNREAD = NEITHER, "the next part of a stream"
    # A thread of the handler works for it.
    SUSPENDED = None, "a thread"
    # A slow disk blocks the thread that runs it, and another thread has taken over the event loop.
    DETACHED = None, "the thread that it blocks"
    LINGERING = READABLE, "the peer's end"
    CLOSED = None, "nothing more"


class Phase(Enum):
    """The phase of a server.

    While it drains, each response is the last of its connection, and idle connections keep their time-outs. While it
    stops, idle connections close immediately.
    """

    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


# In these states, closing the connection loses no request; and no response but a stream, which can be resumed.
IDLE_STATES = frozenset((State.NEW, State.IDLE, State.SLEEPING, State.SLEEPING_UNREAD, State.LINGERING))
