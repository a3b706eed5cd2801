"""`pq retry` of many at once: which items are meant, and which are left where somebody put them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from queues import BACKENDS, Clock, make_queue
from support import Pq

from pq_cli.core.transitions import awaits_retry


def shown(pq: Pq, item: int) -> dict[str, Any]:
    """Return an item as `pq show --json` has it."""
    return json.loads(pq("show", "--json", item).text)


def test_retry_all_means_what_failed(pq: Pq) -> None:
    """`retry --all` takes dead letters and what waits for a retry; `--priority` moves them."""
    pq.fill(b"scheduled", delay=3600)
    pq.fill(b"held", b"given up", b"to be retried", b"put off", b"failed, then scheduled anew")
    pq("hold", 2)
    pq("fail", "--dead", pq("next", "--claim").text.strip())
    pq("fail", pq("next", "--claim").text.strip())
    pq("next", "--", "sh", "-c", "exit 75", expect=6)
    pq("fail", pq("next", "--claim").text.strip())
    pq("set", 4, "--priority", 3)
    pq("set", 6, "--delay", "2h")
    stopped = pq.states()
    due = [shown(pq, item)["not_before"] for item in (1, 6)]
    ran = pq("retry", "--all", "--dry-run")
    assert (sorted(ran.words), ran.err) == (["3", "4", "5"], "pq: 3 items would be pending again\n")
    assert pq.states() == stopped
    ran = pq("retry", "--all", "--priority", 2)
    assert (ran.words, ran.err) == ([], "pq: 3 items are pending again\n")
    wanted = {1: "delayed", 2: "held", 6: "delayed", **dict.fromkeys((3, 4, 5), "pending")}
    assert pq.states() == wanted
    assert [shown(pq, item)["not_before"] for item in (1, 6)] == due
    assert {shown(pq, item)["priority"] for item in (3, 4, 5)} == {2}


def test_retry_by_state(pq: Pq) -> None:
    """What was held or scheduled is set free only by `--state`, alone or with `--all`."""
    pq.fill(b"scheduled", delay=3600)
    pq.fill(b"held", b"given up")
    pq("hold", 2)
    pq("fail", "--dead", pq("next", "--claim").text.strip())
    assert pq("retry", "--state", "held", "--dry-run").words == ["2"]
    assert pq("retry", "--state", "held").err == "pq: 1 item is pending again\n"
    assert pq.states() == {1: "delayed", 2: "pending", 3: "failed"}
    assert pq("retry", "--all", "--state", "failed,delayed").err.startswith("pq: 2 items")
    assert set(pq.states().values()) == {"pending"}
    for args in ((), ("--all", 1), ("--state", "held", 1), ("--dry-run", 1), ("--state", "done")):
        assert pq("retry", *args, expect=2).err.count("\n") == 1
    pq("retry", 1, expect=4)


def test_retry_all_names_what_stands_in_the_way(pq: Pq) -> None:
    """A dead letter whose key is taken by now is an error of its own; the others go back."""
    pq.fill(b"a", key="k")
    pq.fill(b"b")
    for _ in range(2):
        pq("fail", "--dead", pq("next", "--claim").text.strip())
    pq.fill(b"c", key="k")
    ran = pq("retry", "--all", expect=4)
    assert "'k'" in ran.err.splitlines()[0]
    assert ran.err.splitlines()[1] == "pq: 1 of 2 items is pending again"
    assert pq.states() == {1: "failed", 2: "pending", 3: "pending"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_failure_delayed_is_known(tmp_path: Path, backend: str) -> None:
    """Delayed by a failure or put off; not by a person, before the failure or after it."""
    queue = make_queue(backend, tmp_path, clock := Clock())
    assert not awaits_retry(queue.enqueue(b"later", delay=5))
    queue.enqueue(b"x")
    for end in (queue.fail, queue.defer):
        item = end(queue.claim())
        assert awaits_retry(queue.get(item.id))
        assert awaits_retry(queue.change(item.id, priority=3))
        assert not awaits_retry(queue.change(item.id, at=clock.now + 7200))
        assert not awaits_retry(queue.retry(item.id))
        assert not awaits_retry(queue.change(item.id, at=clock.now + 7200))
        queue.retry(item.id)
