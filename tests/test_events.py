"""Events: JSON whatever the item is called, and nothing for a terminal to obey."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from strategies import holders, items, text, times

from pq_cli import State
from pq_cli.core import events, transitions
from pq_cli.core.item import printable
from pq_cli.core.jsonio import to_json


def fields(event):
    """Return what is read again of an event whose line is one line, and harmless to print."""
    line = to_json(event)
    assert line.decode().isprintable()
    return json.loads(line)


def called(item):
    """Return how the log calls an item: not at all, or by its name or key, cut."""
    name = item.name or item.key
    return {"name": printable(name, 200)} if name else {}


@given(items(), st.sampled_from(events.EVENTS), times)
def test_a_record_says_what_the_item_is(item, event, at):
    """Quotes, control characters and lone surrogates in names come back as they can be shown."""
    line = fields(events.event_of(event, item, at))
    expected = {"id": item.id, "priority": item.priority, "state": item.state, "event": event}
    assert line.items() >= {**expected, **called(item)}.items()
    assert set(line) - {"name"} == {"at", *expected}


@given(items(), holders, times, text)
def test_the_lines_of_an_attempt_fit_together(item, holder, now, error):
    """Claim and end name the same claim; who had it, how long it took and why it failed is told."""
    before = item.replace(state=State.PENDING, not_before=None, lease_until=None, holder=None)
    active = transitions.claimed(before, now, 1.0, holder)
    claimed = fields(events.transition(before, active))
    assert (claimed["event"], claimed["claim"]) == ("claimed", active.claim)
    assert claimed["waited"] == round(max(0.0, active.updated_at - item.created_at), 3)
    ended = transitions.expired(active, now, error)
    lost = fields(events.transition(active, ended))
    assert (lost["event"], lost["claim"], lost["took"]) == ("lost", active.claim, 0.0)
    assert lost["by"] == printable(f"{holder.host}:{holder.pid}", 200)
    assert lost.get("error") == (printable(error, 200) if error else None)
    assert called(item).items() <= lost.items()


@given(times, st.none() | text)
def test_a_pause_gives_its_reason(at, reason):
    """None is none, and any text comes back."""
    line = json.loads(to_json(events.pause("paused", at, reason)))
    assert (line["event"], line.get("reason")) == ("paused", reason)
