"""Pieces: long work done a piece at a time, so that one answer that takes long holds up no other.

A piece ends with a yield: the connection hands the pause on to its worker, which serves the others first.

A thread of its own would not do: under the interpreter lock each call at a socket in another thread would wait for
it, 5 ms each time.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

Result = TypeVar("Result")
# Long work: it may pause any number of times, and then returns its result.
Steps = Generator[None, None, Result]
# Long work that a client asks for; the argument is its network, which answers for what the work takes up.
Work = Callable[[str], Steps[Result]]

# This many names of a folder take about 0.6 ms.
BATCH = 64
