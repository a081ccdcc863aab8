"""Steps: cooperative long work, so that a slow response does not delay the others.

A step ends with a yield: the connection passes the pause on to the event loop, which runs other connections first.

A separate thread would not help: under the interpreter lock each socket call of the event loop would wait for it,
5 ms each time.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

Result = TypeVar("Result")
# Long work: it yields any number of times, then returns its result.
Steps = Generator[None, None, Result]
# Long work on behalf of a client; the argument is the client's network, which is charged for the memory.
Work = Callable[[str], Steps[Result]]

# Items in one step: this many names of a folder take about 0.6 ms.
BATCH = 64
