"""One child in the foreground: for `pq next -- CMD`, without asyncio or subprocess.

Signals: those that somebody sent to pq are passed on; those that were typed at the terminal
(Ctrl-C) have reached the child already, because it is in the same process group.

When pq was asked to stop, or the command failed, nothing that it has started goes on: its item is
about to be another's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import time

from pq_cli.worker.descendants import Descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from pq_cli.worker.guard import Guard

STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What asks pq to stop: it goes to all that the command has started."""
_PASSED_ON = (*STOPPING, signal.SIGUSR1, signal.SIGUSR2)
_BY_KERNEL = 128
"""si_code SI_KERNEL: typed at the terminal, not sent by a process."""
_KILL_AFTER = 10.0
"""Seconds from TERM to KILL for a command that pq itself stops."""
_FULL = os.makedev(1, 7)  # /dev/full
_PIPE_ENDS = select.POLLERR | select.POLLNVAL


class HeldSignals:
    """A context in which signals can be held: none interrupts Python, `run_child` receives them.

    Hold them before the claim is made: one that comes before the command has started must not end
    pq with the claim. What comes too late for `run_child`, while the item is settled, takes
    effect at the end. What is ignored stays ignored.
    """

    def __enter__(self) -> Self:
        # A handler must be set for SIGCHLD: while its action is "ignore", it is not kept pending.
        self._old_child = signal.signal(signal.SIGCHLD, lambda *_: None)
        self.mask: set[int] = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        heeded = (n for n in _PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN)
        self._held = {signal.SIGCHLD, *heeded}
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        signal.signal(signal.SIGCHLD, self._old_child)

    def hold(self) -> None:
        """Hold what comes from now on."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._held)

    def let_go(self) -> None:
        """Let signals take effect again, also those that were held."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    def receive(self, patience: float) -> signal.struct_siginfo | None:
        """Return the next signal that is held, or None when none came in `patience` seconds."""
        info = signal.sigtimedwait(self._held, patience)
        # Where SIGCONT ends the wait and its time has passed meanwhile, CPython returns a value
        # that nobody has filled in.
        return info if info is not None and info.si_signo in self._held else None


def run_child(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: int,
    signals: HeldSignals,
    guard: Guard,
    pause: float,
    keep: Callable[[], float | None],
) -> tuple[int, int | None]:
    """Run a command with `stdin` (a descriptor) and wait for it. Call while `signals` are held.

    keep: called after `pause` seconds, keeps the claim and returns the seconds until it is to be
    called again, or None when the claim is lost; then the command is stopped, by TERM and, should
    it not heed that, by KILL ten seconds later.

    Returns (status, signal): the exit status, 128 + N when signal N killed it; and the last signal
    that asked pq itself to stop, or None. When one came before the command was started, it is not.
    Unless the command ended well and nobody asked it to stop, nothing that it has started runs any
    more. Raises OSError when it cannot be started.
    """
    while (early := signals.receive(0)) is not None:
        if early.si_signo != signal.SIGCHLD:
            return 128 + early.si_signo, early.si_signo
    started = Descendants()
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        {**env, **guard.environment},
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0)],
        setsigmask=signals.mask,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    slot = guard.watch(pid)  # not its group: that is ours, and maybe of the script that runs us
    child = _Attended(pid, started, signals)
    try:
        child.attend(pause, keep)
    finally:
        if not child.well:
            started.kill()
        guard.unwatch(slot)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (128 - status if status < 0 else status), child.sent


class _Attended:
    """The child while it runs, and what was heard meanwhile."""

    def __init__(self, pid: int, started: Descendants, signals: HeldSignals) -> None:
        self._pid, self._started, self._signals = pid, started, signals
        self._kill_at: float | None = None
        self.sent: int | None = None
        self.well = False
        """Whether it has ended with 0, and nobody asked for that."""

    def attend(self, pause: float, keep: Callable[[], float | None]) -> None:
        """Wait until the child has ended; it is not reaped."""
        keep_at = time.monotonic() + pause
        while (ended := self._ended()) is None:
            now = time.monotonic()
            if self._kill_at is not None:
                if now >= self._kill_at:
                    self._started.kill()
                    self._kill_at = now + 1.0
            elif now >= keep_at:
                again = keep()
                now = time.monotonic()
                if again is None:
                    self._started.signal(signal.SIGTERM)
                    self._kill_at = now + _KILL_AFTER
                else:
                    keep_at = now + again
            until = keep_at if self._kill_at is None else self._kill_at
            self._heed(self._signals.receive(max(0.0, until - now)))
        by_itself = self.sent is None and self._kill_at is None
        self.well = by_itself and ended.si_code == os.CLD_EXITED and ended.si_status == 0

    def _ended(self) -> os.waitid_result | None:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _heed(self, info: signal.struct_siginfo | None) -> None:
        """Pass a signal on."""
        if info is None:
            return
        number = info.si_signo
        if number == signal.SIGCHLD:
            self._started.reap(but=self._pid)
        elif number in STOPPING:
            self.sent = number
            # The kernel tells the whole group of Ctrl-C, but of a hang-up perhaps only us.
            if info.si_code != _BY_KERNEL or number == signal.SIGHUP:
                self._started.signal(number)
        else:
            os.kill(self._pid, number)


def lost_output() -> OSError | None:
    """Return why stdout or stderr take nothing any more, or None when they may.

    Nobody reads the pipe, the disk is full, or it was closed: a command that fails then has most
    likely failed by that.
    """
    for fd, name in ((1, "standard output"), (2, "standard error")):
        code = _trouble(fd)
        if code:
            return OSError(code, os.strerror(code), name)
    return None


def _trouble(fd: int) -> int:
    try:
        info = os.fstat(fd)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return errno.EBADF  # what stands for one that was closed
        if stat.S_ISREG(info.st_mode):
            return 0 if os.fstatvfs(fd).f_bavail else errno.ENOSPC
    except OSError as error:
        return error.errno or errno.EIO
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == _FULL:
        return errno.ENOSPC
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    gone = any(event & _PIPE_ENDS for _, event in poll.poll(0))
    return errno.EPIPE if gone else 0
