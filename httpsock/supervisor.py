"""Several processes: each has an interpreter lock of its own, so that together they use more than one processor.

Takes what a process is to do, forks as many as are wanted, and puts a new one in the place of one that ends.
What a process listens on was made before and stays open here: who is replaced leaves its queue to the next.
Knows nothing of sockets or HTTP.

    fork, fork, ... → wait: who has ended is replaced → a signal: pass it on, wait for all
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

Report = Callable[[str], object]
# A process that lived less long than this is replaced only when so much time is over: what ended it may end the next.
_REST_SECONDS = 1.0
# How long a process may take to end beyond the grace, before it is ended: it may be stopped, or stuck.
_MORE_SECONDS = 5
# These wait while a process is forked, so as to reach it, too. Windows has not all of them, and no fork.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGALRM") if hasattr(signal, name)
]


class Supervisor:
    """Keeps *count* processes at work: ``serve(number)`` in each of them, until a signal says that it is enough.

    *serve* returns an exit code, and *stop*, called with the same number in the same process, makes it return within
    *grace_seconds*; *retire* does so once nobody is there to be served. *close* gives up, in the supervising process,
    what it holds for the others, and is told the signal. *ended* is told of processes that are not ours. From the
    beginning on a signal is meant for all of them, also before there are any.
    """

    def __init__(
        self,
        count: int,
        *,
        serve: Callable[[int], int],
        stop: Callable[[int], object],
        retire: Callable[[int], object],
        close: Callable[[int], object],
        ended: Callable[[int, int], object],
        report: Report,
        grace_seconds: int,
    ) -> None:
        self._count = count
        self._serve = serve
        self._stop = stop
        self._retire = retire
        self._close = close
        self._ended = ended
        self._report = report
        self._grace_seconds = grace_seconds
        self._children: dict[int, int] = {}
        # When each was forked, on the monotonic clock.
        self._forked = [0.0] * count
        self._is_stopping = self._is_retiring = False
        # Its writing end is open in this process alone: when this process is gone, the others read the end of it.
        self._lifeline, self._held = os.pipe()
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def run(self) -> int:
        """Fork, replace who ends, and return the exit code when all have ended after a signal."""
        for number in range(self._count):
            self._fork(number)
        while self._children:
            process, status = os.wait()
            # Others' orphans may be among ours: as process 1, or where another program became this one.
            ours = self._children.pop(process, None)
            if ours is None:
                self._ended(process, status)
            elif not (self._is_stopping or self._is_retiring):
                self._replace(ours, process, status)
        os.close(self._held)
        os.close(self._lifeline)
        return 0

    def retire(self) -> None:
        """Let all processes end once nobody is there to be served, and replace none. May be called at a signal."""
        self._is_retiring = True
        self._signal_all(signal.SIGUSR1)

    def _replace(self, number: int, process: int, status: int) -> None:
        """Put another process in the place of one that has ended; of one that did so at once, after a rest."""
        code = os.waitstatus_to_exitcode(status)
        how = f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
        self._report(f"httpsock: process {process} ended with {how}; another takes its place.")
        time.sleep(max(0.0, self._forked[number] + _REST_SECONDS - time.monotonic()))
        self._fork(number)

    def _fork(self, number: int) -> None:
        """Start one process, as soon as the system can, unless all are to end."""
        while not self._has_forked(number):
            time.sleep(_REST_SECONDS)

    def _has_forked(self, number: int) -> bool:
        """Return whether a process was started, or none is wanted. A signal waits meanwhile, so as to reach it, too."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            if not (self._is_stopping or self._is_retiring):
                self._forked[number] = time.monotonic()
                process = os.fork()
                if process == 0:
                    self._work(number)
                self._children[process] = number
        except OSError as error:
            self._report(f"httpsock: cannot start another process for now: {error.strerror}")
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return True

    def _work(self, number: int) -> NoReturn:
        """Serve, in a process of its own, and end it."""
        code = 1
        try:
            os.close(self._held)
            # Ctrl-C goes to all processes of a terminal; the supervisor passes it on, once.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: self._stop(number))
            signal.signal(signal.SIGUSR1, lambda *_: self._retire(number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            threading.Thread(target=self._watch_lifeline, args=(number,), name="httpsock-lifeline", daemon=True).start()
            code = self._serve(number)
        except BaseException:
            import traceback  # takes 3 ms of start-up, and there should never be a fault

            self._report(traceback.format_exc())
        finally:
            # Whatever happened, nothing of what the supervisor has still to do is done here.
            os._exit(code)

    def _watch_lifeline(self, number: int) -> None:
        """Stop when the supervisor is gone, however it went."""
        os.read(self._lifeline, 1)
        self._stop(number)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        """Let all processes end in time; at the second signal, end all at once."""
        is_second, self._is_stopping = self._is_stopping, True
        self._signal_all(signal.SIGKILL if is_second else signal.SIGTERM)
        self._close(number)
        if is_second:
            os._exit(128 + number)
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.alarm(self._grace_seconds + _MORE_SECONDS)

    def _on_alarm(self, *_: object) -> None:
        """End who has not ended in time: it may be stopped, and will not wake up."""
        self._signal_all(signal.SIGKILL)
        self._close(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        """Send all processes a signal."""
        for process in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
