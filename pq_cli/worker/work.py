"""Work: `drain` for programs without an event loop."""

from __future__ import annotations

import asyncio

from pq_cli.errors import UsageError
from pq_cli.queue.verbs import Queue
from pq_cli.worker.events import Stop, Summary
from pq_cli.worker.gate import Gate
from pq_cli.worker.handlers import Handler
from pq_cli.worker.limits import Limits
from pq_cli.worker.pool import Watch, drain


def work(
    queue: Queue,
    handler: Handler,
    *,
    concurrency: int = 1,
    follow: bool = False,
    lease: float | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
    stop: Stop | None = None,
    watch: Watch | None = None,
) -> Summary:
    """Run `handler` on the queue's items, at most `concurrency` at once; return when all is done.

        summary = work(spool, upload, concurrency=4)

    This is `drain` for a program that has no event loop of its own: arguments, result and errors
    are the same. A plain handler runs in threads, `concurrency` of them. Ctrl-C claims nothing
    more, cancels async handlers (their items go back uncounted), waits for plain ones, and raises
    KeyboardInterrupt. Where an event loop runs already, as in a notebook, it is a UsageError.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError("an event loop runs here already: use `await drain(...)`, not work(...)")
    return asyncio.run(
        drain(
            queue, handler, concurrency=concurrency, follow=follow, lease=lease,
            limits=limits, gate=gate, stop=stop, watch=watch,
        )
    )  # fmt: skip
