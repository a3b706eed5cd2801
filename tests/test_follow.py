"""Following the log: nothing missed, nothing twice; in memory, on disk and in a database."""

from __future__ import annotations

import itertools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading

import pytest
from database import need_postgres, server
from queues import BACKENDS, Clock, make_queue
from support import HANG, Pq, readable

from pq_cli import EventsGoneError, PostgresQueue, Spool, TryAgainError, UsageError, host
from pq_cli.spool.disk import layout, logs


@pytest.fixture(params=BACKENDS)
def queue(request, tmp_path):
    """A queue of each kind."""
    return make_queue(request.param, tmp_path, Clock())


@pytest.fixture
def spool(tmp_path):
    """A spool."""
    return make_queue("spool-fast", tmp_path, Clock())


def told(records):
    return [(record["event"], record.get("id")) for record in records]


def take(events, count):
    """Return what so many events are of an endless stream, which has them already."""
    return told(itertools.islice(events, count))


def test_each_event_has_a_number_after_which_one_goes_on(queue):
    """Numbers grow; `log(N)` is what came after N, exactly, and 0 is before the first."""
    for _ in range(3):
        queue.enqueue(b"x")
    queue.done(queue.claim())
    records = list(queue.log())
    numbers = [record["number"] for record in records]
    assert numbers == sorted(set(numbers)) and numbers[0] > 0
    assert list(queue.log(0)) == records
    for place, number in enumerate(numbers, 1):
        assert list(queue.log(number)) == records[place:]


def test_a_follower_is_told_what_was_and_what_comes(queue):
    """Each once, in order, without end; `idle` is called when all was told."""
    queue.enqueue(b"x")
    idle = threading.Event()
    seen = []

    def listen():
        for record in queue.follow(idle=lambda: seen.append("idle") or idle.set()):
            seen.append(record["event"])
            if record["event"] == "resumed":
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert idle.wait(HANG)
    queue.done(queue.claim())
    queue.pause()
    queue.resume()
    thread.join(HANG)
    assert [s for s in seen if s != "idle"] == ["enqueued", "claimed", "done", "paused", "resumed"]
    assert seen[:2] == ["enqueued", "idle"]


def test_a_number_is_a_whole_one_that_there_is(queue):
    """What is no number is a UsageError; one that was never given is told, and what to do."""
    queue.enqueue(b"x")
    for wrong in (-1, "1", 1.0, True, 2**63):
        with pytest.raises(UsageError, match="after"):
            queue.log(wrong)
        with pytest.raises(UsageError, match="after"):
            queue.follow(wrong)
    with pytest.raises(EventsGoneError, match=r"no event 9223372036854775807: it ends at \d+;"):
        list(queue.log(2**63 - 1))


def bound(queue, backend, monkeypatch):
    """Let the log of a queue be bounded so that its first events go."""
    if backend == "memory":
        for _ in range(5001):
            queue.pause()
            queue.resume()
    elif backend == "postgres":
        name = queue.name.partition("#")[2]
        server().sql(
            "delete from pq.event where seq < (select max(seq) from pq.event) and queue ="
            " (select number from pq.queue where name = %s)", name,
        )  # fmt: skip
    else:
        monkeypatch.setattr(logs, "MAX_LOG_BYTES", 1000)
        for _ in range(60):
            queue.pause()


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_comes_back_too_late_is_told_so(backend, tmp_path, monkeypatch):
    """EventsGoneError where the log was bounded in between, and then 0 shows what is left."""
    queue = make_queue(backend, tmp_path, Clock())
    queue.enqueue(b"x")
    queue.enqueue(b"x")
    first = next(iter(queue.log()))["number"]
    follower = queue.follow(first)
    assert take(follower, 1) == [("enqueued", 2)]
    bound(queue, backend, monkeypatch)
    with pytest.raises(EventsGoneError, match=rf"events after {first} are gone"):
        list(queue.log(first))
    left = list(queue.log())
    assert list(queue.log(0)) == left
    if backend == "postgres":
        server().sql("delete from pq.event where seq = %s", left[0]["number"])
        queue.enqueue(b"x")
    with pytest.raises(EventsGoneError):
        take(follower, len(left) + 100)


