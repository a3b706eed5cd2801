"""One child in the foreground: for `pq next -- CMD`, without asyncio or subprocess.

Signals: those that somebody sent to pq are passed on; those that the terminal sent (Ctrl-C) have
reached the child already, because it is in the same process group.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from pq_cli.worker.guard import Guard

_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_BY_KERNEL = 128  # si_code SI_KERNEL: typed at the terminal, not sent by a process


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
        return signal.sigtimedwait(self._held, patience)


def run_child(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: int,
    signals: HeldSignals,
    guard: Guard,
    tick: float,
    on_tick: Callable[[], None],
) -> tuple[int, int | None]:
    """Run a command with `stdin` (a descriptor) and wait for it. Call while `signals` are held.

    Calls `on_tick` about every `tick` seconds meanwhile. Returns (status, signal): the exit
    status, 128 + N when signal N killed it; and the last signal that pq itself was sent, or None.
    When one was sent before the command was started, it is not. Raises OSError when it cannot be.
    """
    while (early := signals.receive(0)) is not None:
        if early.si_signo != signal.SIGCHLD:
            return 128 + early.si_signo, early.si_signo
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        {**env, **guard.environment},
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0)],
        setsigmask=signals.mask,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    slot = guard.watch(pid)  # not its group: that is ours, and maybe of the script that runs us
    sent = _attend(pid, signals, tick, on_tick)
    guard.unwatch(slot)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (128 - status if status < 0 else status), sent


def _attend(pid: int, signals: HeldSignals, tick: float, on_tick: Callable[[], None]) -> int | None:
    """Wait until the child has ended, passing signals on; return the last signal, or None."""
    sent: int | None = None
    next_tick = time.monotonic() + tick
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        info = signals.receive(max(0.0, next_tick - time.monotonic()))
        if info is not None and info.si_signo != signal.SIGCHLD:
            sent = info.si_signo
            if info.si_code != _BY_KERNEL:
                os.kill(pid, info.si_signo)
        if time.monotonic() >= next_tick:
            on_tick()
            next_tick = time.monotonic() + tick
    return sent
