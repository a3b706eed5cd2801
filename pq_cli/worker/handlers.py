"""Handlers: what `drain` runs on an item, async functions and plain ones alike.

An async handler runs on the event loop. A plain one would stop the loop, leases and all, so it runs
in a thread, which nothing can stop: whoever calls it off waits for it, and what it came to counts.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol

from pq_cli.core.arguments import valid_callable, wrong
from pq_cli.core.item import Item
from pq_cli.errors import UsageError
from pq_cli.queue.outcome import Outcome, Verdict


class Handler(Protocol):
    """A function of the claimed item, `async def` or plain; see `drain` for what it may do."""

    def __call__(self, item: Item, /) -> object:
        """Work on the item."""


class BatchHandler(Protocol):
    """A handler of several claimed items at once, of `drain(batch=...)`."""

    def __call__(self, items: list[Item], /) -> object:
        """Work on the items."""


def valid_handler(handler: object) -> None:
    """Raise UsageError unless `handler` is a function that can be called with an item."""
    if inspect.isawaitable(handler):
        raise wrong("handler", handler, "the function itself, not what a call of it returns")
    if not callable(handler):
        raise wrong("handler", handler, "a function of the item")
    if _is(inspect.isgeneratorfunction, handler) or _is(inspect.isasyncgenfunction, handler):
        raise wrong("handler", handler, "a function without `yield`: calling this runs nothing")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # written in C: who knows
    try:
        signature.bind(None)
    except TypeError:
        raise wrong("handler", handler, "a function of one argument, the item") from None


def valid_watch(watch: object) -> None:
    """Raise UsageError unless `watch` is a plain function, or None."""
    if watch is None:
        return
    valid_callable("watch", watch, "a function of an Event")
    if _is(inspect.iscoroutinefunction, watch):
        raise wrong("watch", watch, "a plain function of an Event: it is called, not awaited")


def _is(kind: Callable[[object], bool], function: object) -> bool:
    """Tell whether a function, a partial of one, or what has a `__call__` is of this kind."""
    while isinstance(function, functools.partial):
        function = function.func
    return kind(function) or kind(type(function).__call__)


class Hands:
    """Runs a handler on items; plain ones in as many threads as are asked for at the most."""

    def __init__(self, handler: Handler | BatchHandler, threads: int) -> None:
        self._handler: Callable[[Any], object] = handler
        self._is_async = _is(inspect.iscoroutinefunction, handler)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pq")

    async def __call__(self, given: Item | list[Item], count: int) -> Sequence[Outcome]:
        """Return what the handler came to, for each of `count` items; what it raises is raised."""
        result = self._handler(given) if self._is_async else await self._in_thread(given)
        if inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            words = "the handler returned a generator: nothing of it has run"
            return [Outcome(verdict=Verdict.RELEASE, error=words, fatal=UsageError(words))] * count
        every = result if isinstance(given, list) and isinstance(result, list) else []
        if [type(each) for each in every] == [Outcome] * count:
            return every
        return [result if isinstance(result, Outcome) else Outcome(verdict=Verdict.DONE)] * count

    async def _in_thread(self, given: Item | list[Item]) -> object:
        call = asyncio.ensure_future(_called(self._threads, self._handler, given))
        while True:
            try:
                return await asyncio.shield(call)
            except asyncio.CancelledError:
                if call.cancelled():
                    raise

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


def asking(gate: Callable[[], Awaitable[bool] | bool]) -> Callable[[], Awaitable[bool]]:
    """Return an async function that asks a gate, in a thread if that is a plain function."""
    valid_callable("gate", gate, "a function that returns True or False")

    async def ask() -> bool:
        is_async = _is(inspect.iscoroutinefunction, gate)
        answer = gate() if is_async else await _called(None, gate)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    return ask


async def _called(
    threads: Executor | None, function: Callable[..., object], *args: object
) -> object:
    """Return what a function returns in one of the threads, or raise what it raises."""

    def caught() -> tuple[object, BaseException | None]:
        # A future cannot carry every exception: of a StopIteration it would never tell.
        try:
            return function(*args), None
        except BaseException as error:
            return None, error

    loop = asyncio.get_running_loop()
    result, error = await loop.run_in_executor(threads, copy_context().run, caught)
    if error is not None:
        raise error
    return result
