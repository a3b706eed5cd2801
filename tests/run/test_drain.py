"""`drain`: what `pq run` stands on, with handlers in Python, on disk and in memory."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc

import pytest
from support import HANG

from pq_cli import (
    GateClosedError,
    GiveUp,
    HaltError,
    Limits,
    MemoryQueue,
    QueueConfig,
    RetryLater,
    Spool,
    State,
    Stop,
    UsageError,
    drain,
)
from pq_cli.errors import SpoolIOError
from pq_cli.worker import gate as gate_module
from pq_cli.worker.limits import Pace

FAST = QueueConfig(durability="fast")


def run(queue, handler, **options):
    return asyncio.run(asyncio.wait_for(drain(queue, handler, **options), HANG))


def test_runs_everything_in_order(make):
    """Every item is handled once, in the queue's order, and gone when its handler returns."""
    queue = make()
    for priority in (5, 1, 9, 5, 1):
        queue.enqueue(b"%d" % priority, priority=priority)
    seen = []

    async def handler(item):
        seen.append((item.priority, item.id))

    assert run(queue, handler).done == 5
    assert seen == [(1, 2), (1, 5), (5, 1), (5, 4), (9, 3)]
    assert len(queue) == 0


def test_never_more_at_once_than_asked_for(make):
    """`concurrency` handlers run at the same time, and never one more."""
    queue = make()
    for _ in range(50):
        queue.enqueue(b"")
    now = most = 0

    async def handler(_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    run(queue, handler, concurrency=7)
    assert most == 7


def test_slot_goes_to_the_most_urgent_at_that_moment(make):
    """What is enqueued while handlers run overtakes everything less urgent that waited before."""
    queue = make()
    for _ in range(20):
        queue.enqueue(b"bulk", priority=8)
    seen = []

    async def handler(item):
        seen.append(item.id)
        if item.id == 3:
            queue.enqueue(b"now", priority=1)

    run(queue, handler)
    assert seen[:5] == [1, 2, 3, 21, 4]


def test_what_exceptions_mean(make):
    """RetryLater puts off, GiveUp fails for good, anything else fails the attempt."""
    queue = make()
    for _ in range(3):
        queue.enqueue(b"")
    errors = {1: RetryLater("busy"), 2: GiveUp("bad"), 3: ValueError("oops")}

    async def handler(item):
        raise errors[item.id]

    summary = run(queue, handler)
    assert (summary.deferred, summary.dead, summary.retried, summary.failed) == (1, 1, 1, 3)
    found = [queue.get(n) for n in (1, 2, 3)]
    assert [(str(i.state), i.attempts) for i in found] == [
        ("delayed", 0), ("failed", 1), ("delayed", 1),
    ]  # fmt: skip
    assert [i.last_error for i in found] == ["busy", "bad", "ValueError: oops"]


def test_leases_are_renewed_while_a_handler_runs(make):
    """A handler that takes longer than the lease keeps its claim."""
    queue = make(lease=3)
    queue.enqueue(b"")

    async def handler(_):
        await asyncio.sleep(4.0)
        assert queue.claim() is None

    summary = run(queue, handler)
    assert (summary.done, summary.lost) == (1, 0)


def test_lost_lease(make):
    """A handler whose claim was taken away is cancelled, and its result counts for nothing."""
    queue = make(lease=0.3)
    queue.enqueue(b"")
    cancelled = []

    async def handler(item):
        if item.claims > 1:
            return
        queue.release(item)
        try:
            await asyncio.sleep(HANG)
        except asyncio.CancelledError:
            cancelled.append(item.claim)
            raise

    summary = run(queue, handler)
    assert cancelled == ["1.1"]
    assert (summary.lost, summary.done) == (1, 1)


def test_result_of_a_lost_claim_is_refused(make):
    """A handler that returns after its claim was lost does not end the item."""
    queue = make()
    queue.enqueue(b"")

    async def handler(item):
        queue.release(item)
        queue.hold(item.id)

    assert run(queue, handler).lost == 1
    assert str(queue.get(1).state) == "held"


def test_stop_once_lets_handlers_finish(make):
    """One request: nothing more is claimed, what runs ends well."""
    queue = make()
    for _ in range(5):
        queue.enqueue(b"")
    stop = Stop()

    async def handler(_):
        stop.request()
        await asyncio.sleep(0.05)

    assert run(queue, handler, stop=stop, follow=True).done == 1
    assert len(queue) == 4


def test_stop_twice_gives_items_back(make):
    """Two requests: handlers are cancelled, their items go back uncounted."""
    queue = make()
    for _ in range(2):
        queue.enqueue(b"")
    stop = Stop()

    async def handler(item):
        if item.id == 2:
            stop.request()
            stop.request()
        await asyncio.sleep(HANG)

    assert run(queue, handler, stop=stop, concurrency=2).released == 2
    assert [(str(i.state), i.attempts) for i in queue.items()] == [("pending", 0)] * 2


def test_cancelled_drain_gives_items_back(make):
    """Cancelling drain itself leaves nothing claimed behind."""
    queue = make()
    queue.enqueue(b"")

    async def main():
        started = asyncio.Event()

        async def handler(_):
            started.set()
            await asyncio.sleep(HANG)

        task = asyncio.create_task(drain(queue, handler))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [(str(i.state), i.attempts) for i in queue.items()] == [("pending", 0)]


def test_a_drain_that_was_cancelled_claims_no_more(make):
    """Not even for the slot of a handler that ends well at that very moment."""
    queue = make()
    for _ in range(2):
        queue.enqueue(b"")

    async def main():
        async def handler(_):
            task.cancel()

        task = asyncio.create_task(drain(queue, handler))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, HANG)

    asyncio.run(main())
    assert [(item.id, str(item.state), item.claims) for item in queue.items()] == [
        (2, "pending", 0)
    ]