# -- a spool: one file, read without a lock ------------------------------------------


def test_a_follower_goes_on_where_the_older_half_was_dropped(spool, monkeypatch):
    """However often; and who comes back with a number finds its place in the shorter file."""
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 4000)
    follower = spool.follow()
    number = None
    for n in range(1, 121):
        spool.enqueue(b"x")
        assert take(follower, 1) == [("enqueued", n)]
        if number is not None:
            (record,) = spool.log(number)
            assert record["id"] == n
        number = list(spool.log())[-1]["number"]
    assert next(iter(spool.log()))["id"] > 80


def test_what_was_written_before_the_older_half_went_is_told_too(spool, monkeypatch):
    """A follower that is behind reads the file that it has to its end."""
    spool.enqueue(b"x")
    follower = spool.follow()
    assert take(follower, 1) == [("enqueued", 1)]
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 4000)
    while (count := len(spool)) == len(list(spool.log())):
        spool.enqueue(b"x")
    assert take(follower, count - 1) == [("enqueued", n) for n in range(2, count + 1)]


def new_boot(monkeypatch, name):
    """Let the machine be in another boot."""
    monkeypatch.setattr(host, "known_boot", (os.getpid(), f"{name}/pid:[1]"))


@pytest.mark.parametrize("lost", range(0, 400, 25))
def test_a_power_loss_makes_a_follower_neither_skip_nor_repeat(tmp_path, monkeypatch, lost):
    """Whatever it rolls back of the log, torn anywhere: numbers go on above what was told."""
    new_boot(monkeypatch, "first")
    with Spool(tmp_path) as spool:
        for _ in range(5):
            spool.enqueue(b"x")
        records = list(spool.log())
    path = tmp_path / layout.LOG
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - lost] + b"\0" * (lost // 2))
    new_boot(monkeypatch, "second")
    with Spool(tmp_path) as spool:
        item = spool.enqueue(b"y")
        spool.done(spool.claim())
        left = [record for record in records if record in list(spool.log())]
        assert len(left) >= 5 - lost // 90 - 1
        new = [("enqueued", item.id), ("claimed", 1), ("done", 1)]
        for place, record in enumerate(records, 1):
            assert told(spool.log(record["number"])) == [*told(left[place:]), *new]


def test_a_line_that_was_torn_costs_no_other(spool):
    """Whoever writes next begins a new one; who reads a line half-written waits for its end."""
    spool.enqueue(b"x")
    follower = spool.follow()
    assert take(follower, 1) == [("enqueued", 1)]
    path = f"{spool.path}/{layout.LOG}"
    with open(path, "ab") as file:
        file.write(b'{"at":"2026-01-01T00:00:00Z","event":"resu')
    assert told(spool.log()) == [("enqueued", 1)]
    Spool(spool.path).enqueue(b"x")
    assert take(follower, 1) == [("enqueued", 2)]
    with open(path, "ab") as file:
        file.write(b'{"at":"2026-01-01T00:00:00Z","event":"resu')
        file.flush()
        assert told(spool.log(next(iter(spool.log()))["number"])) == [("enqueued", 2)]
        file.write(b'med"}\n')
    assert take(follower, 1) == [("resumed", None)]


def test_a_log_that_was_lost_is_told_to_who_comes_back(spool):
    """It was removed: numbers still grow, and nobody takes the new ones for the old."""
    spool.enqueue(b"x")
    (old,) = spool.log()
    os.unlink(f"{spool.path}/{layout.LOG}")
    with pytest.raises(EventsGoneError, match="none is left"):
        list(spool.log(old["number"]))
    Spool(spool.path).enqueue(b"x")
    (new,) = spool.log()
    assert new["number"] > old["number"]
    with pytest.raises(EventsGoneError, match="are gone"):
        list(spool.log(old["number"]))


# -- a database: numbers are not given in the order of the commits -------------------


def test_an_event_that_commits_later_under_an_earlier_number_is_not_missed():
    """What a transaction that is still open may bring is waited for, in PostgreSQL."""
    need_postgres()
    import psycopg

    queue = PostgresQueue(server().url())
    queue.enqueue(b"x")
    follower = queue.follow()
    assert take(follower, 1) == [("enqueued", 1)]
    (first,) = queue.log()
    number = server().sql("select queue from pq.event where seq = %s", first["number"])[0][0]
    said = json.dumps({"at": "2026-01-01T00:00:00Z", "event": "paused"})
    with psycopg.connect(server().conninfo) as slow:
        slow.execute("insert into pq.event (queue, said) values (%s, %s)", (number, said))
        queue.enqueue(b"x")
        assert told(queue.log()) == [("enqueued", 1), ("enqueued", 2)]
        assert told(queue.log(first["number"])) == []  # the second one has the higher number
        late = threading.Timer(0.1, slow.commit)
        late.start()
        assert take(follower, 2) == [("paused", None), ("enqueued", 2)]
        late.join()
    assert told(queue.log(first["number"])) == [("paused", None), ("enqueued", 2)]


def test_a_follower_outlives_what_the_queue_lies_on_for_a_while(spool, monkeypatch):
    """`trouble` hears of a TryAgainError, and it goes on; without it, that is raised."""
    from pq_cli.spool.eventtail import LogTail

    spool.enqueue(b"x")
    read, heard = LogTail.read, []

    def refuse_once(tail):
        if not heard:
            raise TryAgainError("not now")
        return read(tail)

    monkeypatch.setattr(LogTail, "read", refuse_once)
    with pytest.raises(TryAgainError):
        next(spool.follow())
    assert take(spool.follow(trouble=heard.append), 1) == [("enqueued", 1)]
    assert [str(error) for error in heard] == ["not now"]


# -- processes -----------------------------------------------------------------------

WRITER = """
import sys
from pq_cli import open_queue
queue = open_queue(sys.argv[1])
for _ in range(int(sys.argv[2])):
    queue.enqueue(b"x")
    queue.done(queue.claim(wait=60))
"""
EACH = int((os.environ.get("PQ_LONG") and 400) or 20)


@pytest.mark.parametrize("backend", ["spool", "postgres"])
def test_many_writers_and_a_follower_that_is_killed(backend, tmp_path):
    """It goes on from the last number that it told: no event of eight is missed or twice."""
    pq = Pq(tmp_path)
    if backend == "postgres":
        need_postgres()
        pq.env["PQ_SPOOL"] = server().url()
        PostgresQueue(pq.env["PQ_SPOOL"])
    else:
        pq("init")
        (pq.spool / layout.CONFIG).write_text('durability = "fast"\n')
    argv = [sys.executable, "-c", WRITER, pq.env["PQ_SPOOL"], str(EACH)]
    writers = [subprocess.Popen(argv, env=pq.env) for _ in range(8)]
    seen, last, killed = [], 0, 0
    wanted = 8 * EACH * 3
    while len(seen) < wanted:
        with pq.start("log", "--follow", "--json", "--after-event", last, bufsize=0) as process:
            goal = wanted if killed >= 3 else len(seen) + wanted // 5
            while len(seen) < min(goal, wanted):
                assert readable(process.stdout.fileno()), "the follower is silent"
                line = process.stdout.readline()
                assert line, process.stderr.read()
                seen.append(json.loads(line))
                last = seen[-1]["number"]
            killed += 1
    assert [writer.wait(HANG) for writer in writers] == [0] * 8
    numbers = [record["number"] for record in seen]
    assert numbers == sorted(set(numbers))
    assert pq("log", "--json", "--after-event", last).out == b""
    ids = range(1, 8 * EACH + 1)
    for event in ("enqueued", "claimed", "done"):
        assert sorted(r["id"] for r in seen if r["event"] == event) == list(ids)


def test_follow_ends_with_the_signal_and_with_its_reader(pq: Pq) -> None:
    """Ctrl-C is 130; a reader that goes away ends it at once, though nothing happens: 141."""
    pq.fill(b"x")
    with pq.start("log", "--follow") as process:
        assert b"\tenqueued\t1\t" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG) == 130
        assert process.stderr.read() == b""
    with pq.start("log", "--follow") as process:
        assert b"\tenqueued\t1\t" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(HANG) == 141


