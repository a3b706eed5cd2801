"""What `drain` and `work` can run: async functions, plain ones in threads, and what is neither."""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
import subprocess
import sys
import threading
from unittest.mock import AsyncMock, Mock

import pytest
from support import HANG, wait_until

from pq_cli import (
    GiveUp,
    Outcome,
    RetryLater,
    Spool,
    Stop,
    UsageError,
    Verdict,
    drain,
    work,
)


@pytest.fixture(params=["drain", "work"])
def run(request):
    """Run a handler on a queue, with an event loop and without."""
    if request.param == "work":
        return work
    return lambda *args, **options: asyncio.run(drain(*args, **options))


def states(q):
    return [(i.id, str(i.state), i.attempts) for i in q.items()]


class Kinds:
    """Handlers of every kind; each notes the id of its item in `seen`."""

    def __init__(self):
        self.seen = []

    async def _async(self, item):
        await asyncio.sleep(0)
        self.seen.append(item.id)

    def _plain(self, item):
        self.seen.append(item.id)

    def _plain_then_async(self, item):
        return self._async(item)

    def made(self):
        """Return the handlers by name."""
        kinds = self

        class AsyncCall:
            async def __call__(self, item):
                await kinds._async(item)

        class PlainCall:
            def __call__(self, item):
                kinds._plain(item)

        class Class:
            def __init__(self, item):
                kinds._plain(item)

        @functools.wraps(self._async)
        def wrapped(*args):
            return self._async(*args)

        async def two(_, item):
            await self._async(item)

        async def optional(item, tries=3):
            await self._async(item)

        return {
            "async def": self._async,
            "def": self._plain,
            "lambda": lambda item: self._plain(item),
            "lambda of async": lambda item: self._async(item),
            "def that returns a coroutine": self._plain_then_async,
            "def that returns to_thread": lambda item: asyncio.to_thread(self._plain, item),
            "partial": functools.partial(self._plain),
            "partial of async": functools.partial(two, None),
            "partial of a partial": functools.partial(functools.partial(two, None)),
            "async __call__": AsyncCall(),
            "partial of async __call__": functools.partial(AsyncCall()),
            "__call__": PlainCall(),
            "class": Class,
            "wrapped async": wrapped,
            "optional": optional,
            "builtin": lambda item: None,
            "Mock": Mock(side_effect=self._plain),
            "AsyncMock": AsyncMock(side_effect=self._plain),
        }


@pytest.mark.parametrize("kind", Kinds().made())
def test_every_kind_of_function_is_a_handler(make, run, kind):
    """Whatever can be called with an item is run on each, once, and it is done."""
    q = make()
    for _ in range(3):
        q.enqueue(b"")
    kinds = Kinds()
    handler = kinds.seen.append if kind == "builtin" else kinds.made()[kind]
    assert run(q, handler, concurrency=2).done == 3
    seen = [i.id for i in kinds.seen] if kind == "builtin" else kinds.seen
    assert sorted(seen) == [1, 2, 3] and states(q) == []


def no_handlers():
    """Return what is no handler, by name."""

    async def handler(item):
        pass

    async def stream(item):
        yield item

    def generator(item):
        yield item

    def nothing():
        pass

    def two(item, other):
        pass

    coroutine = handler(None)
    coroutine.close()
    return {
        "the result of a call": coroutine,
        "generator function": generator,
        "partial of one": functools.partial(generator),
        "async generator function": stream,
        "takes nothing": nothing,
        "takes two": two,
        "takes two, async": functools.partial(lambda *, a: handler(a)),
        "partial with too many": functools.partial(handler, 1),
        "class that takes nothing": object,
        "None": None,
        "text": "cat",
    }


@pytest.mark.parametrize("kind", no_handlers())
def test_what_cannot_be_run_is_refused_before_anything_is_claimed(make, run, kind):
    """No attempt is spent on what could never work."""
    q = make()
    q.enqueue(b"")
    with pytest.raises(UsageError, match="handler"):
        run(q, no_handlers()[kind])
    assert q.get(1).claims == 0


def test_a_generator_that_comes_back_has_done_nothing(make, run):
    """What looked like a function and was not ends it at once; the item goes back uncounted."""
    q = make()
    for _ in range(2):
        q.enqueue(b"")
    with pytest.raises(UsageError, match="nothing of it has run"):
        run(q, lambda item: (n for n in [item]))
    assert states(q) == [(1, "pending", 0), (2, "pending", 0)]


