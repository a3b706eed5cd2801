"""Any item that can be, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from pq_cli import Holder, Item, State
from pq_cli.core.item import IF_FAILED, ORDER
from pq_cli.core.timefmt import MAX_TIME
from pq_cli.core.transitions import stamp

text = st.text(st.characters(), max_size=20)  # lone surrogates included
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=8
)
metadata = st.dictionaries(text, values, max_size=3)
counts = st.integers(0, 10**17)
times = st.floats(0, MAX_TIME).map(stamp)
limits = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50)
holders = st.builds(
    Holder, host=text, pid=counts, boot=st.none() | text, started=st.none() | counts, since=times
)
KNOWN = {"claim", "effective", "first", *Item.FIELDS}
extras = st.dictionaries(text.filter(lambda name: name not in KNOWN), values, max_size=3)


@st.composite
def items(draw):
    """Any item that can be."""
    state = draw(st.sampled_from(ORDER))
    active, delayed = state is State.ACTIVE, state is State.DELAYED
    return Item(
        id=draw(counts), state=state, priority=draw(st.integers(1, 10)),
        created_at=draw(times), updated_at=draw(times),
        not_before=draw(times) if delayed else None, attempts=draw(counts),
        max_attempts=draw(counts), claims=draw(counts), key=draw(st.none() | keys),
        name=draw(st.none() | text), size=draw(counts), checksum=draw(st.none() | text),
        written_boot=draw(st.none() | text), last_error=draw(st.none() | text),
        metadata=draw(metadata), lease_until=draw(times) if active else None,
        holder=draw(st.none() | holders) if active else None,
        after=tuple(draw(st.lists(st.integers(1, 10**17), max_size=3))),
        if_failed=draw(st.none() | st.sampled_from(IF_FAILED)), follows=draw(st.booleans()),
        limit=draw(st.none() | limits.filter(lambda name: name != "none")),
        history=tuple(draw(st.lists(metadata, max_size=3))), extra=draw(extras),
    )  # fmt: skip
