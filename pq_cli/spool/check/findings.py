"""What `pq check` can find: the table of kinds; pq-spool(5) documents them under these names."""

from __future__ import annotations

from pq_cli.core.record import Record

# For each kind what it is, and what makes it go away: `--repair` does so at once.
LEFT_BY_A_CRASH = {
    # file in tmp/, or batch of an import, whose process is gone
    "tmp": "repair removes it, or sets it aside if it is a payload",
    # payload without meta: an enqueue before, or a removal after its commit instant
    "orphan": "repair sets it aside",
    # payload of an item that has ended: done before its sync
    "ended": "the next `pq run`, or repair, removes it",
    # imported or dropped items on their last step into the spool
    "handover": "the next claim or import, or repair, brings them in",
    # payload in the folder of the state before: a move after its commit instant
    "behind": "the next command that moves or removes the item, or repair",
    # meta that tells of the state to come: a move before its commit instant
    "ahead": "the next command that moves the item, or repair; the place counts",
    # key link that names no live item with this key
    "key": "the next enqueue with this key, or repair",
    # live item whose key has no link (after a power loss)
    "unmarked": "the claim of the item, or repair",
    # live item whose key marks another one: a replace that was cut short
    "superseded": "the claim of the other one removes it; repair sets it aside",
    # link to an item that does not wait for the one with which it lies
    "follower": "the end of the item that it lies with, or repair, removes it",
    # mark of an item whose followers were not told
    "untold": "the next claim, or repair, tells them",
    # item that waits for one with which no link to it lies (after a power loss)
    "unlinked": "the first change after the machine was started, or repair",
    # empty block or due folder
    "empty": "a claim, or repair, removes it",
    # log of an attempt at an item that is gone
    "log": "repair removes it",
    # lock of a worker that is gone
    "worker": "the next claim, or repair, removes it",
}
"""Harmless: what is said here deals with it."""
DAMAGE = {
    # meta that cannot be read
    "meta": "repair sets it aside",
    # meta without payload (after a power loss: an enqueue that was not acknowledged)
    "missing": "repair sets it aside",
    # payload of another size or checksum than its meta says; never served
    "torn": "repair sets it aside, unless it is claimed",
    # item in two places
    "twice": "repair keeps the one that changed last and sets the other aside",
    # item in a folder where nobody looks for it
    "misplaced": "repair moves it to where it belongs",
    # name that does not belong there, or a link in place of a folder
    "foreign": "repair sets it aside",
    # missing folder
    "folder": "repair makes it",
    # others may read or write it
    "mode": "repair takes that away",
    # it belongs to another user than the spool does
    "owner": "repair by root gives it to the spool's owner",
    # counter or limit below the highest id, or a damaged state.json
    "counter": "repair sets both above every id that is known",
    # queue.toml is wrong
    "config": "somebody edits it",
}
KINDS = LEFT_BY_A_CRASH | DAMAGE


class Finding(Record):
    """One thing that is not as it should be.

    path: relative to the spool. id: the item's, if it is about one. mended: repair dealt with it.
    aside: the names in quarantine of what repair moved there.
    """

    kind: str
    path: str
    detail: str
    id: int | None = None
    mended: bool = False
    aside: tuple[str, ...] = ()

    @property
    def damage(self) -> bool:
        """Tell whether this is damage that is still there."""
        return self.kind in DAMAGE and not self.mended
