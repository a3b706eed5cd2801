"""`pq enqueue`: stdin or files become items; their ids are printed, one a line."""

from __future__ import annotations

import os
import stat
import sys
from time import monotonic

from pq_cli.commands.spools import open_spool, taken_text
from pq_cli.core.item import MAX_NAME_BYTES, State, printable
from pq_cli.errors import OutputError, PqError, UsageError
from pq_cli.opened import About, open_file, present_folder
from pq_cli.options import AT, DELAY, NewItemOptions, option
from pq_cli.queue.request import Request, checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pq_cli.commands.enqueue_records import Payload
    from pq_cli.core.item import Item
    from pq_cli.queue.request import Admitted
    from pq_cli.queue.store import Staged
    from pq_cli.queue.verbs import Queue
    from pq_cli.render.counting import Counting
    from pq_cli.screen import Screen
    from pq_cli.worker.contract import Order


_MOST = 500
"""FILEs in a commit: enough that its syncs are cheap, few enough for a short hold of the lock."""
_LONGEST = 0.05
"""Seconds after which a FILE that was read must not wait for another for its id."""
_SMALL = 1024 * 1024


class EnqueueOptions(NewItemOptions):
    """The command line of `pq enqueue`, as typed."""

    files: tuple[str, ...] = option("[FILE...]", "Default: stdin, as is -.", many=True)
    name: str | None = option("--name NAME", "A name to show; default: FILE's.")
    delay: float | None = DELAY
    at: float | None = AT
    lines: bool = option("--lines", "One item a line.")
    null: bool = option("-0, --null", "One item a NUL record.")
    jsonl: bool = option("--jsonl", "One item a JSON record.")
    move: bool = option("--move", "Remove each FILE once queued.")
    as_command: bool = option("--command", "After --: a command, for `pq run --commands`.")


def command(o: EnqueueOptions, screen: Screen) -> int:
    """Add stdin, or each FILE, to the queue; print the ids, one a line.

    An id that was printed is safe, also from a power loss. With --command -- CMD... the item is
    that command and the present folder: `pq run --commands` runs it there.
    """
    modes = o.lines + o.null + o.jsonl
    if o.as_command:
        return _command(o, modes, screen)
    if modes > 1:
        raise UsageError("--lines, -0 and --jsonl exclude each other")
    if o.move and (modes or not o.files):
        raise UsageError("--move takes whole FILEs")
    request = request_of(o)
    if not o.files:
        check_stdin()
    screen.check()
    queue = open_spool(o, screen, create=True)
    request = after_others(request, o, queue)
    work = _Enqueue(queue, request, screen)
    if not screen.shows_progress():
        return work.all_of(o)
    from pq_cli.render.counting import Counting  # start-up: scripts are not looked at

    if modes or o.files:
        work.counting = Counting(screen, "items", None if modes else len(o.files))
    else:
        work.counting = Counting(screen, "bytes", _size_of_stdin)
    with work.counting:
        return work.all_of(o)


def _command(o: EnqueueOptions, modes: int, screen: Screen) -> int:
    """Make an item of a command and the present folder, named by how it was typed."""
    if modes or o.move:
        raise UsageError("--command takes one command: neither records nor --move")
    order, name = _order_of(o.files)
    request = request_of(o)
    screen.check()
    queue = open_spool(o, screen, create=True)
    request = after_others(request.replace(name=o.name or name), o, queue)
    return _Enqueue(queue, request, screen).one(order.payload())


def _order_of(words: Sequence[str]) -> tuple[Order, str]:
    """Return the command, in the present folder, and a name that shows it. Raises UsageError."""
    import shlex
    import shutil

    from pq_cli.core.shellwords import as_command, shell_only
    from pq_cli.worker.contract import Order

    if not words or not words[0]:
        raise UsageError("give the command to queue: pq enqueue --command -- CMD...")
    line = words[0]
    is_line = len(words) == 1 and (len(line.split()) > 1 or shell_only(line) is not None)
    if is_line and shutil.which(line) is None:
        better = printable(as_command(words))
        raise UsageError(f"{printable(line)}: it is one word, and no shell reads it: `-- {better}`")
    name, shown = shlex.join(words), MAX_NAME_BYTES // 4  # a character has four at most
    if len(name) > shown:
        name = name[: shown - 3] + "..."
    return Order(argv=list(words), cwd=present_folder()), name


