"""The handover: a new process, of the code as it is by now, serves in the place of this one, and no client notices.

Takes the descriptors of listening sockets, starts a process with the same command line, and lets it inherit them: the
system queues who connects, whichever of the processes accepts. The old one stays, for those who know it by its number
(a shell, systemd, a container): it passes signals on, and ends as its successor ends.

    SIGHUP → start the new process → it serves, and says so by SIGUSR1 → retire: accept no more, answer all who are
    connected, each for the last time → wait for the successor

A new process that ends before it serves changes nothing. A process that starts may as well inherit its sockets from
whoever follows the protocol of sd_listen_fds(3): LISTEN_FDS of them, from descriptor 3 on, for the process LISTEN_PID.
Knows nothing of HTTP.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

Report = Callable[[str], object]
# The predecessor's number, the descriptor that ends with it, and for each process those of its listening sockets.
_HANDOVER = "HTTPSOCK_HANDOVER"
_FIRST_DESCRIPTOR = 3
# How long a process that was asked to end may take beyond the grace, before it is ended: it may be stopped.
MORE_SECONDS = 5


class Inheritance(NamedTuple):
    """What a process was started with: listening sockets, in groups, one for each process; and by whom."""

    groups: list[list[socket.socket]]
    predecessor: int = 0
    lifeline: int = -1

    def for_processes(self, count: int) -> list[list[socket.socket]]:
        """Return the listening sockets of each of *count* processes; if there are no groups for them, all have all."""
        if len(self.groups) in (0, count):
            return self.groups
        together = [listener for group in self.groups for listener in group]
        return [together, *([listener.dup() for listener in together] for _ in range(1, count))]

    def is_served(self) -> None:
        """Tell the predecessor, if there is one, that this process serves from now on."""
        if self.predecessor and self.predecessor == os.getppid():
            os.kill(self.predecessor, signal.SIGUSR1)

    def watch(self, process: int) -> None:
        """Ask *process* to stop when the predecessor is gone, however it went: it was the one that others know."""

        def watch() -> None:
            os.read(self.lifeline, 1)
            # It may have been faster.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)

        if self.predecessor:
            threading.Thread(target=watch, name="httpsock-predecessor", daemon=True).start()


def inherit() -> Inheritance:
    """Return what this process was started with. Raises ValueError or OSError if that is not what is said of it."""
    given = os.environ.pop(_HANDOVER, "").split()
    count, process = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if given:
        predecessor, lifeline, *groups = given
        if predecessor != str(os.getppid()):
            raise ValueError("the process that is to be replaced has ended")
        os.set_inheritable(int(lifeline), False)
        sockets = [[_listening(int(descriptor)) for descriptor in group.split(",")] for group in groups]
        return Inheritance(sockets, int(predecessor), int(lifeline))
    if process == str(os.getpid()):
        return Inheritance([[_listening(_FIRST_DESCRIPTOR + number) for number in range(int(count))]])
    return Inheritance([])


def _listening(descriptor: int) -> socket.socket:
    """Return the listening socket that *descriptor* is."""
    listener = socket.socket(fileno=descriptor)
    is_tcp = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
    if not is_tcp or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise ValueError(f"descriptor {descriptor} is no TCP socket that listens")
    listener.set_inheritable(False)
    listener.setblocking(False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Handover:
    """Starts a successor at SIGHUP, and from then on stands for it.

    *groups* are the descriptors of the listening sockets of each process; duplicates are kept for as long as there may
    be a successor. *retire* is called once a successor serves. With *waits_elsewhere* somebody else waits for children,
    and tells of those that have ended by ``ended``. From the beginning on the signals are meant for this.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        *,
        retire: Callable[[], object],
        report: Report,
        grace_seconds: int,
        waits_elsewhere: bool,
    ) -> None:
        self._groups = [[_inheritable(descriptor) for descriptor in group] for group in groups]
        self._retire = retire
        self._report = report
        self._grace_seconds = grace_seconds
        self._lifeline = self._held = -1
        # All that were started and have not ended; among them one that does not serve yet, and one that does.
        self._children: set[int] = set()
        self._beginning = self._successor = 0
        self._code: int | None = None
        self._has_terminal = _has_terminal()
        self.is_stopping = False
        # With nohup it is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: self._start())
        signal.signal(signal.SIGUSR1, lambda *_: self._hand_over())
        # Who waits for children learns of it there.
        if not waits_elsewhere:
            signal.signal(signal.SIGCHLD, lambda *_: self._look_for_ended())

    def stop(self, number: int) -> None:
        """Pass the signal *number* on to all that were started, and start no more."""
        self.is_stopping = True
        self.close()
        self._signal_all(number)
        if self._children:
            signal.signal(signal.SIGALRM, lambda *_: self._signal_all(signal.SIGKILL))
            signal.alarm(self._grace_seconds + MORE_SECONDS)

    def close(self) -> None:
        """Close our duplicates of the listening sockets: nobody is to inherit them any more."""
        groups, self._groups = self._groups, []
        for descriptor in (descriptor for group in groups for descriptor in group):
            os.close(descriptor)

    def wait(self, code: int) -> int:
        """Return the exit code of who serves in the place of this process once all have ended; *code* if none did."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while self._children:
            self.ended(*os.wait())
        return code if self._code is None else self._code

    def ended(self, process: int, status: int) -> None:
        """See to it that *process*, which may be nobody that was started here, has ended."""
        if process not in self._children:
            return
        self._children.remove(process)
        code = os.waitstatus_to_exitcode(status)
        if process == self._beginning:
            self._beginning = 0
            self._report(f"httpsock: process {process}, which was to take over, has ended; all stays as it is.")
        elif process == self._successor:
            self._successor, self._code = 0, code if code >= 0 else 128 - code
            if not self.is_stopping:
                # Nobody accepts any more: as if this process itself had ended.
                self._report(f"httpsock: process {process}, which has taken over, ended with exit code {self._code}.")
                signal.raise_signal(signal.SIGTERM)

    def _start(self) -> None:
        """Start the process that is to take over, unless one is starting already, or the terminal is gone."""
        if self._has_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        # Until it is known who has begun, all other signals wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if not (self.is_stopping or self._beginning):
                self._beginning = self._spawn()
                self._children.add(self._beginning)
        except OSError as error:
            self._report(f"httpsock: no process can be started to take over: {error.strerror}")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _spawn(self) -> int:
        """Start a process with the same command line, which inherits the listening sockets; return its number."""
        if self._held < 0:
            self._lifeline, self._held = os.pipe()
            os.set_inheritable(self._lifeline, True)
        groups = " ".join(",".join(map(str, group)) for group in self._groups)
        environment = {**os.environ, _HANDOVER: f"{os.getpid()} {self._lifeline} {groups}"}
        command = [sys.executable, *sys.orig_argv[1:]]
        # In a group of its own: of Ctrl-C it is told by us, once.
        return os.posix_spawn(sys.executable, command, environment, setpgroup=0, setsigmask=())

    def _hand_over(self) -> None:
        """Who was to take over serves: let who served until now retire. Or another one has taken over from us."""
        before = self._successor
        if self._beginning:
            self._successor, self._beginning = self._beginning, 0
        if before and before != self._successor:
            _send_signal(before, signal.SIGUSR1)
        else:
            self._retire()
        if before != self._successor:
            self._report(f"httpsock: process {self._successor} has taken over.")

    def _signal_all(self, number: int) -> None:
        for process in list(self._children):
            _send_signal(process, number)

    def _look_for_ended(self) -> None:
        for process in list(self._children):
            with contextlib.suppress(ChildProcessError):
                self.ended(*os.waitpid(process, os.WNOHANG))


def _send_signal(process: int, number: int) -> None:
    """Send *process* a signal, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _inheritable(descriptor: int) -> int:
    """Return a duplicate of *descriptor* that a process which is started inherits."""
    duplicate = os.dup(descriptor)
    os.set_inheritable(duplicate, True)
    return duplicate


def _has_terminal() -> bool:
    """Return whether this process has a terminal that sends signals."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