def test_a_watch_that_raises_ends_the_drain(make):
    """Whatever it is told of: not the first start alone, whose claim `drain` itself has made."""
    for number in (1, 2):
        queue = make()
        for _ in range(3):
            queue.enqueue(b"")
        told = []

        def watch(event, told=told, number=number):
            told.append(event.kind)
            if told.count("start") == number:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(queue, lambda item: None, watch=watch)


def test_what_was_claimed_as_another_ended_goes_back_if_nothing_more_may_start(make):
    """The end of the first is told to a watch that raises: the second was claimed for its slot."""
    queue = make()
    for _ in range(2):
        queue.enqueue(b"")

    def watch(event):
        if event.kind == "end":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(queue, lambda item: None, watch=watch)
    assert [(i.id, i.state, i.attempts) for i in queue.items()] == [(2, State.PENDING, 0)]


def test_what_was_claimed_as_another_ended_does_not_wait_for_what_is_called_off(make):
    """The drain is cancelled; a handler takes its time to end, and others may have the item."""
    queue, seen = make(), []
    for _ in range(3):
        queue.enqueue(b"")

    async def main():
        async def handler(item):
            if item.id == 1:
                return
            try:
                await asyncio.sleep(HANG)
            except asyncio.CancelledError:
                seen.append((item.id, queue.get(3).state, queue.get(3).attempts))
                raise

        def watch(event):
            if event.kind == "end" and event.item.id == 1:
                task.cancel()

        task = asyncio.create_task(drain(queue, handler, concurrency=2, watch=watch))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, HANG)

    asyncio.run(main())
    assert seen == [(2, State.PENDING, 0)]


def test_once_it_is_to_stop_nothing_is_claimed_for_the_slot_of_what_ends(make):
    """Not even by the end itself."""
    queue, stop = make(), Stop()
    for _ in range(2):
        queue.enqueue(b"")

    async def handler(_):
        stop.request()

    assert run(queue, handler, stop=stop).done == 1
    assert queue.get(2).claims == 0


def test_once_it_is_over_nothing_is_claimed_for_the_slot_of_what_ends(make):
    """Here because another has failed, once too often."""
    queue, failed = make(), asyncio.Event()
    for _ in range(3):
        queue.enqueue(b"")

    async def handler(item):
        if item.id == 1:
            raise ValueError
        await failed.wait()

    def watch(event):
        if event.kind == "end" and event.item.id == 1:
            failed.set()

    with pytest.raises(HaltError):
        run(queue, handler, concurrency=2, limits=Limits(halt_after=1), watch=watch)
    assert [(item.id, item.claims) for item in queue.items()] == [(3, 0), (1, 1)]


def test_what_ends_does_not_claim_past_a_gate_that_may_be_closed_by_now(make, monkeypatch):
    """It was open as the item was claimed, and is asked again once that answer is too old."""
    monkeypatch.setattr(gate_module, "HOLDS", 0.05)
    queue, begun = make(), []
    for _ in range(2):
        queue.enqueue(b"")

    async def gate():
        return not begun

    async def handler(item):
        begun.append(item)
        await asyncio.sleep(0.1)

    with pytest.raises(GateClosedError):
        run(queue, handler, gate=gate)
    assert [(item.id, item.claims) for item in queue.items()] == [(2, 0)]


def test_handler_that_cancels_itself_is_no_endless_loop(make):
    """A handler that raises CancelledError on its own has failed; its item is not given back."""
    queue = make()
    queue.enqueue(b"")

    async def handler(_):
        raise asyncio.CancelledError

    assert run(queue, handler).retried == 1


