"""Work: `drain` runs a handler on what a queue has; `work` for programs without an event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from pq_cli.core.arguments import valid_flag, valid_lease, valid_whole, wrong
from pq_cli.errors import UsageError
from pq_cli.queue.verbs import Queue
from pq_cli.worker.events import Stop, Summary, Watch
from pq_cli.worker.gate import Gate
from pq_cli.worker.handlers import BatchHandler, Handler, Hands, asking, valid_handler, valid_watch
from pq_cli.worker.limits import Limits, valid_limits
from pq_cli.worker.pool import Pool

P = ParamSpec("P")
T = TypeVar("T")


async def drain(
    queue: Queue,
    handler: Handler | BatchHandler,
    *,
    concurrency: int = 1,
    batch: int | None = None,
    follow: bool = False,
    lease: float | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
    stop: Stop | None = None,
    watch: Watch | None = None,
) -> Summary:
    """Run `handler` on the queue's items, the most urgent first, at most `concurrency` at once.

    handler: a function of the claimed item. When it returns, the item is done (or what the Outcome
    says that it returns; anything else is ignored); `RetryLater` puts it off, `GiveUp` fails it
    for good, any other exception fails this attempt, and the item is retried until its
    max_attempts. SystemExit and KeyboardInterrupt give it back uncounted, and `drain` raises them.

    An async handler runs on the event loop; when it is cancelled, its item goes back uncounted. A
    plain function runs in a thread, of which there are `concurrency`, so `concurrency` of them run
    at once. Nothing can cancel it: `drain` waits until it returns, and what it came to counts. It
    may use the queue. What can be neither is refused before anything is claimed.

    batch: the handler is called with a list of up to so many items, as there are at the moment;
    what it comes to counts for each, or is a list of an Outcome for each. `concurrency` counts
    calls. While the pool is slow each has one item.

    follow: wait for more work instead of returning when nothing is pending. lease: seconds,
    renewed while the handler runs; if it was lost all the same, the handler is cancelled and its
    result refused. limits: when to claim no more, and how fast to claim; after several failures
    in a row it slows down as a whole (see `Slowdown`). gate: asked before claiming; while it says
    False nothing is claimed. watch: told of every start and end, and of what has to wait.

    Returns how many attempts ended how. Raises GateClosedError (not following, and the gate is
    closed), HaltError (too many failures in a row for `limits`), the `fatal` of an Outcome, and
    what the queue raises; always after the attempts under way have ended.
    """
    if not isinstance(queue, Queue):
        raise wrong("queue", queue, "a Spool or a MemoryQueue")
    valid_handler(handler)
    valid_whole("concurrency", concurrency, 1, 10_000)
    if batch is not None:
        valid_whole("batch", batch, 1, 10_000)
    valid_flag("follow", follow)
    if lease is not None:
        valid_lease(lease)
    limits = Limits() if limits is None else valid_limits(limits)
    valid_watch(watch)
    if not isinstance(stop, Stop | None):
        raise wrong("stop", stop, "a Stop")
    ask = None if gate is None else asking(gate)
    hands = Hands(handler, concurrency)
    try:
        pool = Pool(queue, hands, concurrency, batch, lease, limits, watch)
        return await pool.run(follow=follow, gate=ask, stop=stop or Stop())
    finally:
        hands.close()


def _parameters_of(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Return what gives another function this one's parameters, for type checkers and help()."""

    def give(other: Callable[..., T]) -> Callable[P, T]:
        return functools.update_wrapper(other, function, assigned=(), updated=())

    return give


@_parameters_of(drain)
def work(*args: Any, **named: Any) -> Summary:
    """Run `handler` on the queue's items, at most `concurrency` at once; return when all is done.

        summary = work(spool, upload, concurrency=4)

    This is `drain` for a program that has no event loop of its own: parameters, result and errors
    are the same. A plain handler runs in threads, `concurrency` of them. Ctrl-C claims nothing
    more, cancels async handlers (their items go back uncounted), waits for plain ones, and raises
    KeyboardInterrupt. Where an event loop runs already, as in a notebook, it is a UsageError.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(drain(*args, **named))
    raise UsageError("an event loop runs here already: use `await drain(...)`, not work(...)")
