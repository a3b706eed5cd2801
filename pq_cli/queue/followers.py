"""Followers: items that wait until others are done, and are told how those ended.

A store keeps an index of who waits for whom (`Followers`), and notes whose followers are to be
told: in memory, or where no crash can lose it, before the end that they wait for counts. What is
told to each says `core.transitions.told`. It goes by how all that it waits for stand, so it may be
told twice; who finds somebody that was not told, tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pq_cli.core import transitions
from pq_cli.core.item import State
from pq_cli.errors import DamagedItemError, KeyTakenError, NoSuchItemError
from pq_cli.queue.request import check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pq_cli.core.item import Item
    from pq_cli.queue.store import Store


class Followers(Protocol):
    """The index of a store: which items wait for which; see `transitions.ties`."""

    def of(self, item_id: int) -> Sequence[int]:
        """Return the ids of the items that wait for this one, or failed with it, ascending."""

    def told(self, item_id: int) -> None:
        """Take note that the followers of this item know. In a transaction."""

    def stand(self, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
        """Return how those of the items stand that are there, or whose end is still untold.

        fixed: they are to be told of, and stand so until the end of the transaction.
        """

    def refused(self, error: OSError) -> None:
        """Leave the rest to whoever comes next, if it is sure to be found; else raise the error."""


def standings(store: Store, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
    """Return how items stand for those that come after them, by id; unknown ones are missing.

    What is gone is known by the log. fixed: as for `Followers.stand`.
    """
    known = store.followers.stand(ids, fixed=fixed)
    missing = set(ids).difference(known)
    if missing:
        from pq_cli.queue.ends import told_ends  # start-up: nearly never needed

        known |= {i: end.how for i, end in told_ends(store, missing).items()}
    return known


def ends_before(store: Store, after: Iterable[int]) -> dict[int, State]:
    """Return how the items stand that new ones are to come after, and see that these are told.

    In a transaction. Raises NoSuchItemError for what neither the queue nor its log knows.
    """
    ids = sorted(set(after))
    known = standings(store, ids, fixed=True)
    for item_id in ids:
        if item_id not in known:
            raise NoSuchItemError(f"there is no item {item_id} to come after")
    return known


def up_to_date(store: Store, item: Item, now: float) -> Item:
    """Return an item that is put back among those that follow others as it is to be now."""
    if not transitions.ties(item):
        return item
    return transitions.told(item, standings(store, item.after), now)


def tell(store: Store, put: Callable[[Item, Item], Item]) -> None:
    """Tell all followers that are to be told; put: keeps what became of one. In a transaction.

    Those that fail so have followers, too, which are told in turn.
    """
    followers = store.followers
    try:
        while store.untold:
            item_id = next(iter(store.untold))
            for follower in followers.of(item_id):
                _tell_one(store, follower, put)
            followers.told(item_id)
    except OSError as error:
        followers.refused(error)


def _tell_one(store: Store, item_id: int, put: Callable[[Item, Item], Item]) -> None:
    try:
        item = store.find(item_id, 0)  # a claim: its place in the order is nobody's business here
        known = standings(store, item.after)
    except (NoSuchItemError, DamagedItemError):
        return  # its enqueue was cut short, or `check` says what is wrong
    while (after := transitions.told(item, known, store.now())) is not item:
        try:
            check_key(after, store.owner)
        except KeyTakenError:
            return  # it stays failed: somebody else has its key by now
        item = put(item, after)
