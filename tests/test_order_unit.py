"""The order's parts by themselves: lanes against a sorted set, the choice against a full sort."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pq_cli import QueueConfig
from pq_cli.core.order import Lane, choose, serving_order

configs = st.builds(
    QueueConfig,
    enable_priority=st.booleans(),
    enable_aging=st.booleans(),
    aging_threshold_seconds=st.sampled_from([1.0, 10.0]),
    aging_boost=st.integers(0, 9),
    max_priority_boost=st.integers(0, 9),
)
limits = st.sampled_from(["", "", "a", "b", "c"])
entries = st.lists(
    st.tuples(st.integers(1, 10), limits, st.integers(0, 200).map(float)), max_size=12
)


def lanes_of(entries):
    """Return {(priority, limit): [(id, created_at), ...]}, ids in order of arrival."""
    lanes = {}
    for number, (priority, limit, created) in enumerate(entries, 1):
        lanes.setdefault((priority, limit), []).append((number, created))
    return lanes


def never(limit):
    """No limit is full."""
    return False


@given(configs, entries, st.integers(0, 400).map(float), st.sets(st.sampled_from("abc")))
def test_the_choice_is_the_lowest_of_all_heads(config, entries, t, full):
    """However few lanes are asked: it is that of the heads of all whose limit is not full."""
    lanes = lanes_of(entries)

    def rank(priority, number, created):
        if not config.enable_priority:
            return (0, number)
        steps = max(0, t - created) // config.aging_threshold_seconds
        boost = min(steps * config.aging_boost, config.max_priority_boost)
        return (max(1, priority - boost * config.enable_aging), number)

    heads = sorted(
        (rank(priority, *ids[0]), (priority, limit), ids[0][0])
        for (priority, limit), ids in lanes.items()
        if limit not in full
    )
    found = choose(sorted(lanes), config, t, lambda lane: lanes[lane][0], full.__contains__)
    assert found == (heads[0][1:] if heads else None)


@given(configs, entries, st.integers(0, 400).map(float))
def test_the_listing_is_the_order_of_the_choices(config, entries, t):
    """Taking what `choose` says until nothing is left gives what `serving_order` lists."""
    lanes = lanes_of(entries)
    listed = [n for n, _ in serving_order({p: iter(v) for p, v in lanes.items()}, config, t, tuple)]
    chosen = []
    while any(lanes.values()):
        left = [p for p in sorted(lanes) if lanes[p]]
        lane, number = choose(left, config, t, lambda p: lanes[p][0], never)
        chosen.append(number)
        lanes[lane].pop(0)
    assert listed == chosen


def test_lanes_that_cannot_win_are_not_looked_at():
    """A head of lane 1 wins against anything in lanes 6 to 10 under the default cap: no look."""
    asked = []

    def head(lane):
        asked.append(lane)
        return 100 - lane[0], 0.0

    config, lanes = QueueConfig(), [(priority, "") for priority in range(1, 11)]
    assert choose(lanes, config, 0.0, head, never) == ((1, ""), 99)
    assert asked == lanes[:5]


class LaneMachine(RuleBasedStateMachine):
    """A lane over a disk of chunks, and the sorted set it should be."""

    def __init__(self):
        super().__init__()
        self.disk = set(range(3, 20, 2))
        self.loads = []
        self.lane = Lane(4, {n // 4 for n in self.disk}, self.load)

    def load(self, chunk):
        """Return the ids of a chunk, as a folder is listed."""
        self.loads.append(chunk)
        return [n for n in self.disk if n // 4 == chunk]

    @rule(number=st.integers(0, 40))
    def push(self, number):
        """In memory after on disk, as the spool does it."""
        self.disk.add(number)
        self.lane.push(number)

    @rule(number=st.integers(0, 40))
    def discard(self, number):
        """Gone, here and on disk."""
        self.disk.discard(number)
        self.lane.discard(number)

    @rule()
    def head(self):
        """The lowest there is, loading no chunk twice without need."""
        assert self.lane.head() == min(self.disk, default=None)

    @rule()
    def take(self):
        """The lowest is served."""
        head = self.lane.head()
        if head is not None:
            self.discard(head)


def test_a_lane_is_a_sorted_set():
    """Whatever is pushed and discarded, loaded or not, the head is the lowest id."""
    run_state_machine_as_test(LaneMachine)


def test_a_lane_loads_what_it_reaches_and_no_more():
    """A backlog of a thousand chunks costs one chunk at a time."""
    loads = []

    def load(chunk):
        loads.append(chunk)
        return range(chunk * 10, chunk * 10 + 10)

    lane = Lane(10, range(1000), load)
    assert lane.head() == 0 and loads == [0]
    for number in range(15):
        assert lane.head() == number
        lane.discard(number)
    assert loads == [0, 1] and len(lane) == 5
