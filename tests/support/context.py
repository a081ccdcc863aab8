"""The context that a handler gets, for tests without a connection."""

from collections.abc import Callable

from httpsock.http.handler import CONTENT_OCTETS, Steps, Tick


class FixedContext:
    """The context of a request without content. *client* is the address of the client."""

    descriptor = -1
    scheme = "http"
    is_stopping = False
    max_content = 0

    def __init__(self, tick: Tick, client: str = "127.0.0.1") -> None:
        self.tick = tick
        self.client = self.network = client

    def read_content(self, maximum: int = CONTENT_OCTETS) -> Steps[bytes]:
        """Return b"", since there is no content."""
        del maximum
        return b""
        yield

    def discard_content(self) -> Steps[int | None]:
        """Return 0, since there is no content."""
        return 0
        yield

    def suspend(self, start: Callable[[Callable[[], object]], object]) -> Steps[None]:
        """Call *start* with a callback. Wait until the callback is called."""
        is_over: list[bool] = []
        start(lambda: is_over.append(True))
        while not is_over:
            yield
