"""Pieces: long work done a piece at a time, so that one answer that takes long holds up no other.

Takes an iterable, gives a generator that pauses after each piece and returns all items as a list in the end.
Knows nothing of who resumes it: a conversation hands the pauses on to its worker, which sees to the others first.

A thread of its own would not do: under the interpreter lock each call at a socket in another thread would wait for
it, 5 ms each time.
"""

from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# Long work: it may pause any number of times, and then returns its result.
Pieces = Generator[None, None, Result]
# Long work that a client asks for; the argument is its network, which answers for what the work takes up.
Work = Callable[[str], Pieces[Result]]

# Of a folder, so many names take 0.3 ms at a time.
PIECE = 64


def in_pieces(items: Iterable[Item]) -> Pieces[list[Item]]:
    """Return all of *items*; pause whenever PIECE of them have been made."""
    iterator = iter(items)
    made: list[Item] = []
    while len(piece := list(islice(iterator, PIECE))) == PIECE:
        made += piece
        yield
    return made + piece
