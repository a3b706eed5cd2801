"""`pq run`: who is served when, by how many, and what that prints."""

from __future__ import annotations

import hashlib
import json

from support import HANG, wait_until

NOTE = 'echo "$PQ_ID" >> "$D/order"'


def order(bench):
    return [int(line) for line in (bench.root / "order").read_text().split()]


def test_everything_is_run_once_in_order(bench):
    """Each item is run once, lanes by priority, each lane first in, first out."""
    low, high = bench.fill(5, priority=8), bench.fill(5, priority=2)
    done = bench.pq("run", "--", "sh", "-c", NOTE)
    assert done.returncode == 0, done.stderr
    assert order(bench) == high + low
    assert bench.states() == {}


def test_urgent_item_takes_the_next_slot(bench):
    """An urgent item enqueued while bulk waits starts next, not behind a gathered batch."""
    bulk = bench.fill(200, priority=8)
    script = NOTE + '; [ "$PQ_ID" != 3 ] || echo now | "$PY" -m pq_cli enqueue -p 1'
    bench.env["PY"] = __import__("sys").executable
    assert bench.pq("run", "--", "sh", "-c", script).returncode == 0
    assert order(bench) == [*bulk[:3], 201, *bulk[3:]]


def test_urgent_item_under_load_with_four_slots(bench):
    """With four slots the urgent item starts as soon as one frees: no other starts before it."""
    bulk = bench.fill(40, priority=8)
    # 5 to 8 hold the slots until the urgent one is there; then all four may end in one moment.
    script = """
        if [ "$PQ_ID" = 5 ]; then
            echo x | "$PY" -m pq_cli enqueue -p 1 >/dev/null; : > "$D/there"
        elif [ "$PQ_ID" -gt 5 ]; then
            until [ -e "$D/there" ]; do sleep 0.01; done
        fi
    """
    bench.env["PY"] = __import__("sys").executable
    events = bench.events("-j4", "--", "sh", "-c", script)
    started = [event["id"] for event in events if event["event"] == "start"]
    assert started == [*bulk[:8], 41, *bulk[8:]]


def test_exactly_n_children(bench):
    """-j4 runs four at the same time, and never a fifth."""
    bench.fill(24)
    script = """
        mkdir -p "$D/now"; : > "$D/now/$PQ_ID"
        [ "$PQ_ID" -gt 4 ] || until [ -e "$D/full" ]; do
            [ "$(ls "$D/now" | wc -l)" -lt 4 ] || : > "$D/full"
        done
        ls "$D/now" | wc -l >> "$D/counts"; rm "$D/now/$PQ_ID"
    """
    assert bench.pq("run", "-j4", "--", "sh", "-c", script).returncode == 0
    counts = [int(n) for n in (bench.root / "counts").read_text().split()]
    assert len(counts) == 24
    assert max(counts) == 4


def test_contract_environment_and_file(bench):
    """CMD sees the PQ_* variables, `{}` is the payload's path, and stdin is the open payload."""
    spool = bench.spool()
    spool.enqueue(b"payload", priority=3, key="k", name="n", max_attempts=7)
    script = (
        'echo "$PQ_ID $PQ_CLAIM $PQ_ATTEMPT $PQ_MAX_ATTEMPTS $PQ_PRIORITY $PQ_KEY $PQ_NAME";'
        ' cat "$1"; cat; [ "$1" = "$PQ_FILE" ] && [ -e "$PQ_META" ] && [ -d "$PQ_SPOOL" ]'
    )
    done = bench.pq("run", "--", "sh", "-c", script, "sh", "{}")
    assert (done.returncode, done.stdout) == (0, b"1 1.1 1 7 3 k n\npayloadpayload")


def test_binary_payload_arrives_byte_for_byte(bench):
    """Any bytes reach CMD's stdin as they were."""
    payload = bytes(range(256)) * 40 + b"\0\xff\r\n"
    bench.spool().enqueue(payload)
    done = bench.pq("run", "-j2", "--", "sha256sum")
    assert done.stdout.split()[0].decode() == hashlib.sha256(payload).hexdigest()


def test_command_that_never_reads_stdin(bench):
    """A CMD that leaves a big payload unread is done when it exits 0."""
    bench.spool().enqueue(b"x" * 10_000_000)
    done = bench.pq("run", "-j2", "--", "true")
    assert (done.returncode, bench.states()) == (0, {})