def test_follow_goes_with_what_else_chooses(pq: Pq) -> None:
    """-n, ITEM, --ended and --after-event choose of what was and of what comes."""
    pq.fill(b"a", b"b")
    pq("next", "--ack")

    def following(*options):
        return pq.start("log", "--follow", *options)

    with (
        following("-n", 1, "--ended") as ended,
        following("--json", 2) as second,
        following("--ended", "--since", "1h", "--json") as all_ended,
    ):
        assert ended.stdout.readline().startswith(b"1\t\tdone\t")
        assert json.loads(second.stdout.readline())["event"] == "enqueued"
        assert json.loads(all_ended.stdout.readline())["id"] == 1
        pq("next", "--ack")
        assert ended.stdout.readline().startswith(b"2\t\tdone\t")
        assert json.loads(second.stdout.readline())["event"] == "claimed"
        last = json.loads(all_ended.stdout.readline())
        assert (last["id"], last["waited"] is None) == (2, False)
    lines = pq("log", "--json").text.splitlines()
    number = json.loads(lines[2])["number"]
    assert pq("log", "--json", "--after-event", number).text.splitlines() == lines[3:]
    ran = pq("log", "--json", "--ended", "--after-event", json.loads(lines[3])["number"])
    assert json.loads(ran.out) == last
    assert "are gone" in pq("log", "--after-event", 5, expect=1).err
    assert "are gone" in pq("log", "--ended", "--after-event", 5, expect=1).err
    assert "give a whole number" in pq("log", "--after-event", "x", expect=2).err


