"""Opening the spool that a command was told to use, and the ITEM arguments."""

from __future__ import annotations

import sys

from pq_cli.backends import open_folder, open_queue
from pq_cli.core.item import Item, State, printable
from pq_cli.errors import NoSuchItemError, OutputError, PqError
from pq_cli.opened import lines_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import ParamSpec

    from pq_cli import Spool
    from pq_cli.commands.fates import Fates
    from pq_cli.options import ItemsOptions, LookOptions
    from pq_cli.queue.verbs import Queue
    from pq_cli.screen import Screen

    P = ParamSpec("P")

_BRIEF = 1.0


def open_spool(
    o: LookOptions, screen: Screen, *, create: bool = False, brief: bool = False
) -> Queue:
    """Open the queue a command was told to use; damaged items are named on stderr.

    brief: for a process that waits again and again: while it waits for the lock it heeds no signal.
    """
    seconds = min(o.lock_timeout, _BRIEF) if brief else o.lock_timeout

    def opened() -> Queue:
        return open_queue(o.spool, create=create, lock_timeout=seconds, report=screen.passed_over)

    if not brief:
        return opened()
    from pq_cli.queue.outcome import patiently  # start-up: the plain forms wait by themselves

    return patiently(opened, o.lock_timeout, screen.warn)


def open_own_folder(o: LookOptions, screen: Screen, command: str, *, create: bool = False) -> Spool:
    """Open the spool for a command that is about what its folder holds, as `open_spool`."""
    seconds = o.lock_timeout
    report = screen.passed_over
    return open_folder(o.spool, command, create=create, lock_timeout=seconds, report=report)


def taken_text(item: Item, instead: str, *, raised: bool = False, differs: bool = False) -> str:
    """Return that an item has the key already, and what was not done for that reason.

    raised: the key was given with `raise`. differs: so was another payload.
    """
    at_work = item.state is State.ACTIVE
    how = "being worked on" if at_work else str(item.state)
    if raised and not at_work:
        how += f", with priority {item.priority} now"
    key = printable(item.key or "")
    behind = "; its payload differs" if differs else ""
    return f"key '{key}' is taken by item {item.id}, which is {how}: {instead}{behind}"


def act_on_items(
    o: ItemsOptions, screen: Screen, verb: Callable[[Queue], Callable[[str], Item]]
) -> int:
    """Apply a verb of the queue to every ITEM, as `for_each`; with --json print what it is then."""
    queue = open_spool(o, screen)
    return for_each(queue, o.items, screen, told(o.as_json, queue, screen, verb(queue)))


def for_each(
    queue: Queue, arguments: Sequence[str], screen: Screen, verb: Callable[[str], object]
) -> int:
    """Apply a verb to every ITEM; one that fails is reported and does not stop the others.

    Returns the status of the first failure, or 0.
    """
    if len(arguments) == 1 and "-" not in arguments:
        return _for_each(queue, arguments, screen, verb)
    from pq_cli.render.counting import counted  # start-up: of one there is nothing to count

    total = None if "-" in arguments else len(arguments)
    words = counted(each_argument(arguments), screen, "items", total)
    return _for_each(queue, words, screen, verb)


def _for_each(
    queue: Queue, words: Iterable[str], screen: Screen, verb: Callable[[str], object]
) -> int:
    fates: Fates | None = None
    status = 0
    for word in words:
        try:
            named = queue.reference(word) if "/" in word else word  # the verb reads all else
            verb(named)
        except (OutputError, BrokenPipeError):
            raise
        except NoSuchItemError as error:
            from pq_cli.commands.fates import fates_of, missing_text  # most miss nothing

            fates = fates_of(queue) if fates is None else fates
            screen.warn(missing_text(error, named, fates, queue.now()))
            status = status or error.exit_code
        except (PqError, OSError) as error:
            failed = screen.report(error)
            status = status or failed
    return status


def told(
    as_json: bool, queue: Queue, screen: Screen, verb: Callable[P, Item]
) -> Callable[P, object]:
    """Return a verb that also prints what the item is then, where --json asks for that."""
    if not as_json:
        return verb
    from pq_cli.render.present import item_json

    screen.check()  # what nobody can be told of is not done
    t = queue.order_time()

    def telling(*given: P.args, **named: P.kwargs) -> None:
        item = verb(*given, **named)
        if item.state is State.DONE and not queue.config.keep_done:
            item = item.replace(path=None)  # nothing is left of it
        screen.emit_json(item_json(item, queue.config, t))

    return telling


def each_argument(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the ITEM arguments, with `-` replaced by the words on stdin; closed, it has none."""
    for argument in arguments:
        if argument != "-":
            yield argument
        elif sys.stdin is not None:
            for raw in lines_of(sys.stdin.buffer):
                yield from raw.decode("utf-8", "surrogateescape").split()