def test_ten_megabytes_on_stdout(bench):
    """10 MB from each of two children at once come through whole, line by line."""
    bench.fill(2)
    script = 'seq -f "$PQ_ID %012.0f" 640000; echo "end $PQ_ID" >&2'
    done = bench.pq("run", "-j2", "--", "sh", "-c", script)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for item in (b"1 ", b"2 "):
        numbers = [int(line[2:]) for line in lines if line.startswith(item)]
        assert numbers == list(range(1, 640_001))
    assert len(lines) == 1_280_000
    assert sorted(line for line in done.stderr.splitlines()) == [b"end 1", b"end 2"]


def test_lines_stay_whole_and_are_tagged(bench):
    """Children that write in pieces do not mix lines; --tag says whose line it is."""
    bench.fill(4)
    script = 'printf "a$PQ_ID"; sleep 0.1; printf "b$PQ_ID\\nc$PQ_ID"'
    done = bench.pq("run", "-j4", "--tag", "--", "sh", "-c", script)
    expected = [f"{n}\ta{n}b{n}" for n in range(1, 5)] + [f"{n}\tc{n}" for n in range(1, 5)]
    assert sorted(done.stdout.decode().splitlines()) == sorted(expected)


def test_both_streams_to_one_place_keep_their_order(bench):
    """With 2>&1 what a command writes to its two streams comes out in the order it wrote it."""
    bench.fill(2)
    script = 'for n in 1 2 3; do echo "$PQ_ID out $n"; echo "$PQ_ID err $n" >&2; done'
    process = bench.start("run", "-j2", "--", "sh", "-c", script, stderr=-2)
    lines = process.communicate(timeout=HANG)[0].decode().splitlines()
    for item in ("1", "2"):
        mine = [line[2:] for line in lines if line.startswith(item)]
        assert mine == [f"{stream} {n}" for n in (1, 2, 3) for stream in ("out", "err")]


def test_nobody_reads_the_output(bench):
    """A reader that goes away stops the run (exit 141); what ran is settled, the rest waits."""
    bench.fill(50)
    process = bench.start("run", "-j2", "--", "sh", "-c", "seq 100000")
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(HANG) == 141
    states = bench.states()
    assert 40 < len(states) < 50
    assert set(states.values()) == {"pending"}


def test_output_to_a_full_disk(bench):
    """When the commands' output cannot be written the run stops with 74; no item is lost."""
    bench.fill(50)
    with open("/dev/full", "wb") as full:
        process = bench.start("run", "-j2", "--", "sh", "-c", "seq 100000", stdout=full)
        assert process.wait(HANG) == 74
    assert 40 < len(bench.states()) < 50


def test_slow_reader_does_not_cost_leases(bench):
    """While nobody takes pq's output, it goes on renewing the leases of what runs."""
    spool = bench.spool(lease="3s")
    spool.enqueue(b"x")
    process = bench.start("run", "-j2", "--", "sh", "-c", "seq 500000; echo ready >&2")

    def lease():
        return [item.lease_until for item in spool.items() if item.lease_until is not None]

    wait_until(lease, "nothing was claimed")
    first = lease()[0]
    wait_until(lambda: lease()[0] > first + 3, "the lease was not renewed")
    out, _ = process.communicate()
    assert process.returncode == 0
    assert len(out.splitlines()) == 500_000


def test_dry_run_prints_and_touches_nothing(bench):
    """--dry-run names what would run, in order, and changes nothing."""
    bench.fill(2, priority=7)
    bench.fill(1, priority=1)
    done = bench.pq("run", "--dry-run", "--max", "2", "--", "cp", "{}", "a b")
    folder = bench.path / "pending"
    assert done.stdout.decode().splitlines() == [
        f"3\tcp {folder}/01/0000000/0000000003 'a b'",
        f"1\tcp {folder}/07/0000000/0000000001 'a b'",
    ]
    assert list(bench.states().values()) == ["pending"] * 3


def test_events_for_machines(bench):
    """--json: a record for each start and end, and one at the end; CMD's output goes to stderr."""
    bench.fill(2)
    done = bench.pq("run", "--json", "--", "sh", "-c", 'echo out; [ "$PQ_ID" = 1 ] || exit 9')
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(e["event"], e.get("id"), e.get("exit")) for e in events] == [
        ("start", 1, None), ("done", 1, 0), ("start", 2, None), ("retried", 2, 9),
        ("end", None, None),
    ]  # fmt: skip
    assert events[-1]["done"] == events[-1]["retried"] == 1
    assert (done.returncode, done.stderr) == (6, b"out\nout\n")


def test_max_claims_no_more(bench):
    """--max N runs N items and leaves the others alone."""
    bench.fill(5)
    assert bench.pq("run", "-j3", "--max", "2", "--", "true").returncode == 0
    assert bench.states() == {3: "pending", 4: "pending", 5: "pending"}