ENDS = {
    "returns": (lambda: None, None),
    "returns False": (lambda: False, None),
    "outcome": (lambda: Outcome(verdict=Verdict.DEAD, error="x"), ("failed", 1, "x")),
    "later": (RetryLater("busy"), ("delayed", 0, "busy")),
    "never": (GiveUp("bad"), ("failed", 1, "bad")),
    "error": (ValueError("oops"), ("delayed", 1, "ValueError: oops")),
    "StopIteration": (StopIteration(), ("delayed", 1, "RuntimeError: coroutine raised StopIter")),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("plain", [True, False])
def test_what_an_end_means(make, run, how, plain):
    """Plain and async functions end in the same ways; only an exception or an Outcome is heard."""
    q = make()
    q.enqueue(b"")
    end, left = ENDS[how]

    def handler(_):
        if isinstance(end, Exception):
            raise end
        return end()

    async def async_handler(item):
        return handler(item)

    run(q, handler if plain else async_handler)
    found = [(str(i.state), i.attempts, i.last_error[: len(left[2])]) for i in q.items()]
    assert found == ([] if left is None else [left])


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_handler_that_ends_the_program(make, run, plain, error):
    """The item goes back uncounted, nothing more is claimed, and the program ends."""
    q = make()
    for _ in range(2):
        q.enqueue(b"")

    def handler(_):
        raise error

    async def async_handler(_):
        raise error

    with pytest.raises(error):
        run(q, handler if plain else async_handler)
    assert states(q) == [(1, "pending", 0), (2, "pending", 0)] and q.get(2).claims == 0


def test_plain_functions_run_as_many_at_once_as_asked_for(make, run):
    """`concurrency` threads: so many meet each other, and never one more is there."""
    q = make()
    for _ in range(12):
        q.enqueue(b"")
    meeting, lock = threading.Barrier(3, timeout=HANG), threading.Lock()
    now = most = 0
    names = set()

    def handler(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            names.add(threading.current_thread().name)
        meeting.wait()
        with lock:
            now -= 1

    assert run(q, handler, concurrency=3).done == 12
    assert most == 3 and len(names) <= 3 and threading.main_thread().name not in names


def test_leases_are_renewed_while_a_plain_function_blocks(make, run):
    """It does not stop the event loop: the claim is kept, however long it takes."""
    q = make(lease=0.3)
    q.enqueue(b"")

    def handler(item):
        wait_until(lambda: q.get(item).lease_until > item.lease_until, "it is renewed")

    assert run(q, handler).done == 1


def test_a_plain_function_may_use_the_queue(make, run):
    """From its thread it reads its payload and enqueues what follows from it."""
    q = make()
    for _ in range(5):
        q.enqueue(b"first")
    seen = []

    def handler(item):
        seen.append(q.payload(item))
        if seen[-1] == b"first":
            q.enqueue(b"second")

    assert run(q, handler, concurrency=4).done == 10
    assert sorted(seen) == [b"first"] * 5 + [b"second"] * 5


def test_context_variables_reach_a_plain_function(make):
    """As with `asyncio.to_thread`."""
    import contextvars

    q = make()
    q.enqueue(b"")
    name = contextvars.ContextVar("name", default="")
    name.set("mine")
    seen = []
    work(q, lambda _: seen.append(name.get()))
    assert seen == ["mine"]


def test_a_plain_function_that_is_called_off_finishes(make, run):
    """Nothing can cancel a thread: its item is kept until it returns, and its success counts."""
    q = make()
    for _ in range(2):
        q.enqueue(b"")
    stop = Stop()
    asked = threading.Event()

    def watch(event):
        if event.kind == "start":
            stop.request()
            stop.request()
            asked.set()

    def handler(item):
        asked.wait(HANG)
        assert q.get(item).claim == item.claim

    summary = run(q, handler, stop=stop, watch=watch)
    assert (summary.done, summary.released) == (1, 0)
    assert states(q) == [(2, "pending", 0)]


def test_a_cancelled_drain_waits_for_plain_functions(make):
    """When `drain` has ended nothing works on an item any more, and none is claimed."""
    q = make()
    q.enqueue(b"")
    running, go = threading.Event(), threading.Event()

    def handler(_):
        running.set()
        go.wait(HANG)

    async def main():
        task = asyncio.create_task(drain(q, handler))
        await asyncio.to_thread(running.wait, HANG)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done() and q.get(1).claim == "1.1"
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert states(q) == []


def test_the_result_of_a_lost_claim_is_refused(make, run):
    """A plain function whose claim was taken away cannot end the item."""
    q = make()
    q.enqueue(b"")

    def handler(item):
        q.release(item)
        q.hold(item.id)

    assert run(q, handler).lost == 1
    assert states(q) == [(1, "held", 0)]


@pytest.mark.parametrize("opens", [True, False])
def test_a_gate_may_be_a_plain_function(make, run, opens):
    """It is asked in a thread, and its answer is obeyed."""
    q = make()
    q.enqueue(b"")
    asked = []

    def gate():
        asked.append(threading.current_thread())
        return opens

    if opens:
        assert run(q, print, gate=gate).done == 1
    else:
        with pytest.raises(Exception, match="the gate is closed"):
            run(q, print, gate=gate)
    assert asked and threading.main_thread() not in asked


def test_a_watch_that_would_never_be_awaited_is_refused(make, run):
    """It is called, not awaited: who gives an async one is told so before anything is claimed."""
    q = make()
    q.enqueue(b"")

    async def watch(event):
        pass

    with pytest.raises(UsageError, match="watch"):
        run(q, print, watch=watch)
    assert q.get(1).claims == 0


# -- work ------------------------------------------------------------------------


def test_work_where_a_loop_runs_is_refused(make):
    """As in a notebook: it says what to write instead, and claims nothing."""
    q = make()
    q.enqueue(b"")

    async def main():
        work(q, print)

    with pytest.raises(UsageError, match="await drain"):
        asyncio.run(main())
    assert q.get(1).claims == 0


def test_work_takes_what_drain_takes():
    """The same arguments with the same defaults."""
    assert inspect.signature(work) == inspect.signature(drain)


def test_work_is_stopped_from_another_thread(make, monkeypatch):
    """`Stop.request` may be called anywhere, and called off is what does not end by itself."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")  # what is not safe between threads raises
    q = make()
    q.enqueue(b"")
    stop, started = Stop(), threading.Event()
    summaries = []

    async def handler(_):
        started.set()
        await asyncio.sleep(600)

    def worker():
        summaries.append(work(q, handler, follow=True, stop=stop))

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    assert started.wait(HANG)
    stop.request()
    stop.request()
    thread.join(HANG)
    assert [s.released for s in summaries] == [1] and states(q) == [(1, "pending", 0)]
    stop.request()  # when all is over it does nothing


def test_work_is_stopped_by_a_signal_handler(tmp_path):
    """A SIGTERM handler that calls `Stop.request` ends a `work` that waits for more."""
    Spool(tmp_path / "spool").enqueue(b"x")
    script = (
        "import signal, sys; from pq_cli import Spool, Stop, work\n"
        "stop = Stop()\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.request())\n"
        "show = lambda item: print(item.claim, flush=True)\n"
        "print(work(Spool(sys.argv[1]), show, follow=True, stop=stop).done)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "spool")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1.1\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=HANG)[0] == b"1\n"
    assert process.returncode == 0


@pytest.mark.parametrize("plain", [True, False])
def test_ctrl_c_ends_work(tmp_path, plain):
    """A real SIGINT: async work goes back uncounted, plain work ends; then KeyboardInterrupt."""
    spool = Spool(tmp_path / "spool")
    spool.enqueue(b"x")
    spool.enqueue(b"y")
    script = (
        "import asyncio, sys, threading; from pq_cli import Spool, work\n"
        "async def handler(item):\n"
        "    print(item.claim, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "def plain(item):\n"
        "    print(item.claim, flush=True)\n"
        "    sys.stdin.read()\n"
        f"work(Spool(sys.argv[1]), {'plain' if plain else 'handler'})\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "spool")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes) as process:
        assert process.stdout.readline() == b"1.1\n"
        process.send_signal(signal.SIGINT)
        if plain:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
        assert b"KeyboardInterrupt" in process.communicate(timeout=HANG)[1]
    left = [] if plain else [(1, "pending", 0)]
    assert states(spool) == [*left, (2, "pending", 0)]
