"""Spool, MemoryQueue and the naive model go through the same verbs and must agree, item for item.

`PQ_LONG=1` looks for fourteen times as long.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from database import need_postgres, server
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from naive import Naive, shown
from queues import START, Clock, no_jitter, plain

from pq_cli import MemoryQueue, PostgresQueue, PqError, QueueConfig, Spool
from pq_cli.core.item import EVERY
from pq_cli.spool.disk import layout, state

LONG = bool(os.environ.get("PQ_LONG"))

# Times are quarters of a second: exact in binary, so that the model may divide where the
# queues floor-divide, and several in a second, so that due times share a folder.
seconds = st.integers(0, 80).map(lambda n: n / 4)
priorities = st.sampled_from([1, 4, 5, 5, 6, 10])
ids = st.integers(1, 25)
limits = st.sampled_from([None, None, None, "x", "x", "y"])
configs = st.fixed_dictionaries(
    {
        "enable_priority": st.sampled_from([True, True, True, False]),
        "default_priority": priorities,
        "enable_aging": st.sampled_from([True, True, True, False]),
        "aging_threshold_seconds": st.sampled_from([1.0, 4.0, 10.5]),
        "aging_boost": st.sampled_from([0, 1, 2, 9]),
        "max_priority_boost": st.sampled_from([0, 1, 4, 9]),
        "aging_clock": st.sampled_from(["live", "manual"]),
        "max_attempts": st.integers(1, 3),
        "backoff": st.sampled_from([0.0, 2.0, 5.25]),
        "backoff_factor": st.sampled_from([1.0, 2.0]),
        "max_backoff": st.sampled_from([3.0, 3600.0]),
        "lease": st.sampled_from([3.0, 10.0, 300.0]),
        "max_items": st.sampled_from([0, 0, 3, 6]),
        "keep_done": st.sampled_from([0.0, 60.0]),
        "limits": st.sampled_from([{}, {"x": 2}, {"y": 3, "z": 1}]),
        "durability": st.sampled_from(["fast", "fast", "fast", "full"]),
    }
)


class Agreement(RuleBasedStateMachine):
    """One verb after another on all three; the spool through one of two objects at a time."""

    @initialize(config=configs)
    def begin(self, config):
        """Start with empty queues of one policy."""
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.config = QueueConfig(**config)
        self.spool, self.other = self.open(), self.open()
        self.memory = MemoryQueue(self.config, clock=self.clock, jitter=no_jitter)
        self.model = Naive(self.config, self.clock)
        self.claims = ["1.1"]
        self.contents = {}

    def open(self):
        """Open the spool anew: nothing is remembered."""
        path = f"{self.folder}/spool"
        return Spool(path, config=self.config, clock=self.clock, jitter=no_jitter)

    def teardown(self):
        """Leave nothing behind."""
        if hasattr(self, "folder"):
            self.spool.close()
            self.other.close()
            shutil.rmtree(self.folder)

    def agree(self, verb, *args, **fields):
        """Do the verb on all three; they must give the same item or the same error."""
        answers = []
        for queue in (self.spool, self.memory, self.model):
            try:
                answers.append(getattr(queue, verb)(*args, **fields))
            except PqError as error:
                answers.append(type(error))
        on_disk, in_memory, as_defined = answers
        if on_disk is None or isinstance(on_disk, type):
            assert on_disk == in_memory == as_defined
            return None
        assert plain(on_disk) == plain(in_memory)
        assert shown(on_disk) == shown(as_defined)
        return on_disk

    @rule(
        priority=st.none() | priorities,
        key=st.sampled_from([None, None, None, "a", "b"]),
        if_exists=st.sampled_from(["skip", "fail", "replace", "raise"]),
        delay=st.none() | st.none() | seconds, tries=st.none() | st.integers(1, 4), limit=limits,
    )  # fmt: skip
    def enqueue(self, priority, key, if_exists, delay, tries, limit):
        """One more, or not if its key is taken or the queue is full."""
        content = os.urandom(3)
        item = self.agree("enqueue", content, priority=priority, key=key, if_exists=if_exists,
                          delay=delay, max_attempts=tries, limit=limit)  # fmt: skip
        if item is not None:
            self.contents.setdefault(item.id, content)

    @rule(
        priority=priorities, after=st.lists(ids, min_size=1, max_size=3),
        if_failed=st.sampled_from([None, "fail", "hold", "run"]),
        key=st.sampled_from([None, None, None, "a", "b"]),
        if_exists=st.sampled_from(["skip", "fail", "replace"]),
        delay=st.none() | st.none() | seconds,
    )  # fmt: skip
    def come_after(self, priority, after, if_failed, key, if_exists, delay):
        """One that waits for others: those there are, those that ended, and those nobody knows."""
        content = os.urandom(3)
        item = self.agree("enqueue", content, priority=priority, after=after, if_failed=if_failed,
                          key=key, if_exists=if_exists, delay=delay)  # fmt: skip
        if item is not None:
            self.contents.setdefault(item.id, content)

    @rule(count=st.integers(2, 5), priority=priorities, delay=st.none() | seconds, limit=limits)
    def fill(self, count, priority, delay, limit):
        """Several of a kind: lanes of more than one block."""
        for _ in range(count):
            self.enqueue(priority, None, "skip", delay, None, limit)

    @rule(count=st.integers(1, 5))
    def work(self, count):
        """Served and done, one after another."""
        for _ in range(count):
            self.claim(None)
            self.agree("done", self.claims[-1])

    @rule(lease=st.none() | seconds.filter(bool))
    def claim(self, lease):
        """The same item comes out of all three, with its own payload."""
        self.came(self.agree("claim", lease=lease))

    @rule(lease=st.none() | seconds.filter(bool))
    def go_on(self, lease):
        """The latest claim ends, and the next one is made at once."""
        self.came(self.agree("done_and_claim", self.claims[-1], lease=lease))

    def came(self, item):
        """Look at what was claimed."""
        if item is not None:
            self.claims.append(item.claim)
            assert self.spool.payload(item) == self.contents[item.id]
            assert self.memory.payload(item) == self.contents[item.id]

    @rule(
        data=st.data(), verb=st.sampled_from(["done", "fail", "defer", "release", "renew"]),
        error=st.sampled_from([None, "broken"]), dead=st.booleans(),
    )  # fmt: skip
    def end(self, data, verb, error, dead):
        """A claim ends, mostly one of the latest; many are stale by then."""
        latest = st.integers(1, min(3, len(self.claims))).map(lambda n: self.claims[-n])
        ref = data.draw(latest | st.sampled_from(self.claims))
        fields = {"error": error} if verb in ("fail", "defer") else {}
        fields |= {"dead": dead} if verb == "fail" else {}
        self.agree(verb, ref, **fields)

    @rule(ref=ids, priority=st.none() | priorities)
    def retry(self, ref, priority):
        """Back to pending."""
        self.agree("retry", ref, priority=priority)

    @rule(ref=ids, verb=st.sampled_from(["hold", "hold", "remove", "restore", "restore", "get"]))
    def plain_verb(self, ref, verb):
        """Suspended, removed and brought back, or looked at."""
        self.agree(verb, ref)

    @rule(ref=ids, hold=st.booleans())
    def cancel(self, ref, hold):
        """Nobody works on it."""
        self.agree("cancel", ref, hold=hold)

    @rule(ref=ids, priority=st.none() | priorities, delay=st.none() | seconds,
          limit=limits | st.just("none"))  # fmt: skip
    def change(self, ref, priority, delay, limit):
        """Another lane, another time."""
        self.agree("change", ref, priority=priority, delay=delay, limit=limit)

    @rule(at=st.none() | seconds, dry_run=st.booleans())
    def age(self, at, dry_run):
        """The same report, and under the manual clock the same order from then on."""
        at = None if at is None else START + 2 * at
        reports = [
            [[g.priority, g.effective, g.count, g.oldest_id] for g in q.age(at, dry_run=dry_run)]
            for q in (self.spool, self.memory)
        ]
        assert reports[0] == reports[1] == self.model.age(at, dry_run)

    @rule(passed=seconds | seconds.map(lambda s: s / 16) | st.sampled_from([-8.0, 300.0, 40_000.0]))
    def time_passes(self, passed):
        """On, a little on, or back."""
        self.clock.pass_(round(passed * 4) / 4)

    @rule(pause=st.booleans())
    def pause(self, pause):
        """Nothing is claimed, or again."""
        for queue in (self.spool, self.memory):
            queue.pause() if pause else queue.resume()
        self.model.paused = pause

    @rule()
    def other_process(self):
        """From here on somebody else does the verbs; what each remembers is now old."""
        self.spool, self.other = self.other, self.spool

    @rule()
    def reopen(self):
        """The next verb finds everything on the disk."""
        self.spool.close()
        self.spool = self.open()

    @rule()
    def next_event(self):
        """The spool may wake up to a second early, never late."""
        told, true = self.spool.next_event(), self.model.next_event()
        assert (told is None) == (true is None)
        assert told is None or true - 1 < told <= true

    @invariant()
    def same_items(self):
        """After every step the three list the same items in the same order."""
        if not hasattr(self, "model"):
            return
        on_disk, in_memory = list(self.spool.items(EVERY)), list(self.memory.items(EVERY))
        assert [plain(i) for i in on_disk] == [plain(i) for i in in_memory]
        assert [shown(i) for i in on_disk] == [shown(i) for i in self.model.items()]
        assert len(self.spool) == len(self.memory) == len(self.model)
        assert list(self.spool.removed()) == list(self.memory.removed())


class AgreementOnPostgres(Agreement):
    """The same with a database in the spool's place."""

    def open(self):
        """Open the queue anew: nothing is remembered."""
        if not hasattr(self, "url"):
            self.url = server().url()
        return PostgresQueue(self.url, config=self.config, clock=self.clock, jitter=no_jitter)


@pytest.fixture
def small_steps(monkeypatch):
    """Make blocks, due folders and id reservations so small that a short run crosses many."""
    monkeypatch.setattr(layout, "BLOCK_SIZE", 3)
    monkeypatch.setattr(layout, "COARSE_SECONDS", 5)
    monkeypatch.setattr(state, "RESERVE_STEP", 4)


def test_the_queues_agree_with_the_definition(small_steps):
    """Whatever is done, in whatever order, under whatever policy: one definition, three answers."""
    agree(Agreement, 3000 if LONG else 220)


def test_a_database_agrees_with_the_definition():
    """PostgreSQL in the spool's place, a server's transaction and rows for a lock and files."""
    need_postgres()
    agree(AgreementOnPostgres, 1000 if LONG else 15)


def agree(machine, examples):
    """Look for a row of verbs after which the machine's queues differ."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
