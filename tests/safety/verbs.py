"""Every change that pq can make to a spool: the table that all sweeps go through.

The first word of a verb's name is the command that makes this change; a test holds the table to
the commands there are. A verb works in a *world*: a folder with the spool and what lies outside it.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from unittest.mock import patch

from pq_cli.core.item import Item, State
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import NoSuchItemError, StaleClaimError
from pq_cli.migrate.importing import Fate, Import, reader_for, realm_of
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.removal import Removal
from pq_cli.queue.request import Request
from pq_cli.spool import replacing
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk import state as ids
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.doors.staging import SpoolAdmits
from pq_cli.spool.spool import Spool
from pq_cli.transfer.jsonl import JsonWriter, read_lines
from pq_cli.transfer.receiving import Receiving
from pq_cli.transfer.scratch import Taken
from pq_cli.transfer.sending import Sending
from pq_cli.transfer.stream import header_values, item_values

NOW = 1_800_000_000.0
MTIME = 1_700_000_000
"""When every file outside was written: an import knows a file again by its time."""
BIG = 100_000


@dataclass
class Verb:
    """One change: `prepare` makes the spool it starts from, `act` does it.

    `act` returns the ids that a user is then told. may_go: ids that may be gone (or come back)
    when it is cut short. rivals: ids of which one takes the place of the other. lay_out: puts what
    the verb works on into a world. source: payloads that come from there; each must always be
    there or in the spool, and be served exactly once when the verb was done again (`again`, where
    users are told to do so) or to its end. takes: then none is left outside. unsynced: whoever
    put them there has not synced them. served: ids that wait, and are served in the end. spent: ids
    of claimed items that nobody is served again, for it was their last attempt.
    """

    act: Callable[[Spool], list[int]]
    prepare: Callable[[Spool], object] = lambda spool: None
    may_go: set[int] = field(default_factory=set)
    rivals: set[int] = field(default_factory=set)
    config: QueueConfig = field(default_factory=QueueConfig)
    fresh: bool = False
    lay_out: Callable[[Path], object] = lambda world: None
    source: frozenset[bytes] = frozenset()
    again: bool = False
    takes: bool = False
    unsynced: bool = False
    served: frozenset[int] = frozenset()
    spent: frozenset[int] = frozenset()


def body(item_id: int) -> bytes:
    """Return the payload of the item with this id, as every verb here enqueues it."""
    return b"payload of %d\n" % item_id * (1 + item_id % 3)


# -- the spools that verbs start from ---------------------------------------------


def fill(spool: Spool) -> None:
    """Enqueue items 1 to 4: two priorities, one held, one failed before."""
    for item_id, priority in ((1, 5), (2, 5), (3, 2), (4, 5)):
        spool.enqueue(body(item_id), priority=priority)
    spool.hold(4)


def _few_ids() -> AbstractContextManager[object]:
    """Let ids be reserved by fours."""
    return patch.object(ids, "RESERVE_STEP", 4)


def _short_of_ids(spool: Spool) -> None:
    """Enqueue items 1 to 6 of 8 reserved ids: whoever comes next reserves more."""
    with _few_ids():
        fill(spool)
        _new(spool, 5)
        _new(spool, 6)


def _claimed(spool: Spool) -> None:
    fill(spool)
    item = spool.claim(lease=60)
    assert item is not None and item.id == 3


def _awaited(spool: Spool) -> None:
    """Item 5 comes after 3, which is claimed, and 6 after 5 and 1."""
    _claimed(spool)
    spool.enqueue(body(5), after=[3])
    spool.enqueue(body(6), after=[5, 1])


def _last_attempt(spool: Spool) -> None:
    """As `_awaited`, and when its claim is over, item 3 has no attempt left."""
    _awaited(spool)
    spool.change(3, max_attempts=1)


def _fallen(spool: Spool) -> None:
    _awaited(spool)
    spool.fail(3, "no", dead=True)


def _logged(spool: Spool) -> None:
    _claimed(spool)
    spool.keep_log(spool.get(3), 1, b"what it wrote\n")


def _failed(spool: Spool) -> None:
    _claimed(spool)
    spool.fail(3, "no", dead=True)


def _delayed(spool: Spool) -> None:
    fill(spool)
    spool.enqueue(body(5), delay=5)
    spool.enqueue(body(6), delay=5000)


def _delayed_apart(spool: Spool) -> None:
    """Items 5 and 6 come due where no folder is, one to a lane with a limit; 7 soon after."""
    fill(spool)
    spool.enqueue(body(5), priority=7, delay=100)
    spool.enqueue(body(6), priority=1, delay=6, limit="api")
    spool.enqueue(body(7), delay=100.9)


def _removed(spool: Spool) -> None:
    fill(spool)
    spool.remove(1)


def _removed_long_ago(spool: Spool) -> None:
    fill(spool)
    spool.remove(2, kept_until=NOW - 86400)


def _keyed(spool: Spool) -> None:
    fill(spool)
    spool.enqueue(body(5), key="k")


def _keyed_awaited(spool: Spool) -> None:
    _keyed(spool)
    spool.enqueue(body(6), after=[5])


def _keyed_first(spool: Spool) -> None:
    """Whoever claims comes by item 5."""
    fill(spool)
    spool.enqueue(body(5), key="k", priority=1)


def _replaced_halfway(spool: Spool) -> None:
    """Item 6 has come in the place of 5, and its process died before it ended that."""
    _keyed(spool)
    with patch.object(replacing, "end_replaced"):
        _new(spool, 6, key="k", if_exists="replace", priority=1)


def _keyed_claimed(spool: Spool) -> None:
    _keyed(spool)
    # Not bound: of the worker's lock the copies of a spool have one that nobody holds.
    while spool.claim(lease=60, bound=False).id != 5:
        pass


def _of_limit(spool: Spool) -> None:
    fill(spool)
    for item_id in (5, 6):
        spool.enqueue(body(item_id), priority=1, limit="api")


def _of_limit_claimed(spool: Spool) -> None:
    _of_limit(spool)
    assert spool.claim(lease=60, bound=False).id == 5


def _sent(spool: Spool) -> None:
    _failed(spool)
    _export(spool, taken=None)


# -- what lies outside -----------------------------------------------------------


def outside(spool: Spool) -> Path:
    """Return the folder of what lies outside the spool."""
    return Path(spool.path).parent / "outside"


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (MTIME, MTIME))


def _one_file(world: Path) -> None:
    _put(world / "outside" / "file", body(5))


def _big_file(world: Path) -> None:
    _put(world / "outside" / "file", body(5) * BIG)


def _old_queue(world: Path) -> None:
    for item_id in (5, 6, 7):
        _put(world / "outside" / "queue" / f"report{item_id}.xml", body(item_id))
    _put(world / "outside" / "queue" / "report6.xml.meta.json", b'{"priority": 1}')


def _dropped(world: Path) -> None:
    _put(world / "spool" / "new" / "1.report.xml", body(5))
    _put(world / "spool" / "new" / "job.meta.json", b'{"priority": 4, "key": "j"}')
    _put(world / "spool" / "new" / "job", body(6))


def _dropped_with_two_names(world: Path) -> None:
    _one_file(world)
    os.link(world / "outside" / "file", world / "spool" / "new" / "1.report.xml")


# -- verbs of more than one call ---------------------------------------------------


def _late(spool: Spool) -> Spool:
    """Return the same spool as somebody sees it who comes a minute and more later."""
    return Spool(spool.path, config=spool.config, clock=lambda: NOW + 100)


def _new(spool: Spool, item_id: int, **options: object) -> list[int]:
    return [spool.enqueue(body(item_id), **options).id]


def _reserving(spool: Spool) -> list[int]:
    """Enqueue three with fewer ids than that left, and few enough to be synced one by one.

    In another lane than those who come next: they find no id taken by what lies there.
    """
    with _few_ids():
        admitted = spool.enqueue_many([(body(i), Request(priority=2)) for i in (7, 8, 9)])
    if admitted.error is not None:
        raise admitted.error
    return [item.id for item in admitted.items]


def _while_another_reserves(spool: Spool) -> list[int]:
    """Three others take ids at the instant when more of them are reserved, not yet durably.

    They had prepared before that: what they lack, they are to reserve themselves.
    """
    other, told = Spool(spool.path, config=spool.config, clock=lambda: NOW + 10), []
    sync_dir = Disk.sync_dir

    def others_first(disk: Disk, path: str) -> None:
        if not path and not told:
            told.append(0)
            with patch.object(SpoolAdmits, "prepare", lambda *_: None):
                told.extend(other.enqueue(body(i), priority=2).id for i in (7, 8, 9))
        sync_dir(disk, path)

    with other, _few_ids(), patch.object(Disk, "sync_dir", others_first):
        told.append(spool.enqueue(body(5)).id)
    return told[1:]


def _many(spool: Spool, **options: object) -> list[int]:
    """Enqueue so many that one sync of the file system does for them all."""
    admitted = spool.enqueue_many([(body(i), Request(**options)) for i in range(5, 11)])
    items, error = admitted.items, admitted.error
    if error is not None:
        raise error
    return [item.id for item in items]


def _file(spool: Spool, *, move: bool) -> list[int]:
    staged = spool.stage_file(str(outside(spool) / "file"), Request(), move=move)
    admitted = spool.commit([staged])
    items, error = admitted.items, admitted.error
    if error is not None:
        raise error
    return [item.id for item in items]


def _claim(spool: Spool) -> list[int]:
    item = spool.claim(lease=60)
    assert item is not None
    return [item.id]


def _claim_due(spool: Spool) -> list[int]:
    """Claim, and then have synced what the folder is without that has come due in this second."""
    late = _late(spool)
    return [*_claim(late), *_new(late, 8, delay=0.5)]


def _done_later(spool: Spool) -> list[int]:
    """What `pq run` does at the end of two items whose commands went well."""
    spool.attend().close()  # clears what one that died has left
    for item_id in (3, 5):
        try:
            spool.done(item_id, later=True)
        except (NoSuchItemError, StaleClaimError):
            continue
    spool.settle()
    return []


def _run(spool: Spool) -> list[int]:
    """What `pq run --log` does for an item whose command fails."""
    attendance = spool.attend()
    try:
        item = spool.claim(lease=60)
        assert item is not None
        spool.keep_log(item, 1, b"what it wrote\n")
        spool.fail(item, "no")
    finally:
        attendance.close()
    return []


def _submit(spool: Spool, *, works: bool) -> list[int]:
    item = spool.commit_claimed(spool.stage(body(5), Request()), lease=60)
    if works:
        spool.done(item)
        return []
    return [spool.release(item).id]


def _migrate(spool: Spool, *, move: bool) -> list[int]:
    root = outside(spool) / "queue"
    reader = reader_for(root, None, spool)
    with (
        Ordered(reader.read(root, UTC)) as ordered,
        spool.arrivals() as arrivals,
        Taken(spool, realm_of(root)) as taken,
        Removal(root, ordered) as removal,
    ):
        work = Import(root, reader.name, arrivals, taken, removal if move else None, 3, NOW)
        events = work.run(ordered, include_done=False)
        return [event.item.id for event in events if isinstance(event, Fate) and event.item]


def _stream() -> bytes:
    """Return what another spool sends: three items, one of them failed, one with a key."""
    out = io.BytesIO()
    writer = JsonWriter(out)
    writer.header(header_values("ab" * 16, "elsewhere", "2027-01-01T00:00:00Z"))
    for item_id, state in ((5, State.PENDING), (6, State.FAILED), (7, State.PENDING)):
        item = Item(
            id=item_id, priority=1, state=state, created_at=NOW, updated_at=NOW, max_attempts=3,
            size=len(body(item_id)), key="other" if item_id == 7 else None,
        )  # fmt: skip
        writer.item(item_values(item), io.BytesIO(body(item_id)), item.size)
    writer.end(3)
    return out.getvalue()


def _import(spool: Spool) -> list[int]:
    with spool.arrivals() as arrivals:
        receiving = Receiving(spool, arrivals, _refuse)
        received = list(receiving.run(read_lines(io.BytesIO(_stream()))))
    return [item.id for item in received if item is not None]


def _refuse(error: Exception) -> None:
    raise error


def _export(spool: Spool, *, taken: bool | None) -> list[int]:
    """Export; then its command has taken all, or failed, or (None) a crash came first."""
    states = [State.PENDING, State.FAILED]
    sending = Sending(spool, states, spool.departures(), _refuse)
    for _ in sending.send(JsonWriter(io.BytesIO()), spool.uuid(), "here", "2027"):
        pass
    if taken:
        sending.settle()
    elif taken is not None:
        sending.stay()
    return []


def _litter(spool: Spool) -> None:
    """Leave one leftover of each kind that a crash may leave."""
    root = Path(spool.path)
    (root / "tmp" / "meta-999999999-00").write_bytes(b"x")
    (root / "tmp" / "in-999999999-00").write_bytes(b"x")
    (root / "pending" / "05" / "0000000" / "0000000900").write_bytes(b"x")
    (root / "held" / "0000000" / "0000000001").write_bytes(body(1))
    (root / "pending" / "05" / "0000000" / "0000000001").unlink()
    (root / "keys" / "gone").symlink_to("77")
    (root / "delayed" / "0000001" / "001").mkdir(parents=True)
    meta = root / "pending" / "02" / "0000000" / "0000000003.meta.json"
    meta.write_bytes(meta.read_bytes().replace(b'"pending"', b'"held"'))
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o077)


def _set_aside(spool: Spool) -> None:
    """Let a repair set item 1 aside: its meta tells of another size."""
    fill(spool)
    meta = Path(spool.path, "pending", "05", "0000000", "0000000001.meta.json")
    size = b'"size":%d,' % len(body(1))
    assert size in meta.read_bytes()
    meta.write_bytes(meta.read_bytes().replace(size, b'"size":3,'))
    repair(spool.path)


def _bring_back(spool: Spool) -> list[int]:
    back = []
    for aside in spool.quarantine().asides():
        try:
            back.append(spool.quarantine().restore(aside.name).id)
        except NoSuchItemError:
            continue  # it had come back before it died
    return back


def repair(root: str) -> list[object]:
    """Run `pq check --repair`, taking every file in `tmp/` for stale; return what it found."""
    return list(Check(root, 5.0, stale_after=-1e9).run(repair=True))


def findings(root: str) -> list[object]:
    """Run `pq check`."""
    return list(Check(root, 5.0, stale_after=-1e9, patience=0.0).run(repair=False))


def _told(item: object) -> list[int]:
    return []


FAST = QueueConfig(durability="fast")
LIMITED = QueueConfig(max_items=100)
KEPT = QueueConfig(keep_done=1000.0)
ENQUEUED = {"lay_out": _one_file, "source": frozenset([body(5)])}
MIGRATED = {"lay_out": _old_queue, "source": frozenset(map(body, (5, 6, 7))), "again": True}
VERBS = {
    "enqueue first": Verb(lambda s: _new(s, 1), fresh=True),
    "enqueue first lane": Verb(lambda s: _new(s, 1, priority=9), fresh=True),
    "enqueue": Verb(lambda s: _new(s, 5), fill),
    "enqueue lane": Verb(lambda s: _new(s, 5, priority=9), fill),
    "enqueue with limit": Verb(lambda s: _new(s, 5, limit="api"), fill),
    "enqueue delayed": Verb(lambda s: _new(s, 5, delay=50), fill),
    "enqueue limited": Verb(lambda s: _new(s, 5), fill, config=LIMITED),
    "enqueue keyed": Verb(lambda s: _new(s, 5, key="k"), fill),
    "enqueue skip": Verb(lambda s: _new(s, 5, key="k"), _keyed),
    "enqueue replace": Verb(
        lambda s: _new(s, 6, key="k", if_exists="replace", priority=1), _keyed, may_go={5},
        rivals={5, 6},
    ),
    "enqueue replace first": Verb(
        lambda s: _new(s, 6, key="k", if_exists="replace"), _keyed_first, may_go={5},
        rivals={5, 6},
    ),
    "enqueue replace awaited": Verb(
        lambda s: _new(s, 7, key="k", if_exists="replace"), _keyed_awaited, may_go={5},
        rivals={5, 7},
    ),
    "enqueue replace twice": Verb(
        lambda s: _new(s, 7, key="k", if_exists="replace"), _replaced_halfway, may_go={5, 6},
        rivals={5, 6, 7},
    ),
    "enqueue raise": Verb(
        lambda s: _new(s, 5, key="k", if_exists="raise", priority=1), _keyed
    ),
    "enqueue many": Verb(_many, fill),
    "enqueue many lane": Verb(lambda s: _many(s, priority=9), fill),
    "enqueue reserving": Verb(_reserving, _short_of_ids),
    "enqueue while another reserves": Verb(_while_another_reserves, _short_of_ids),
    "enqueue --after": Verb(lambda s: _new(s, 5, after=[1]), fill),
    "retry waiting": Verb(lambda s: _told(s.retry(6)), _awaited, served=frozenset({6})),
    "enqueue --after failed": Verb(lambda s: _new(s, 5, after=[3]), _failed),
    "enqueue file": Verb(lambda s: _file(s, move=False), fill, lay_out=_one_file),
    "enqueue big file": Verb(lambda s: _file(s, move=False), fill, lay_out=_big_file),
    "enqueue --move": Verb(lambda s: _file(s, move=True), fill, takes=True, **ENQUEUED),
    "next": Verb(_claim, fill),
    "next fast": Verb(_claim, fill, config=FAST),
    "next due": Verb(lambda s: _claim(_late(s)), _delayed),
    "next due lane": Verb(_claim_due, _delayed_apart),
    "next lost": Verb(lambda s: _claim(_late(s)), _claimed),
    "next dropped": Verb(
        _claim, fill, lay_out=_dropped, source=frozenset(map(body, (5, 6))), takes=True,
        unsynced=True,
    ),
    "next dropped with two names": Verb(
        _claim, fill, lay_out=_dropped_with_two_names, source=frozenset([body(5)]), unsynced=True
    ),
    "next replaced": Verb(_claim, _replaced_halfway, may_go={5}, rivals={5, 6}),
    "next lost awaited": Verb(
        lambda s: _claim(_late(s)), _last_attempt, spent=frozenset({3})
    ),
    "next with limit": Verb(_claim, _of_limit),
    "next behind limit": Verb(_claim, _of_limit_claimed),
    "run": Verb(_run, fill),
    "run deferred": Verb(lambda s: _told(s.defer(3, "later")), _claimed),
    "submit": Verb(lambda s: _submit(s, works=False), fill),
    "submit done": Verb(lambda s: _submit(s, works=True), fill, may_go={5}),
    "done": Verb(lambda s: _told(s.done(3)), _logged, may_go={3}),
    "done keyed": Verb(lambda s: _told(s.done(5)), _keyed_claimed, may_go={5}),
    "done later": Verb(_done_later, _keyed_claimed, may_go={3, 5}),
    "done next": Verb(lambda s: _told(s.done(s.claim(lease=60))), _claimed, may_go={1, 3}),
    "done limited": Verb(lambda s: _told(s.done(3)), _claimed, may_go={3}, config=LIMITED),
    "done kept": Verb(lambda s: _told(s.done(3)), _claimed, config=KEPT),
    "done kept later": Verb(_done_later, _keyed_claimed, config=KEPT),
    "done with limit": Verb(lambda s: _told(s.done(5)), _of_limit_claimed, may_go={5}),
    "fail with limit": Verb(lambda s: _told(s.fail(5, "no")), _of_limit_claimed),
    "fail": Verb(lambda s: _told(s.fail(3, "no")), _claimed),
    "fail --dead": Verb(lambda s: _told(s.fail(3, "no", dead=True)), _claimed),
    "done awaited": Verb(lambda s: _told(s.done(3)), _awaited, may_go={3}),
    "done awaited later": Verb(_done_later, _awaited, may_go={3}),
    "done awaited kept": Verb(lambda s: _told(s.done(3)), _awaited, config=KEPT),
    "fail --dead awaited": Verb(lambda s: _told(s.fail(3, "no", dead=True)), _awaited),
    "fail --dead keyed": Verb(lambda s: _told(s.fail(5, "no", dead=True)), _keyed_claimed),
    "release": Verb(lambda s: _told(s.release(3)), _claimed),
    "renew": Verb(lambda s: _told(s.renew(3, 90)), _claimed),
    "renew fast": Verb(lambda s: _told(s.renew(3, 90)), _claimed, config=FAST),
    "retry": Verb(lambda s: _told(s.retry(3)), _failed),
    "retry awaited": Verb(lambda s: _told(s.retry(3)), _fallen),
    "retry raised": Verb(lambda s: _told(s.retry(3, 1)), _failed),
    "cancel": Verb(lambda s: _told(s.cancel(1)), fill),
    "cancel replaced": Verb(
        lambda s: _told(s.cancel(6)), _replaced_halfway, may_go={5}, rivals={5, 6}
    ),
    "cancel claimed": Verb(lambda s: _told(s.cancel(3)), _claimed),
    "cancel --hold": Verb(lambda s: _told(s.cancel(3, hold=True)), _claimed),
    "cancel --remove": Verb(lambda s: _told(s.cancel(3, remove=True)), _claimed, may_go={3}),
    "hold": Verb(lambda s: _told(s.hold(1)), fill),
    "hold delayed": Verb(lambda s: _told(s.hold(6)), _delayed),
    "set priority": Verb(lambda s: _told(s.change(1, priority=1)), fill),
    "set limit": Verb(lambda s: _told(s.change(1, limit="api")), fill),
    "set limit none": Verb(lambda s: _told(s.change(5, limit="none")), _of_limit),
    "set delay": Verb(lambda s: _told(s.change(1, delay=50)), fill),
    "set later": Verb(lambda s: _told(s.change(6, delay=9000, priority=7)), _delayed),
    "rm": Verb(lambda s: _told(s.remove(1)), fill, may_go={1}),
    "rm awaited": Verb(lambda s: _told(s.remove(1)), _awaited, may_go={1}),
    "rm limited": Verb(lambda s: _told(s.remove(1)), fill, may_go={1}, config=LIMITED),
    "rm keyed": Verb(lambda s: _told(s.remove(5)), _keyed, may_go={5}),
    "rm and sweep": Verb(lambda s: _told(s.remove(1)), _removed_long_ago, may_go={1}),
    "purge": Verb(
        lambda s: _told(s.remove(3, state=State.FAILED, kept_until=s.removal())),
        _failed,
        may_go={3},
    ),
    "purge --state removed": Verb(lambda s: _told(sum(s.expire())), _removed, may_go={1}),
    "undo": Verb(lambda s: _told(s.restore(1)), _removed, may_go={1}),
    "undo limited": Verb(lambda s: _told(s.restore(1)), _removed, may_go={1}, config=LIMITED),
    "pause": Verb(lambda s: _told(s.pause("lunch")), fill),
    "config": Verb(lambda s: _told(s.change_policy({"lease": "10m"})), fill),
    "resume": Verb(lambda s: _told(s.resume()), lambda s: (fill(s), s.pause())),
    "age": Verb(lambda s: _told(s.age(NOW)), fill, config=QueueConfig(aging_clock="manual")),
    "init": Verb(lambda s: _told(s.write_config("# nothing\n")), fill),
    "init --drop-mode": Verb(lambda s: _told(s.open_drop_box(0o1730)), fill),
    "migrate": Verb(lambda s: _migrate(s, move=False), fill, **MIGRATED),
    "migrate --move": Verb(lambda s: _migrate(s, move=True), fill, takes=True, **MIGRATED),
    "import": Verb(_import, fill, source=frozenset([body(5), body(7)]), again=True),
    "export --move": Verb(lambda s: _export(s, taken=True), _failed, may_go={1, 2, 3}),
    "export --move fails": Verb(lambda s: _export(s, taken=False), _sent),
    "check --restore": Verb(
        _bring_back, _set_aside, may_go={1}, source=frozenset([body(1)]), again=True
    ),
    "check --repair": Verb(lambda s: _told(repair(s.path)), lambda s: (fill(s), _litter(s))),
}  # fmt: skip


def prepare(name: str, world: Path, config: QueueConfig | None = None) -> None:
    """Make the world that a verb starts from, but for what is laid out in it."""
    verb = VERBS[name]
    world.mkdir(parents=True, exist_ok=True)
    if not verb.fresh:
        with Spool(world / "spool", config=config or verb.config, clock=lambda: NOW) as spool:
            verb.prepare(spool)


def copy(name: str, template: Path, world: Path) -> None:
    """Make `world` a copy of `template`, with what the verb works on."""
    shutil.rmtree(world, ignore_errors=True)
    shutil.copytree(template, world, symlinks=True)
    VERBS[name].lay_out(world)


def act(name: str, world: Path, config: QueueConfig | None = None) -> list[int]:
    """Do a verb in this process; return the ids that it tells."""
    verb = VERBS[name]
    with Spool(world / "spool", config=config or verb.config, clock=lambda: NOW + 10) as spool:
        return verb.act(spool)


def left_outside(world: Path) -> set[bytes]:
    """Return what the files outside the items hold: out of the spool, and in its drop box."""
    folders = (world / "outside", world / "spool" / "new")
    return {p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


def somewhere(world: Path) -> set[bytes]:
    """Return what the files of a world hold, be it in the spool or outside."""
    return {p.read_bytes() for p in world.rglob("*") if p.is_file() and not p.is_symlink()}
