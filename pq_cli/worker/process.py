"""Child processes on the event loop: started by posix_spawn, awaited by pidfd.

Not `asyncio.create_subprocess_exec`: what awaits a child there has reaped it already, so the number
of its group may be another's by the time that what is left of the group is to be killed. And with
the watchers of Python 3.11, a thread for each child, `run -j2 -- true` costs a sixth more (nothing
more with pidfds, which are the rule since 3.12).

Each child leads a session of its own. So Ctrl-C at the terminal reaches pq alone, which decides;
a signal to the group reaches all that the child has started; and asking for a password on
/dev/tty fails instead of stopping the child for ever.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from pq_cli.worker.guard import Guard, kill_marked, send

running: set[int] = set()
"""The pids of the children that nobody but their `Child` may reap."""


class Child:
    """A command that runs. Await `wait`; nothing else reaps it.

    streams: descriptors for its 0, 1 and 2; None: that of pq itself. cwd: the folder in which it
    runs; None: pq's own. Raises OSError when it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        streams: Sequence[int | None],
        guard: Guard | None = None,
        cwd: str | None = None,
    ) -> None:
        actions = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(streams) if fd is not None]
        with nullcontext() if cwd is None else _inside(cwd):
            self.pid = os.posix_spawnp(
                argv[0],
                list(argv),
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        running.add(self.pid)
        self.status: int | None = None
        """How it has ended; 128 + N when signal N ended it. None while it runs."""
        marks = {} if guard is None else {**guard.environment, "PQ_CLAIM": env.get("PQ_CLAIM", "")}
        self._marks = [os.fsencode(f"{name}={value}") for name, value in marks.items()]
        """What everybody has in the environment who works on the same claim for this worker."""
        self._guard = guard
        self._slot = None if guard is None else guard.watch(-self.pid)
        self._gone = asyncio.Event()
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._gone.set)

    async def wait(self, timeout: float | None, kill_after: float) -> tuple[int, bool]:
        """Return (status, whether it took longer than `timeout` seconds and was stopped).

        The status is 128 + N when signal N ended it. Stopping, also when this is cancelled (then
        `status` says how it ended), means TERM to the whole group, and `kill_after` seconds later
        or when its leader has ended KILL to what is left of it and to what has left it. Unless the
        leader ends well nothing of the group goes on: its item is about to be another's.
        """
        late = False
        try:
            try:
                async with asyncio.timeout(timeout):
                    await self._gone.wait()
            except TimeoutError:
                late = True
                await self._stop(kill_after)
        except asyncio.CancelledError:
            await self._stop(kill_after)
            raise
        finally:
            self.status = status = self._reap()
        return status, late

    async def _stop(self, kill_after: float) -> None:
        send(-self.pid, signal.SIGTERM)
        send(-self.pid, signal.SIGCONT)  # a stopped process cannot obey
        try:
            async with asyncio.timeout(kill_after):
                await self._gone.wait()
        except (TimeoutError, asyncio.CancelledError):
            pass  # cancelled again: somebody has lost patience
        # The leader is a zombie at most: its group's number cannot have been given away yet.
        send(-self.pid)
        while not self._gone.is_set():
            try:
                await self._gone.wait()
            except asyncio.CancelledError:
                continue  # nothing stronger than KILL is left to send
        if self._marks:
            kill_marked(*self._marks)

    def _reap(self) -> int:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._guard is not None and self._slot is not None:
            self._guard.unwatch(self._slot)
        running.discard(self.pid)
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if ended is None or ended.si_status or ended.si_code != os.CLD_EXITED:
            send(-self.pid)  # before it is reaped, while its group's number is its own
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return 128 - code if code < 0 else code


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    """Be in another folder: posix_spawn has no word for it. Nothing may wait in it."""
    back = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(back)
        os.close(back)
