"""What is no argument of a verb is refused, says what is wanted, and changes nothing."""

from __future__ import annotations

import asyncio
import inspect
import io
import math
import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import pytest
from queues import BACKENDS, Clock, make_queue, snapshot

import pq_cli
from pq_cli import (
    ConfigError,
    Duty,
    Item,
    Limits,
    MemoryQueue,
    Queue,
    QueueConfig,
    Request,
    Spool,
    State,
    UsageError,
    drain,
    work,
)

FLAG = [1, 0, None, "yes", "True"]
TEXT = [5, 0, b"x", ["x"], ValueError("x")]
SECONDS = ["5m", "300", "soon", b"5", True, timedelta(minutes=5), [5], -1, math.nan]
REFERENCE = [None, 1.5, True, b"1", object(), [1], "x", Request()]
FUNCTION = [5, "now", object()]
WRONG = {
    "payload": ["text", 5, None, Path("x"), io.StringIO("x"), [1, 2], iter([b"x"])],
    "priority": ["3", "high", 2.5, True, 0, 11, [5]],
    "key": TEXT,
    "if_exists": ["maybe", None, True, ["skip"]],
    "delay": [*SECONDS, math.inf],
    "at": ["2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC), True, -1, math.inf],
    "timeout": [*SECONDS, 0, math.inf],
    "max_attempts": ["3", 1.5, True, 0],
    "name": TEXT,
    "metadata": [["x"], "x", {1: "x"}, {"x": object()}, 5],
    "lease": [*SECONDS, 0, math.inf],
    "bound": FLAG,
    "wait": [*SECONDS, None],
    "item": REFERENCE,
    "item_id": REFERENCE,
    "items": [5, "1", None, b"1"],
    "error": TEXT,
    "by": TEXT,
    "hold": FLAG,
    "remove": FLAG,
    "reason": TEXT,
    "dead": FLAG,
    "later": FLAG,
    "dry_run": FLAG,
    "status": ["0", 1.5, True, -1],
    "state": ["finished", 5, [State.FAILED]],
    "states": ["failed", State.FAILED, 5, ["finished"], [None]],
    "batch": ["now", True, -1],
    "records": [5, [b"x"], [("text", Request())], [(b"x", {"priority": 3})], b"x"],
    "path": ["", 5, None, b"x", "a\0b"],
    "create": FLAG,
    "config": [{"lease": 5}, 5, "fast"],
    "clock": FUNCTION,
    "jitter": FUNCTION,
    "lock_timeout": [*SECONDS, math.inf],
    "report": FUNCTION,
    "queue": [None, "spool", Path("x")],
    "handler": [None, "cat", 5],
    "concurrency": ["4", 1.5, True, 0],
    "follow": FLAG,
    "limits": [5, {"max_items": 5}],
    "gate": FUNCTION,
    "stop": [True, 5],
    "watch": FUNCTION,
    "prefix": [5, None, b"x"],
    "most": ["5", 1.5, True, -1],
    "settings": [5, ["lease=5"], {"lease": 5}, {5: "x"}],
    "only": [5, "failed", [State.FAILED], {"key": "x"}],
    "selection": [None, 5, "failed", [State.FAILED]],
    "after": ["1", 5, {1}, 0],
    "if_failed": ["stop", 5, ""],
    "limit": [*TEXT, "-x", "a b", "x" * 100],
    "duty": [None, 5, "idle", {"slots": 2}],
    "idle": FUNCTION,
    "trouble": FUNCTION,
    "old": [None, 5, b"x"],
    "new": [None, 5, b"x"],
    "after_event": [*REFERENCE[1:3], "1", -1],
    "kept_until": ["5m", True, -1, math.nan],
}
"""By the name of an argument, which means the same in every verb: what it must not be."""
NOT_VERBS = {
    "arrivals", "attempt_logs", "attend", "commit", "commit_claimed", "departures",
    "keep_log", "log", "lost", "open_drop_box", "stage", "stage_file", "backlog", "write_config",
    "removed", "removal", "expire", "unstage", "open_log", "quarantined", "facts", "reference",
    "taken", "reader_of", "uuid",
}  # fmt: skip
"""What `Spool` has for the commands alone."""
INTO = {"retry": "hold", "hold": None, "change": None, "remove": None, "open_payload": None,
        "get": None, "payload": None, "restore": "remove"}  # fmt: skip
"""What must have been done to an item before a verb can act on it; else it is claimed."""


def verbs(cls):
    """Return the names of the methods that a queue offers to programs."""
    found = {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if name[0] != "_"}
    return sorted(found - NOT_VERBS)


def arguments(function):
    """Return the names of what a function or class takes."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


CALLS = [
    (cls, verb, name)
    for cls in (MemoryQueue, Spool)
    for verb in verbs(cls)
    for name in arguments(getattr(cls, verb))
]


def refuses(name, call, value):
    """Check that a call with a wrong value raises a UsageError that names what is wanted."""
    with pytest.raises(UsageError) as error:
        call(**{name: value})
    text = str(error.value)
    assert re.search(rf"\b{name.partition('_')[0]}", text), text
    assert re.search(r"give |must be |cannot be |has ", text), text
    assert "\n" not in text


@pytest.mark.parametrize(("cls", "verb", "name"), CALLS, ids=lambda v: getattr(v, "__name__", v))
def test_every_argument_of_every_verb_is_checked(cls, verb, name, tmp_path):
    """A wrong type or range is a UsageError that says what is wanted; the queue is as before."""
    q = make_queue("memory" if cls is MemoryQueue else "spool-fast", tmp_path, Clock())
    q.enqueue(b"x")
    before = INTO.get(verb, "claim")
    if before == "claim":
        q.claim()
    elif before is not None:
        getattr(q, before)(1)
    needed = {
        "item": 1,
        "item_id": 1,
        "payload": b"x",
        "states": [],
        "records": [],
        "items": [],
        "prefix": "",
        "old": "",
        "new": "",
        "duty": Duty(),
    }
    given = {k: v for k, v in needed.items() if k in arguments(getattr(cls, verb)) and k != name}

    def call(**wrong):
        found = getattr(q, verb)(**given, **wrong)
        if verb in ("items", "each_claimed"):
            list(found)
        if verb == "claimed":
            found.__enter__()

    held = snapshot(q)
    for value in WRONG[name]:
        refuses(name, call, value)
    assert snapshot(q) == held
    assert q.enqueue(b"y").id == 2, "an id was used up"


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in (MemoryQueue, Spool) for name in arguments(cls)]
)
def test_every_argument_of_a_queue_is_checked(cls, name, tmp_path):
    """Making a queue: the same, and no folder is made."""

    def call(**wrong):
        cls(**({"path": tmp_path / "spool"} if cls is Spool else {}) | wrong)

    for value in WRONG[name]:
        refuses(name, call, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", arguments(drain))
def test_every_argument_of_drain_and_work_is_checked(name):
    """Before anything is claimed; the two take the same."""
    q = MemoryQueue()
    q.enqueue(b"x")
    given = {"queue": q, "handler": print}
    assert inspect.signature(drain).parameters == inspect.signature(work).parameters
    for value in WRONG[name]:
        refuses(name, lambda **wrong: asyncio.run(drain(**given | wrong)), value)
        refuses(name, lambda **wrong: work(**given | wrong), value)
    assert q.get(1).claims == 0


def test_every_limit_is_checked():
    """No bound of a drain may be text, a truth value or below zero."""
    for name in Limits.FIELDS:
        for value in ("5", "10/s", True if name != "slow_down" else 1, -1, math.nan, [5]):
            with pytest.raises(UsageError, match=name):
                work(MemoryQueue(), print, limits=Limits(**{name: value}))


def test_every_field_of_the_policy_is_checked():
    """A field of QueueConfig that is of another type is a ConfigError that names it."""
    for name in QueueConfig.FIELDS:
        for value in (object(), [object()], None):
            with pytest.raises(ConfigError, match=rf"{name} = .*allowed is"):
                MemoryQueue(QueueConfig(**{name: value}))


def test_a_duration_as_text_is_told_in_seconds():
    """Who writes "5m" is told what to write instead."""
    for call in (
        lambda: MemoryQueue().enqueue(b"", delay="5m"),
        lambda: MemoryQueue().claim(lease="5m"),
        lambda: MemoryQueue().claim(wait="5m"),
    ):
        with pytest.raises(UsageError, match=r"(delay|lease|wait) '5m': give seconds.*=300$"):
            call()


def test_text_as_a_payload_is_told_how_it_becomes_bytes():
    """The commonest mistake of all."""
    with pytest.raises(UsageError, match=r"payload 'text': give bytes, e\.g\. text\.encode\(\)"):
        MemoryQueue().enqueue("text")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("gives", ["text", None, 5])
def test_a_stream_that_gives_no_bytes_is_refused(backend, gives, tmp_path):
    """Also one that has nothing just now: a payload is whole or there is no item."""

    class Odd:
        parts = [b"begin", gives, b"end"]

        def read(self, _size=-1):
            return self.parts.pop(0)

    q = make_queue(backend, tmp_path, Clock())
    stream = Odd()
    if backend == "memory":
        stream.parts = [gives]
    with pytest.raises(UsageError, match=r"payload .*read"):
        q.enqueue(stream)
    assert snapshot(q) == [] and q.enqueue(b"").id == 1


def test_what_looks_like_an_argument_is_one():
    """Names of states, ids as text, whole numbers as seconds: what is clear is taken."""
    q = MemoryQueue()
    q.enqueue(memoryview(b"ab"), delay=0, key=None)
    q.fail(q.claim(lease=60, wait=0), dead=True, status=1)
    assert [i.id for i in q.items(["failed"])] == [i.id for i in q.items({State.FAILED})] == [1]
    assert q.remove("1", state="failed").id == 1


# -- names ---------------------------------------------------------------------


def documented():
    """Yield (where, text) of every docstring that a reader of the API comes upon."""
    for name in pq_cli.__all__:
        thing = getattr(pq_cli, name)
        yield name, thing.__doc__ or ""
        if inspect.isclass(thing) and not issubclass(thing, Enum):
            for member, _ in inspect.getmembers_static(thing):
                if not member.startswith("_"):
                    yield f"{name}.{member}", getattr(getattr(thing, member), "__doc__", "") or ""


def test_what_docstrings_name_can_be_imported():
    """Every error that a public docstring names is in `pq_cli`, or Python's own."""
    import builtins

    named = {
        (word, where)
        for where, text in documented()
        for word in re.findall(r"\b[A-Z]\w*Error\b", text)
        if not hasattr(builtins, word)
    }
    assert len(named) > 20
    assert {(w, where) for w, where in named if w not in pq_cli.__all__} == set()


def test_what_signatures_name_can_be_imported():
    """Every type in the signature of a verb, of `drain` and of `work` is in `pq_cli`."""
    ours = re.compile(r"\b[A-Z]\w+")
    known = {"Any", "BinaryIO", "None", "Iterable", "Iterator", "Callable", "PathLike", "Sequence",
             "AbstractContextManager", "OSError"}  # fmt: skip
    functions = [drain, work, MemoryQueue.__init__, Spool.__init__]
    functions += [getattr(cls, v) for cls in (Queue, Spool) for v in verbs(cls)]
    named = {
        word
        for function in functions
        for annotation in function.__annotations__.values()
        for word in ours.findall(annotation)
    }
    assert named - known - set(pq_cli.__all__) == set()


def test_both_queues_are_queues(tmp_path):
    """A function annotated with `Queue` can be given either: the same verbs, the same arguments."""
    assert isinstance(MemoryQueue(), Queue)
    assert isinstance(Spool(tmp_path / "s"), Queue)
    for verb in verbs(Queue):
        wanted = list(inspect.signature(getattr(Queue, verb)).parameters.values())
        for cls in (MemoryQueue, Spool):
            own = list(inspect.signature(getattr(cls, verb)).parameters.values())
            assert own[: len(wanted)] == wanted, f"{cls.__name__}.{verb}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_queue_is_a_context(backend, tmp_path):
    """`with` gives the queue itself; what was in it is still there, also after the end."""
    with make_queue(backend, tmp_path, Clock()) as q:
        q.enqueue(b"x")
    assert isinstance(q.get(1), Item) and q.claim().id == 1
    q.close()