def test_follow_without_the_past(pq: Pq) -> None:
    """-n 0: only what comes from now on, whenever that is."""
    pq.fill(b"a")
    with pq.start("log", "--follow", "-n", 0) as process:
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        count = 1
        while not poll.poll(300):
            count += len(pq.fill(b"b"))
            assert count < 300
        assert int(process.stdout.readline().split(b"\t")[2]) > 1


def test_follow_reads_what_it_may_not_write(pq: Pq) -> None:
    """No lock is taken and nothing written: another process holds the lock meanwhile."""
    pq.fill(b"x")
    before = pq.tree()
    with pq.api() as spool, spool.arrivals():
        ran = subprocess.run(
            ["timeout", "--signal=INT", "1", *pq.argv("log", "--follow")],
            env=pq.env, capture_output=True, check=False,
        )  # fmt: skip
    assert b"\tenqueued\t1\t" in ran.stdout
    assert {k: v for k, v in pq.tree().items() if "imports" not in k} == {
        k: v for k, v in before.items() if "imports" not in k
    }


def test_follow_on_a_terminal_prints_columns_as_they_come(pq: Pq) -> None:
    """With a heading, for people; -n and --ended too."""
    pq.fill(b"x")
    master, slave = pty.openpty()
    env = pq.env | {"NO_COLOR": "1", "TERM": "dumb"}
    with pq.start("log", "--follow", stdout=slave, env=env) as process:
        os.close(slave)
        shown = b""
        while b"enqueued" not in shown:
            assert readable(master)
            shown += os.read(master, 4096)
        assert shown.split()[:4] == [b"TIME", b"EVENT", b"ITEM", b"PRI"]
        pq("next", "--ack")
        while b"done" not in shown:
            assert readable(master)
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG) == 130
    os.close(master)