def _size_of_stdin() -> int | None:
    """Return the bytes of stdin, None where nobody knows."""
    info = os.fstat(0)
    return info.st_size if stat.S_ISREG(info.st_mode) else None


def request_of(o: NewItemOptions) -> Request:
    """Return what the options ask for, but for `after_others`. Raises UsageError."""
    if o.if_failed is not None and not o.after:
        raise UsageError("--if-failed is about the items of --after: give --after ITEM, too")
    return checked(o.fill(Request, after=(), if_failed=None))


def fell_text(item: Item) -> str:
    """Return what is to be said of an item that has failed with one that it comes after."""
    from pq_cli.core.insight.words import way_back  # start-up: few items wait for others

    error = item.last_error or ""
    return (
        f"item {item.id} has failed: {error};"
        f" `{way_back(error)}` tries both again, `pq retry {item.id}` only this one"
    )


def after_others(request: Request, o: NewItemOptions, queue: Queue) -> Request:
    """Return the request with the items that are to be done before, as they were typed."""
    if not o.after:
        return request
    after = [queue.reference(word) for word in o.after]
    return checked(request.replace(after=after, if_failed=o.if_failed))


def check_stdin() -> None:
    """Raise UsageError when there is nothing to read on stdin: it is closed, or a terminal."""
    if sys.stdin is None:
        raise UsageError("no FILE given, and standard input is closed")
    if os.isatty(0):
        raise UsageError("no FILE given, and standard input is a terminal; pipe something in")


def _is_small(file: str) -> bool:
    """Tell whether a FILE is read at once; one that cannot be looked at says so at once."""
    try:
        info = None if file == "-" else os.stat(file)
    except OSError:
        return True
    return info is not None and stat.S_ISREG(info.st_mode) and info.st_size <= _SMALL


