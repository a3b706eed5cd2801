"""What `pq check` can find: the table of kinds; pq-spool(5) documents them under these names."""

from __future__ import annotations

from pq_cli.core.record import Record


class Kind(Record):
    """One kind of finding.

    harmless: a crash leaves it, and what `finishes` says deals with it; else it is damage.
    finishes: what makes it go away; `--repair` does so at once.
    """

    meaning: str
    finishes: str
    harmless: bool = False


KINDS = {
    # What a crash leaves.
    "tmp": Kind(
        meaning="file in tmp/, or batch of an import, whose process is gone",
        finishes="repair removes it, or sets it aside if it is a payload",
        harmless=True,
    ),
    "orphan": Kind(
        meaning="payload without meta: an enqueue before, or a removal after its commit instant",
        finishes="repair sets it aside",
        harmless=True,
    ),
    "handover": Kind(
        meaning="imported or dropped items on their last step into the spool",
        finishes="the next claim or import, or repair, brings them in",
        harmless=True,
    ),
    "behind": Kind(
        meaning="payload in the folder of the state before: a move after its commit instant",
        finishes="the next command that moves or removes the item, or repair",
        harmless=True,
    ),
    "ahead": Kind(
        meaning="meta that tells of the state to come: a move before its commit instant",
        finishes="the next command that moves the item, or repair; the place counts",
        harmless=True,
    ),
    "key": Kind(
        meaning="key link that names no live item with this key",
        finishes="the next enqueue with this key, or repair",
        harmless=True,
    ),
    "unmarked": Kind(
        meaning="live item whose key has no link (after a power loss in fast)",
        finishes="the claim of the item, or repair",
        harmless=True,
    ),
    "superseded": Kind(
        meaning="live item whose key marks another one: a replace that was cut short",
        finishes="the claim of the item removes it; repair sets it aside",
        harmless=True,
    ),
    "empty": Kind(
        meaning="empty block or due folder",
        finishes="a claim, or repair, removes it",
        harmless=True,
    ),
    "log": Kind(
        meaning="log of an attempt at an item that is gone",
        finishes="repair removes it",
        harmless=True,
    ),
    "worker": Kind(
        meaning="lock of a worker that is gone",
        finishes="the next `pq run`, or repair, removes it",
        harmless=True,
    ),
    # Damage.
    "meta": Kind(meaning="meta that cannot be read", finishes="repair sets it aside"),
    "missing": Kind(
        meaning="meta without payload (after a power loss: an enqueue that was not acknowledged)",
        finishes="repair sets it aside",
    ),
    "torn": Kind(
        meaning="payload of another size or checksum than its meta says; never served",
        finishes="repair sets it aside, unless it is claimed",
    ),
    "twice": Kind(
        meaning="item in two places",
        finishes="repair keeps the one that changed last and sets the other aside",
    ),
    "misplaced": Kind(
        meaning="item in a folder where nobody looks for it",
        finishes="repair moves it to where it belongs",
    ),
    "foreign": Kind(
        meaning="name that does not belong there, or a link in place of a folder",
        finishes="repair sets it aside",
    ),
    "folder": Kind(meaning="missing folder", finishes="repair makes it"),
    "mode": Kind(meaning="others may read or write it", finishes="repair takes that away"),
    "owner": Kind(
        meaning="it belongs to another user than the spool does",
        finishes="repair by root gives it to the spool's owner",
    ),
    "counter": Kind(
        meaning="counter or limit below the highest id, or a damaged state.json",
        finishes="repair sets both above every id that is known",
    ),
    "config": Kind(meaning="queue.toml is wrong", finishes="somebody edits it"),
}  # fmt: skip


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
        return not (KINDS[self.kind].harmless or self.mended)
