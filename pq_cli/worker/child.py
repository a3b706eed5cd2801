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

_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_WAITED = {signal.SIGCHLD, *_PASSED_ON}
_BY_KERNEL = 128  # si_code SI_KERNEL: typed at the terminal, not sent by a process


class HeldSignals:
    """A context in which no signal interrupts Python: `run_child` receives them one by one.

    What comes too late for it, while the item is settled, takes effect at the end.
    """

    def __enter__(self) -> set[int]:
        """Return the signals that were blocked before: what a child must start with."""
        # A handler must be set for SIGCHLD: while its action is "ignore", it is not kept pending.
        self._old_child = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._old_mask: set[int] = set(signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED))
        return self._old_mask

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGCHLD, self._old_child)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)


def run_child(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: int,
    mask: set[int],
    tick: float,
    on_tick: Callable[[], None],
) -> tuple[int, int | None]:
    """Run a command with `stdin` (a descriptor) and wait for it. Call in `HeldSignals() as mask`.

    Calls `on_tick` about every `tick` seconds meanwhile. Returns (status, signal): the exit
    status, 128 + N when signal N killed it; and the last signal that pq itself was sent, or None.
    Raises OSError when it cannot be started.
    """
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0)],
        setsigmask=mask,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    return _wait(pid, tick, on_tick)


def _wait(pid: int, tick: float, on_tick: Callable[[], None]) -> tuple[int, int | None]:
    sent: int | None = None
    next_tick = time.monotonic() + tick
    while True:
        found, raw = os.waitpid(pid, os.WNOHANG)
        if found:
            status = os.waitstatus_to_exitcode(raw)
            return (128 - status if status < 0 else status), sent
        info = signal.sigtimedwait(_WAITED, max(0.0, next_tick - time.monotonic()))
        if info is not None and info.si_signo != signal.SIGCHLD:
            sent = info.si_signo
            if info.si_code != _BY_KERNEL:
                os.kill(pid, info.si_signo)
        if time.monotonic() >= next_tick:
            on_tick()
            next_tick = time.monotonic() + tick