class _Enqueue:
    """Enqueues one FILE after the other; one that is bad does not stop the others.

    counting: shows how far it has come, of records and FILEs the items, of stdin its bytes.
    """

    def __init__(self, queue: Queue, request: Request, screen: Screen) -> None:
        self._queue = queue
        self._screen = screen
        self.counting: Counting | None = None
        self._request = request
        self._failed = 0
        self._went_in = 0
        self._taken = self._differing = 0
        self._owner: Item | None = None
        self._status = 0

    def all_of(self, o: EnqueueOptions) -> int:
        """Make items of what a command line names; return the exit status."""
        files = o.files or ("-",)
        if o.lines or o.null or o.jsonl:
            for file in files:
                self.records(file, lines=o.lines, null=o.null)
            self.sum_up(0)
        else:
            self.whole(files, move=o.move)
            self.sum_up(len(o.files))
        return self._status

    def whole(self, files: Sequence[str], *, move: bool) -> None:
        """Make one item of each whole FILE; `-` is stdin. Small ones share a commit."""
        batch: list[tuple[str, Staged]] = []
        try:
            began = monotonic()
            for file in files:
                if len(batch) >= _MOST or monotonic() - began > _LONGEST or not _is_small(file):
                    self._commit(batch, move=move)
                if not batch:
                    began = monotonic()
                self._stage(file, batch, move=move)
                if self._request.key is not None:
                    self._commit(batch, move=move)  # the next one finds this one
            self._commit(batch, move=move)
        except BaseException:
            for _, staged in batch:
                self._queue.unstage(staged)
            raise

    def one(self, payload: bytes) -> int:
        """Make an item of a payload; return the exit status."""
        self._commit([("-", self._queue.stage(payload, self._request))], move=False)
        return self._status

    def _stage(self, file: str, batch: list[tuple[str, Staged]], *, move: bool) -> None:
        try:
            if file == "-":
                check_stdin()
                stream = sys.stdin.buffer
                if self.counting is not None:
                    stream = self.counting.watched(stream)
                staged = self._queue.stage(stream, self._request)
            else:
                name = self._request.name or os.path.basename(file)
                request = self._request.replace(name=name)
                staged = self._queue.stage_file(file, request, move=move)
            batch.append((file, staged))
        except (PqError, OSError) as error:
            self._note(error)

    def _commit(self, batch: list[tuple[str, Staged]], *, move: bool) -> None:
        """Make items of a batch and empty it; behind one that cannot be, one by one."""
        if not batch:
            return
        files = [file for file, _ in batch]
        done = len(batch)
        try:
            admitted = self._queue.commit([staged for _, staged in batch])
            batch.clear()
            done = len(admitted.items)
            self._went_in += done - len(admitted.found)
            self._print(admitted)
            for item in admitted.found:
                stays = f"{files[0]} stays" if move else "nothing was queued"
                self._say_taken(item, stays, len(admitted.differing))
        except (PqError, OSError) as error:
            self._note(error)
            self._failed += len(batch[1:])  # it was raised: none of them is in
            batch.clear()
        for file in files[done + 1 :]:
            self._stage(file, batch, move=move)
            self._commit(batch, move=move)

    def records(self, file: str, *, lines: bool, null: bool) -> None:
        """Make items of the records in a FILE; those before a bad one stay queued."""
        from pq_cli.commands.enqueue_records import json_records, split_records  # start-up

        try:
            fd = 0 if file == "-" else open_file(file)
        except (UsageError, OSError) as error:
            self._note(error)
            return
        before = self._went_in
        source = About(fd, None if file == "-" else file)
        try:
            if lines or null:
                end = b"\0" if null else b"\n"
                batches = split_records(source, end, self._request)
            else:
                batches = json_records(source, self._request)
            for batch in batches:
                self._batch(batch)
        except (PqError, OSError) as error:
            number = self._went_in - before
            queued = f"{number:,} item{' was' if number == 1 else 's were'} queued before it"
            self._note(error, "" if file == "-" else f"{file}: ", f"; {queued}")
        finally:
            if fd:
                os.close(fd)

    def sum_up(self, files: int) -> None:
        """Tell of the records whose keys were taken, and how many of several FILEs went in."""
        if self._taken == 1 and self._owner is not None:
            self._say_taken(self._owner, "nothing was queued for it", self._differing)
        elif self._taken:
            other = f", {self._differing:,} by other payloads" if self._differing else ""
            self._screen.warn(
                f"{self._taken:,} keys were taken already{other}; new items: {self._went_in:,}"
            )
        if self._failed and files > 1:
            self._screen.warn(f"{self._went_in} of {files} FILEs were queued")

    def _say_taken(self, item: Item, instead: str, differing: int) -> None:
        raised = self._request.if_exists == "raise"
        self._screen.warn(taken_text(item, instead, raised=raised, differs=bool(differing)))

    def _batch(self, records: list[Payload]) -> None:
        if records:
            admitted = self._queue.enqueue_many(records)
            found = admitted.found
            self._went_in += len(admitted.items) - len(found)
            self._taken += len(found)
            self._owner = found[0] if found else self._owner
            self._differing += len(admitted.differing)
            self._print(admitted)

    def _print(self, admitted: Admitted) -> None:
        items = admitted.items
        if items:
            # In one write: safe they are together.
            self._screen.emit("\n".join(str(item.id) for item in items), now=True)
        for item in items:
            if item.state is State.FAILED:
                self._screen.warn(fell_text(item))
        if self.counting is not None:
            self.counting.tick(len(items))
        if admitted.error is not None:
            raise admitted.error

    def _note(self, error: PqError | OSError, before: str = "", behind: str = "") -> None:
        """Report what is wrong with a FILE, and go on; without stdout there is no going on."""
        if isinstance(error, OutputError | BrokenPipeError):
            raise error
        self._failed += 1
        failed = self._screen.report(error, before, behind)
        self._status = self._status or failed