def test_halt_after(make):
    """`halt_after` failures in a row end it with HaltError, the rest is untouched."""
    queue = make()
    for _ in range(10):
        queue.enqueue(b"")

    async def handler(item):
        if item.id != 2:
            raise ValueError

    with pytest.raises(HaltError, match="3 failures in a row"):
        run(queue, handler, limits=Limits(halt_after=3))
    assert sum(item.claims for item in queue.items()) == 4


def test_gate(make):
    """A closed gate: nothing is claimed. It is not asked when there is no work."""
    queue = make()
    asked = []

    async def gate():
        asked.append(1)
        return False

    async def handler(_):
        pytest.fail("it was claimed")

    assert run(queue, handler, gate=gate).done == 0
    assert not asked
    queue.enqueue(b"")
    with pytest.raises(GateClosedError):
        run(queue, handler, gate=gate)
    assert queue.get(1).claims == 0


def test_gate_that_fails_is_closed(make):
    """A gate that raises lets nothing through."""
    queue = make()
    queue.enqueue(b"")

    async def gate():
        raise OSError

    async def handler(_):
        pytest.fail("it was claimed")

    with pytest.raises(GateClosedError):
        run(queue, handler, gate=gate)


def test_max_items(make):
    """`max_items` bounds the claims."""
    queue = make()
    for _ in range(5):
        queue.enqueue(b"")

    async def handler(_):
        pass

    assert run(queue, handler, limits=Limits(max_items=3), follow=True).done == 3


def test_end_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch):
    """A disk that refuses for a moment does not make a finished item run again."""
    spool = Spool(tmp_path / "spool", config=FAST)
    spool.enqueue(b"")
    real, tries = spool.done, []

    def done(item, **fields):
        tries.append(1)
        if len(tries) < 2:
            raise SpoolIOError("disk full")
        return real(item, **fields)

    monkeypatch.setattr(spool, "done", done)
    handled = []

    async def handler(item):
        handled.append(item.id)

    monkeypatch.setattr("pq_cli.worker.pool.END_AGAIN", 0.01)
    with pytest.raises(SpoolIOError):  # a spool error that is no passing obstacle ends it ...
        run(spool, handler)
    assert handled == [1]
    tries[:] = [1]

    def busy(item, **fields):
        tries.append(1)
        if len(tries) < 4:
            raise OSError(28, "No space left on device")
        return real(item, **fields)

    spool.release("1.1")
    monkeypatch.setattr(spool, "done", busy)
    assert run(spool, handler).done == 1  # ... one that may pass is waited out
    assert handled == [1, 1]
    assert len(spool) == 0


def test_concurrency_must_be_positive():
    """Zero handlers at once would wait for ever."""

    async def handler(_):
        pass

    with pytest.raises(UsageError):
        run(MemoryQueue(), handler, concurrency=0)


def test_pace_is_even_and_never_caught_up():
    """Ten a second: a tenth of a second after each claim; a late one is not made up for."""
    pace = Pace(Limits(rate=10), 100.0)
    assert pace.wait(100.0) == 0
    pace.claimed(100.0)
    assert pace.wait(100.0) == pytest.approx(0.1)
    assert pace.wait(100.1) == pytest.approx(0)
    pace.claimed(105.0)
    assert pace.wait(105.0) == pytest.approx(0.1)


def test_pace_ends():
    """No claim after max_seconds, none beyond max_items."""
    pace = Pace(Limits(max_seconds=5, max_items=2), 100.0)
    assert not pace.over(104.9)
    assert pace.over(105.0)
    pace.claimed(100.0)
    pace.claimed(100.0)
    assert pace.over(100.0)


def test_memory_is_flat(tmp_path):
    """Draining many items holds no memory for those that are done (PQ_LONG=1: 100,000)."""
    count = 100_000 if os.environ.get("PQ_LONG") else 3_000
    spool = Spool(tmp_path / "spool", config=FAST)
    from pq_cli.queue.request import Request

    for _ in range(count // 500):
        spool.enqueue_many([(b"x", Request())] * 500)
    seen = early = late = 0

    async def handler(_):
        nonlocal seen, early, late
        seen += 1
        if seen in (count // 4, count - 10):
            gc.collect()
            held = tracemalloc.get_traced_memory()[0]
            early, late = (held, late) if seen < count // 2 else (early, held)

    tracemalloc.start()
    try:
        assert run_long(spool, handler).done == count
    finally:
        tracemalloc.stop()
    assert late - early < 200_000


def run_long(queue, handler):
    return asyncio.run(drain(queue, handler, concurrency=4))
