"""Store: all that a queue asks of what it keeps its items in; the contract of a backend.

A store finds, chooses, keeps and tells. It decides nothing: what a verb means stands in
`core.transitions`, and `verbs.Queue` calls both. So a new verb is written once and works
everywhere, and a new backend is one class. The contract suite (tests/test_contract.py) and the
model (tests/test_model.py) say whether it is right.

Three rules hold for every method:

- What changes is called inside `with store.transaction():` and what only looks is not bound to it.
  Others see a transaction whole or not at all. When it has been left, what was put in it
  survives whatever the store promises to survive; claims and renewals alone may be rolled back by a
  power loss, for nothing was told that depends on them.
- An item whose bytes or record cannot be trusted is never handed out. Where one was asked for by
  name that is a DamagedItemError; where it would have been one of many it is passed over and
  reported.
- Besides the errors named below any method may raise OSError or TryAgainError: what the store lies
  on refuses for now. Then nothing has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO

    from pq_cli.core.insight.fact import Fact
    from pq_cli.core.insight.shape import Backlog
    from pq_cli.core.insight.workers import Duty, Worker
    from pq_cli.core.item import Holder, Item, State
    from pq_cli.core.policy import QueueState
    from pq_cli.queue.departures import Arrivals
    from pq_cli.queue.followers import Followers
    from pq_cli.queue.following import Tail
    from pq_cli.queue.request import Admitted, Request

    Changes = list[tuple[Item, Item | None]]
    """Items as they were seen, and what they are to become; None: nothing is left of them."""
    Foreseen = Mapping[int, tuple[Item, Item]]
    """By id: an item as it was seen, and what it is to become."""


class Staged(Protocol):
    """A payload that the store has taken in and that is no item yet; see `Store.stage`."""

    @property
    def request(self) -> Request:
        """What its item is to be."""


class Attendance(Protocol):
    """What shows others that this process lives; see `Store.attend`."""

    @property
    def name(self) -> str:
        """What claims call it by."""

    def fileno(self) -> int:
        """Return a descriptor that a child may inherit: while it has it, the claims hold."""

    def close(self) -> None:
        """End it: all claims have been settled."""


class Store(Protocol):
    """One queue's items and what belongs to them."""

    @property
    def name(self) -> str:
        """What `backends.open_queue` takes to open this queue again: PQ_SPOOL of commands."""

    @property
    def untold(self) -> dict[int, State | None]:
        """The items whose followers are to be told, as `put`, `admit` and `drop` have noted.

        Each with how it stands for them should it be gone; None: the log may know. In a
        transaction; what others left untold is in it once `overdue` was asked.
        """

    @property
    def followers(self) -> Followers:
        """Which items wait for which others. It goes with what `put`, `admit` and `drop` do."""

    @property
    def where(self) -> str:
        """What people know the queue by, for messages: never with a password in it."""

    # -- time and exclusion ----------------------------------------------------

    def transaction(self) -> AbstractContextManager[object]:
        """Keep everybody else from changing the queue, until left. Not reentrant.

        Raises LockTimeoutError.
        """

    def now(self) -> float:
        """Return the store's time, Unix seconds: that of the host, or of the server."""

    def state(self) -> QueueState:
        """Return what the queue remembers beside its items, as it stands now."""

    def set_state(self, state: QueueState) -> None:
        """Let the queue's state be this. In a transaction."""

    def policy(self) -> str:
        """See `Queue.policy_text`. Raises ConfigError for what is no text."""

    def set_policy(self, text: str) -> None:
        """Let this be the policy of whoever opens the queue from now on. In a transaction."""

    # -- who is at work -----------------------------------------------------------

    def holder(self, *, bound: bool) -> Holder:
        """Return who claims here: this process. `bound`: its death is to end the claim."""

    def attend(self) -> Attendance:
        """See `Queue.attend`. In a transaction."""

    def describe(self, duty: Duty) -> None:
        """Let others see this of the process that claims here, whenever it can be seen at all.

        Cheap, and it may be lost. Not in a transaction.
        """

    def workers(self) -> Iterable[Worker]:
        """Yield who can be seen, without what they work on: no claim is read.

        Those that have died are among them until others have taken over what they had.
        """

    # -- finding -----------------------------------------------------------------

    def find(self, item_id: int, claim: int | None = None) -> Item:
        """Return the item as it stands now; `claim` says where to look first, and no more.

        In a transaction it stands so until the end, but for what is asked for by a claim that is
        over: that is only to be told. Raises NoSuchItemError, DamagedItemError.
        """

    def owner(self, key: str) -> Item | None:
        """Return the live item that has this key, or None. In a transaction."""

    def next(self, t: float) -> Item | None:
        """Return the pending item that is to be served next at `t`, or None. In a transaction.

        Among the heads of all lanes the one with the lowest (effective priority at `t`, id); the
        head of a lane is its lowest id. Passed over is what cannot be served whole, and what has
        a limit of which as many are active as may be.
        """

    def has_slot(self, limit: str) -> bool:
        """Tell whether one more item of this limit may be active now. In a transaction.

        Until its end nobody else takes the slot.
        """

    def overdue(self, now: float) -> Iterable[tuple[Item, str]]:
        """Yield the active items whose claim is over at `now`, and why. In a transaction.

        Because its lease has ended, or because its worker is certainly dead. The caller may `put`
        each before it takes the next.
        """

    def promote(self, now: float, *, at_once: bool = False) -> Collection[str]:
        """Make pending what is delayed and due at `now`. In a transaction.

        at_once: but for what others would have to wait for; what that lacks is returned, for
        `foreseen` to make. Nothing may be claimed before that is pending, too.
        """

    def next_event(self) -> float | None:
        """See `Queue.next_event`. In a transaction."""

    def idle(self, seconds: float) -> None:
        """Let so many seconds pass, or fewer: if something has come, or it is time to look.

        Not in a transaction.
        """

    def ear(self) -> tuple[int, float] | None:
        """See `Queue.ear`. Not in a transaction."""

    def look_in(self) -> None:
        """Let in what waits at doors of the store's own (a drop box). Not in a transaction."""

    # -- keeping -----------------------------------------------------------------

    def put(self, before: Item, after: Item, *, later: bool = False) -> Item:
        """Bring an item from what `find` (or `next`) gave to what it is now; return it so.

        Keys follow: a live item has its key, and one that ends or is removed gives it up. In a
        transaction. later: as for `drop`.
        """

    def foreseen(
        self, look: Callable[[], Changes], lacking: Collection[str] = ()
    ) -> AbstractContextManager[Foreseen]:
        """Do ahead what a `put` needs and others need not wait for. Not in a transaction.

        lacking: what a `promote` needs, too.
        look: finds items, and returns each with what it is to become; these are the context's
        value, by id, and a `put` of such two, in a transaction within it, is quick; so is what
        those are told then that come after them. Left out is what was not done ahead, all if `look`
        has raised: then it is to be done, and told, in the transaction.
        """

    def awaited(self, item_id: int) -> bool:
        """Tell whether a `drop` of an item is better `foreseen`, for others come after it.

        As far as it is known without a transaction, quickly.
        """

    def expiring(self, now: float) -> Sequence[tuple[Item, str]]:
        """Return what `overdue` would yield that is better `foreseen`. In a transaction."""

    def put_many(self, changes: Sequence[tuple[Item, Item]]) -> None:
        """As `put` of each (before, after), and more cheaply. In a transaction."""

    def drop(self, item: Item, *, later: bool = False) -> None:
        """Let nothing be left of an item that `find` gave. In a transaction.

        later: that need not survive anything before `settle`.
        """

    def settle(self) -> int:
        """Let all survive that has ended `later`; return how many. Not in a transaction."""

    def removals(self) -> Iterator[tuple[float, list[int]]]:
        """See `Queue.removed`."""

    def expire(self, now: float) -> int:
        """Drop removed items that were kept until `now` at the latest, some hundreds a call.

        In a transaction. Returns how many; 0 when none is left.
        """

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        """Take in a payload in bounded memory; nobody sees it yet. `request` has been checked."""

    def stage_file(self, path: str, request: Request, *, move: bool) -> Staged:
        """Take in a regular file; with `move` it is gone once its item is in."""

    def prepare(self, batch: Sequence[Staged]) -> None:
        """Do ahead what an admission needs and others need not wait for. Not in a transaction.

        What it leaves out `admit` does; `finish` clears it away. May be called again.
        """

    def admit(self, batch: Sequence[Staged], *, at_once: bool = False) -> Admitted:
        """Make items of staged payloads, in order, at the store's time. In a transaction.

        The key rule and the room check are those of `queue.request`. Ids are counted up, and none
        is ever given twice. From what stopped it on nothing is left of the batch. A request whose
        key is taken and says `skip` gives the item that has it, as bystanders may have it, and that
        is among those `found`. One that is to come after others is as `new_item` has it by how they
        stand (`followers.ends_before`).

        at_once: the new items have their ids now; else some have 0 until the transaction is left,
        so that others, who wait for a store's next id, wait for less.
        """

    def finish(self, batch: Sequence[Staged], admitted: int) -> OSError | None:
        """Finish with a batch of which so many were admitted: remove what is left of the staged.

        Files that were to be moved go too, if they are items now; what prevents that is returned,
        not raised, for the ids must be told. Not in a transaction.
        """

    # -- to and from other queues ------------------------------------------------

    def uuid(self, *, lasting: bool = False) -> str:
        """Return what tells this queue from all others: up to 64 letters and digits.

        lasting: from now on it has this one for ever, wherever it is moved. In a transaction.
        """

    def arrivals(self) -> Arrivals:
        """Return what lets items in that have a past. Not in a transaction."""

    def taken(self, realm: str) -> Iterator[bytes]:
        """See `Queue.taken`: as a stream."""

    def reader_of(self, realm: str) -> str | None:
        """See `Queue.reader_of`."""

    # -- looking -----------------------------------------------------------------

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        """Yield the items in `states`, as a stream, in the order of `core.item.EVERY`.

        Pending ones as they would be served at `t`, those that are due at `now` among them;
        delayed ones by due time, removed ones by the time they are kept until; the others by id.
        """

    def lost(self, items: Sequence[Item]) -> list[Item]:
        """See `Queue.lost`."""

    def count(self, states: Iterable[State]) -> int:
        """See `Queue.count`."""

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        """See `Queue.suggest`: one state after the other; what is due but not promoted is delayed.

        What cannot be read is left out.
        """

    def suggest_keys(self, prefix: str) -> Sequence[str]:
        """See `Queue.suggest_keys`: sorted, none with a control character in it."""

    def limits(self) -> Iterable[str]:
        """Return the limits that pending or active items have, as quick; perhaps a few more."""

    def backlog(self, now: float) -> Backlog:
        """See `Queue.backlog`. A picture: what changes meanwhile may be in it."""

    def open_payload(self, item: Item) -> BinaryIO:
        """See `Queue.open_payload`, of an item that `find` gave."""

    def file_of(self, item: Item) -> AbstractContextManager[BinaryIO]:
        """See `Queue.file_of`. Whoever writes there may harm the payload, or nothing."""

    def read_payload(self, item: Item) -> bytes:
        """Return the whole payload, its checksum compared. Raises like `open_payload`."""

    def keep_log(self, item: Item, content: bytes) -> None:
        """Keep what the attempt under an item's present claim left, as long as the item is.

        The oldest goes when an item has more of them than `core.item.MAX_HISTORY`. It may be lost
        in a power loss. In a transaction.
        """

    def logs(self, item: Item) -> dict[int, str]:
        """See `Queue.attempt_logs`."""

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        """See `Queue.open_log`."""

    def at_path(self, path: str) -> tuple[int, int | None]:
        """Return (id, claim number or None) of the item to which this path belongs, by its name.

        Raises UsageError when it is none of this queue.
        """

    def quarantined(self) -> int:
        """See `Queue.quarantined`."""

    def dropped(self) -> int:
        """See `Queue.dropped`."""

    def facts(self) -> Iterable[Fact]:
        """See `Queue.facts`: whose it is, what kind, room, who is at it, and what is wrong."""

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what happened lately, oldest first; see `core.events`. Each has a `number`."""

    def tail(self, after: int) -> Tail:
        """Return what has the events after the one of this number, and those to come; 0: all.

        Numbers grow, and no two events of a queue have the same. Not in a transaction.
        """

    def note(self, event: dict[str, Any]) -> None:
        """Write down what happened to the queue itself. In a transaction."""

    def close(self) -> None:
        """Let go of descriptors and connections; the next use opens them again."""
