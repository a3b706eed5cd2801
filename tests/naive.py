"""A queue as the definition has it and nothing more: one dict, sorted by everything, each time.

Written from design.md alone; it shares no code with the order, the policy or the transitions.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from pq_cli.errors import (
    ConflictError,
    KeyTakenError,
    NoSuchItemError,
    QueueFullError,
    StaleClaimError,
)

LIVE = ("active", "pending", "delayed", "held")
SHOWN = ("id", "state", "priority", "created_at", "not_before", "attempts", "max_attempts",
         "claims", "key", "last_error", "lease_until", "limit", "after")  # fmt: skip


def _active(thing):
    return thing.state == "active"


def _lane(thing):
    return thing.priority, thing.limit


def shown(thing):
    """Return what the model knows about an item, of the model's or of a queue's."""
    fields = {name: getattr(thing, name) for name in SHOWN}
    outcomes = [entry["outcome"] for entry in getattr(thing, "history", ())][-20:]
    return fields | {"state": str(thing.state), "outcomes": outcomes}


class Naive:
    """The verbs on a dict. `c` is the policy, `clock` returns Unix seconds."""

    def __init__(self, c, clock):
        self.c, self.clock = c, clock
        self.things, self.ended = {}, {}
        self.last_id, self.aged_at, self.paused = 0, 0.0, False

    # -- order -------------------------------------------------------------

    def effective(self, thing, t):
        """Return the effective priority at `t`."""
        if not self.c.enable_aging:
            return thing.priority
        age = max(0, t - thing.created_at)
        steps = math.floor(age / self.c.aging_threshold_seconds)
        boost = min(steps * self.c.aging_boost, self.c.max_priority_boost)
        return max(1, thing.priority - boost)

    def in_order(self, things, t):
        """Return pending things as they are served: of all lanes' heads the lowest, each time."""
        left, served = list(things), []
        while left:
            if self.c.enable_priority:
                lanes = {(thing.priority, thing.limit) for thing in left}
                heads = [min((x for x in left if _lane(x) == lane), key=_id) for lane in lanes]
                best = min(heads, key=lambda x: (self.effective(x, t), x.id))
            else:
                best = min(left, key=_id)
            left.remove(best)
            served.append(best)
        return served

    def order_time(self):
        """Return the `t` of the order now."""
        return self.clock() if self.c.aging_clock == "live" else self.aged_at

    def is_pending(self, thing):
        """Tell whether a thing is pending, or delayed until now."""
        due = thing.state == "delayed" and thing.not_before <= self.clock()
        return due or thing.state == "pending"

    def items(self):
        """Return what a listing shows, in its order."""
        rest = sorted(self.things.values(), key=_id)
        pending = [t for t in rest if self.is_pending(t)]
        out = [t for t in rest if t.state == "active"]
        for thing in self.in_order(pending, self.order_time()):
            out.append(SimpleNamespace(**{**vars(thing), "state": "pending", "not_before": None}))
        waiting = [t for t in rest if t.state == "delayed" and t not in pending]
        out += sorted(waiting, key=lambda x: (x.not_before, x.id))
        for state in ("held", "failed", "done"):
            out += [t for t in rest if t.state == state]
        return out + sorted(self._removed(), key=lambda x: (x.kept_until, x.id))

    def age(self, at=None, dry_run=False):
        """Return [priority, effective, count, oldest id] of what has aged."""
        t = self.clock() if at is None else at
        if not dry_run:
            self.aged_at = t
        groups = {}
        for thing in self.things.values():
            e = self.effective(thing, t) if self.c.enable_priority else thing.priority
            if self.is_pending(thing) and e != thing.priority:
                groups.setdefault((thing.priority, e), []).append(thing.id)
        return [[*key, len(ids), min(ids)] for key, ids in sorted(groups.items())]

    def next_event(self):
        """Return when the next lease ends or delayed thing is due, or None."""
        ends = [t.lease_until for t in self.things.values() if t.state == "active"]
        dues = [t.not_before for t in self.things.values() if t.state == "delayed"]
        return min(ends + dues, default=None)

    def __len__(self):
        return sum(t.state in LIVE for t in self.things.values())

    # -- verbs -------------------------------------------------------------

    def enqueue(self, _payload, priority=None, key=None, if_exists="skip", delay=None, at=None,
                max_attempts=None, limit=None, after=(), if_failed=None):  # fmt: skip
        """Add a thing."""
        now, after = self.clock(), tuple(dict.fromkeys(after))
        if any(self.how(i) in (None, "replaced") for i in after):  # of neither the log tells an end
            raise NoSuchItemError
        fails = if_failed in (None, "fail") and any(self.how(i) not in ("ahead", "done")
                                                    for i in after)  # fmt: skip
        taken = None if fails else self._owner(key)
        urgent = self.c.default_priority if priority is None else priority
        if taken and if_exists == "raise" and not _active(taken):
            taken.priority = min(taken.priority, urgent)
        if taken and if_exists in ("skip", "raise"):
            # What somebody works on comes without the number of the claim: that is another's.
            return SimpleNamespace(**vars(taken) | {"claims": 0}) if _active(taken) else taken
        if taken and (if_exists == "fail" or taken.state == "active" or taken.id in after):
            raise KeyTakenError
        full = self.c.max_items and not taken and not fails
        if full and len(self) >= self.c.max_items:
            raise QueueFullError
        if taken:
            self._gone(taken, "replaced")
        self.last_id += 1
        due = now + delay if delay is not None else at
        waits = due is not None and due > now
        thing = SimpleNamespace(
            id=self.last_id, state="delayed" if waits else "pending", created_at=now,
            priority=self.c.default_priority if priority is None else priority,
            not_before=due if waits else None, attempts=0, claims=0, key=key, last_error=None,
            max_attempts=self.c.max_attempts if max_attempts is None else max_attempts,
            lease_until=None, history=[], limit=limit,
            after=after, rule=if_failed or "fail", follows=bool(after),
        )  # fmt: skip
        if after:
            thing.state = "held"
        self.things[thing.id] = thing
        self.all_follow()
        return thing

    # -- one after the other -------------------------------------------------

    def how(self, number):
        """Return how a thing stands for those behind it: ahead, done, failed, removed, or None."""
        thing = self.things.get(number)
        if thing is None:
            return self.ended.get(number)
        if thing.state == "removed":
            return "done" if thing.was == "done" else "removed"
        return "ahead" if thing.state in LIVE else thing.state

    def all_follow(self):
        """Let everything that goes by others stand as they let it, until nothing moves."""
        while [t for t in list(self.things.values()) if t.follows and self._follow(t)]:
            pass

    def _follow(self, thing):
        fell = thing.state == "failed" and thing.after
        if not (thing.state == "held" or fell):
            return False
        before = dict(vars(thing))
        over = ("done", "failed", "removed", "replaced") if thing.rule == "run" else ("done",)
        thing.after = tuple(i for i in thing.after if self.how(i) not in over)
        bad = [i for i in thing.after if self.how(i) != "ahead"]
        lost = fell and self._owner(thing.key) is not None
        if bad:
            word = "failed" if self.how(bad[0]) == "failed" else "was removed"
            thing.last_error = f"item {bad[0]} {word}"
            thing.state = "failed" if thing.rule == "fail" else "held"
        elif not thing.after and not lost:
            thing.state, thing.last_error = "pending", None
            if thing.not_before is not None and thing.not_before > self.clock():
                thing.state = "delayed"
            else:
                thing.not_before = None
        elif not lost:
            thing.state, thing.last_error = "held", None
        if lost and not (bad and thing.state == "failed"):
            vars(thing).update(before)  # somebody else has its key by now: it stays as it is
        return before != vars(thing)

    def _gone(self, thing, how):
        """Let nothing be left of a thing but how it ended."""
        self.ended[thing.id] = how
        del self.things[thing.id]

    def claim(self, lease=None):
        """Bring back what is due and what was lost, then claim the first in the order."""
        now = self.clock()
        for thing in self.things.values():
            if thing.state == "active" and thing.lease_until <= now:
                spent = thing.attempts >= thing.max_attempts
                lost = "the lease ran out before the worker finished"
                self._end(thing, "failed" if spent else "pending", "lost", lost)
                self.all_follow()
            elif self.is_pending(thing):
                thing.state, thing.not_before = "pending", None
        pending = [t for t in self.things.values() if t.state == "pending" and not self._full(t)]
        if self.paused or not pending:
            return None
        thing = self.in_order(pending, self.order_time())[0]
        thing.state, thing.lease_until = "active", now + (self.c.lease if lease is None else lease)
        thing.attempts += 1
        thing.claims += 1
        return thing

    def _full(self, thing):
        busy = [t for t in self.things.values() if _active(t) and t.limit == thing.limit]
        return thing.limit is not None and len(busy) >= self.c.limits.get(thing.limit, 1)

    def done(self, ref):
        """End well."""
        thing = self._claimed(ref)
        self._end(thing, "done", "done", None)
        if not self.c.keep_done:
            self._gone(thing, "done")
        self.all_follow()
        return thing

    def done_and_claim(self, ref, lease=None):
        """One after the other."""
        self.done(ref)
        return self.claim(lease)

    def fail(self, ref, error=None, dead=False):
        """End badly."""
        thing = self._claimed(ref)
        if dead or thing.attempts >= thing.max_attempts:
            self._end(thing, "failed", "failed", error)
            self.all_follow()
            return thing
        self._end(thing, "delayed", "failed", error)
        return self._wait(thing, thing.attempts)

    def defer(self, ref, error=None):
        """Put off."""
        thing = self._end(self._claimed(ref), "delayed", "deferred", error)
        thing.attempts -= 1
        row = 0
        for entry in reversed(thing.history[-20:]):
            if entry["outcome"] != "deferred":
                break
            row += 1
        return self._wait(thing, row)

    def release(self, ref):
        """Give back."""
        thing = self._claimed(ref)
        thing.state, thing.lease_until = "pending", None
        thing.attempts -= 1
        return thing

    def renew(self, ref, lease=None):
        """Prolong."""
        thing = self._claimed(ref)
        thing.lease_until = self.clock() + (self.c.lease if lease is None else lease)
        return thing

    def retry(self, ref, priority=None):
        """Make pending again."""
        thing = self.get(ref)
        if thing.state not in ("failed", "held", "delayed"):
            raise ConflictError
        if self._owner(thing.key) not in (None, thing):
            raise KeyTakenError
        again = thing.after and not thing.follows
        thing.state, thing.not_before, thing.attempts = "pending", None, 0
        thing.priority = priority or thing.priority
        thing.follows = bool(again)
        if again:
            thing.state = "held"
        else:
            thing.after = ()
        self.all_follow()
        return thing

    def hold(self, ref):
        """Suspend."""
        thing = self.get(ref)
        if thing.state not in ("pending", "delayed", "held"):
            raise ConflictError
        thing.state, thing.not_before, thing.follows = "held", None, False
        return thing

    def cancel(self, ref, hold=False):
        """Let it fail, or hold it."""
        thing = self.get(ref)
        if thing.state not in ("active", "pending", "delayed", "held"):
            raise ConflictError
        state = "held" if hold else "failed"
        thing.follows = False
        if thing.state == "active":
            self._end(thing, state, "cancelled", "cancelled")
        else:
            thing.state, thing.not_before = state, None
            thing.last_error = thing.last_error if hold else "cancelled"
        self.all_follow()
        return thing

    def change(self, ref, priority=None, delay=None, limit=None):
        """Change lane or due time."""
        thing = self.get(ref)
        if thing.state in ("done", "removed"):
            raise ConflictError
        new = {None: thing.limit, "none": None}.get(limit, limit)
        if _active(thing) and new != thing.limit:
            raise ConflictError
        if delay is not None:
            if thing.state not in ("pending", "delayed"):
                raise ConflictError
            thing.state = "delayed" if delay else "pending"
            thing.not_before = self.clock() + delay if delay else None
        thing.priority, thing.limit = priority or thing.priority, new
        return thing

    def remove(self, ref):
        """Take away, for a day, and let go of what was taken away a day ago."""
        thing = self.get(ref)
        if thing.state in ("active", "removed"):
            raise ConflictError
        latest = max((t.kept_until for t in self._removed()), default=0)
        thing.was, thing.state = thing.state, "removed"
        thing.kept_until = max(math.floor(self.clock() + 86400), latest + 1)
        for old in [t for t in self._removed() if t.kept_until <= self.clock()]:
            self._gone(old, "done" if old.was == "done" else "removed")
        self.all_follow()
        return thing

    def restore(self, ref):
        """Bring back as it was; what came due meanwhile is pending."""
        thing = self.get(ref)
        if thing.state != "removed":
            raise ConflictError
        if thing.was in LIVE and self._owner(thing.key) is not None:
            raise KeyTakenError
        thing.state, thing.was, thing.kept_until = thing.was, None, None
        if thing.state == "delayed" and thing.not_before <= self.clock():
            thing.state, thing.not_before = "pending", None
        self.all_follow()
        return thing

    def _removed(self):
        return [t for t in self.things.values() if t.state == "removed"]

    def get(self, ref):
        """Return the thing that an id or a claim names."""
        number = int(str(ref).partition(".")[0])
        if number not in self.things:
            raise NoSuchItemError
        return self.things[number]

    # -- inside ------------------------------------------------------------

    def _owner(self, key):
        if key is None:
            return None
        owners = [t for t in self.things.values() if t.state in LIVE and t.key == key]
        return owners[0] if owners else None

    def _claimed(self, ref):
        thing = self.get(ref)
        claim = str(ref).partition(".")[2]
        if thing.state != "active" or (claim and int(claim) != thing.claims):
            raise StaleClaimError
        return thing

    def _end(self, thing, state, outcome, error):
        thing.state, thing.lease_until = state, None
        thing.last_error = error if error is not None else thing.last_error
        thing.history.append({"outcome": outcome})
        return thing

    def _wait(self, thing, times):
        wait = self.c.backoff * self.c.backoff_factor ** (times - 1)
        thing.not_before = self.clock() + min(wait, self.c.max_backoff)
        return thing


def _id(thing):
    return thing.id
