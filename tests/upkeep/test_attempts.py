"""`pq log --ended`: finished work at a glance, in memory, on disk and in a database."""

from __future__ import annotations

import json

import pytest
from queues import BACKENDS, Clock, make_queue
from support import Pq

from pq_cli.core.insight.history import FIELDS, attempts


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_attempt_that_ended_is_told_once(backend, tmp_path):
    """How it ended, its exit status, how long it waited and took; in the order of the ends."""
    clock = Clock()
    q = make_queue(backend, tmp_path, clock, backoff=0.0)
    for name in ("a", "b", "c"):
        q.enqueue(b"x", name=name)
    clock.pass_(5)
    first, second, third = q.claim(), q.claim(), q.claim()
    clock.pass_(2)
    q.fail(second, "HTTP 500", status=7)
    q.cancel(third, by="ann")
    q.done(first, status=0)
    q.release(q.claim())
    q.hold(2)
    q.cancel(2)
    told = list(attempts(q.log()))
    assert all(tuple(each) == FIELDS for each in told)
    rows = [[each[n] for n in ("claim", "name", "how", "state", "exit", "error")] for each in told]
    assert rows == [
        ["2.1", "b", "failed", "delayed", 7, "HTTP 500"],
        ["3.1", "c", "cancelled", "failed", None, "cancelled by ann"],
        ["1.1", "a", "done", "done", 0, None],
        ["2.2", "b", "released", "pending", None, None],
    ]
    assert [(each["waited"], each["took"]) for each in told] == [(5, 2)] * 3 + [(7, 0)]


def test_an_attempt_whose_claim_the_log_has_forgotten_is_told_too():
    """The log is bounded: what is not known is None, and what is no attempt is passed over."""
    records = [{"event": "done", "id": 1, "claim": "1.1"}, {"event": "removed", "id": 1},
               {"event": "cancelled", "id": 2}, {"event": "claimed", "claim": 5}]  # fmt: skip
    (told,) = attempts(records)
    assert told == dict.fromkeys(FIELDS) | {"id": 1, "claim": "1.1", "how": "done"}


def test_log_ended(pq: Pq) -> None:
    """A line an attempt; --since and ITEM narrow it; --json has all that is known."""
    pq("enqueue", "--name", "good", stdin=b"x")
    pq("enqueue", stdin=b"x")
    pq("run", "--", "sh", "-c", 'test "$PQ_ID" = 1 || exit 100', expect=6)
    lines = [line.split("\t") for line in pq("log", "--ended").text.splitlines()]
    assert [line[:4] for line in lines] == [["1", "good", "done", "0"], ["2", "", "failed", "100"]]
    assert float(lines[0][4]) >= 0 and float(lines[0][5]) >= 0 and ":" in lines[0][7]
    record = json.loads(pq("log", "--ended", "--json", "-n", 1).text)
    assert (record["id"], record["how"], record["state"]) == (2, "failed", "failed")
    assert pq("log", "--ended", 1).text.count("\n") == 1
    assert pq("log", "--ended", "--since", "0").out == b""
    assert pq("log", "--since", "1h").out == pq("log").out != b""
    assert "WAITED" in pq.on_terminal("log", "--ended")


def test_show_of_a_failed_item_ends_with_what_to_type(pq: Pq) -> None:
    """The last line is the command that sends it back; what has not failed has no such line."""
    pq.fill(b"a", b"b")
    pq("fail", "--dead", pq("next", "--claim").text.strip())
    assert pq("show", 1).text.splitlines()[-1] == "next\tpq retry 1"
    assert pq.on_terminal("show", 1).split()[-3:] == ["pq", "retry", "1"]
    assert "retry" not in pq("show", 2).text
