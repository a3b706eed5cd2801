"""Limits: at most so many items of a name are at work at once, whatever holds the queue."""

from __future__ import annotations

import pytest
from queues import BACKENDS, Clock, make_queue, no_jitter

from pq_cli import ConflictError, UsageError

BAD = ("", "none", ".api", "-api", "_api", "a/b", "a b", "a@b", "ä", "a\n", "a" * 65, "..", 5)


@pytest.fixture(params=BACKENDS)
def make(request, tmp_path):
    """Return what makes a queue with this policy, or opens the same one anew."""

    def queue(**config):
        return make_queue(request.param, tmp_path, Clock(), no_jitter, **config)

    return queue


@pytest.fixture
def queue(make):
    """A queue of each kind with the defaults."""
    return make()


def test_an_item_keeps_its_limit_through_all_that_becomes_of_it(queue):
    """Claimed, failed, retried, held, removed and brought back: it is the one of its enqueue."""
    item = queue.enqueue(b"x", limit="api")
    assert item.limit == queue.get(item).limit == "api"
    claimed = queue.claim()
    assert claimed.limit == "api"
    assert queue.fail(claimed, dead=True).limit == "api"
    for verb in (queue.retry, queue.hold, queue.remove, queue.restore, queue.retry, queue.get):
        assert verb(item.id).limit == "api"
    assert [i.limit for i in queue.items()] == ["api"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_of_a_limit_is_refused_and_said(queue, name):
    """A name stands in names of folders, in TOML and in shell words; the error says which may."""
    with pytest.raises(UsageError, match="limit"):
        queue.enqueue(b"x", limit=name)
    item = queue.enqueue(b"x")
    if name != "none":
        with pytest.raises(UsageError, match="limit"):
            queue.change(item, limit=name)
    assert queue.get(item).limit is None


def test_an_item_can_be_given_another_limit_or_none(queue):
    """`change` sets it, "none" takes it away; not while somebody works on it."""
    item = queue.enqueue(b"x")
    for limit, is_now in (("api", "api"), ("db.example.com", "db.example.com"), ("none", None)):
        assert queue.change(item, limit=limit).limit == queue.get(item).limit == is_now
    claimed = queue.claim()
    with pytest.raises(ConflictError, match="limit"):
        queue.change(item, limit="api")
    queue.change(item, priority=2, limit="none")
    assert queue.get(claimed).limit is None
