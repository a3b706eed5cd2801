"""Items chosen by what they are: in memory, on disk, in a database, and on the command line."""

from __future__ import annotations

import pytest
from queues import BACKENDS, make_queue
from support import Pq

from pq_cli import ConflictError, NoLongerFitsError, Selection, State, UsageError


@pytest.fixture(params=BACKENDS)
def q(request, tmp_path, clock):
    """A queue with an item of each kind: 1 failed, 2 active, 3 pending, 4 delayed, 5 held."""
    q = make_queue(request.param, tmp_path, clock, keep_done=60.0)
    q.enqueue(b"x", key="report-1", priority=2, metadata={"line": 3, "site": "Jena"})
    q.fail(q.claim(), "HTTP 500", dead=True)
    q.enqueue(b"x", key="report-2", name="a.xml", priority=2)
    q.claim()
    clock.pass_(100)
    q.enqueue(b"x", name="b.xml", metadata={"line": "3"})
    q.enqueue(b"x", key="other", delay=1000)
    q.hold(q.enqueue(b"x", name="c.txt"))
    return q


CHOICES = {
    "all": (Selection(), {1, 2, 3, 4, 5}),
    "state": (Selection(states=(State.FAILED, State.HELD)), {1, 5}),
    "priority": (Selection(priority=2), {1, 2}),
    "age": (Selection(older_than=100), {1, 2}),
    "key": (Selection(key="report-*"), {1, 2}),
    "name": (Selection(name="?.xml"), {2, 3}),
    "error": (Selection(error="HTTP 5*"), {1}),
    "metadata": (Selection(metadata={"line": "3"}), {1, 3}),
    "two": (Selection(metadata={"line": 3, "site": "Jena"}), {1}),
    "none": (Selection(key="report-*", states=(State.PENDING,)), set()),
}


@pytest.mark.parametrize("name", CHOICES)
def test_what_fits_all_that_is_said_is_chosen(q, name):
    """States, base priority, age, globs for key, name and error, metadata: all must fit."""
    selection, wanted = CHOICES[name]
    assert {item.id for item in q.select(selection)} == wanted


VERBS = {
    "hold": (3, State.PENDING, State.HELD), "retry": (1, State.FAILED, State.PENDING),
    "release": (2, State.ACTIVE, State.PENDING), "cancel": (2, State.ACTIVE, State.FAILED),
    "remove": (3, State.PENDING, State.REMOVED),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_acts_only_on_what_still_fits(q, verb):
    """NoLongerFitsError, and nothing has changed, when somebody else was quicker."""
    item_id, state, after = VERBS[verb]
    act = getattr(q, verb)
    before = q.get(item_id)
    for gone in (Selection(states=(State.DONE,)), Selection(states=(state,), key="none")):
        with pytest.raises(NoLongerFitsError, match=f"item {item_id} is {state} now"):
            act(item_id, only=gone)
    assert q.get(item_id) == before
    act(item_id, only=Selection(states=(state,)))
    assert q.get(item_id).state is after
    assert issubclass(NoLongerFitsError, ConflictError)


def test_change_sets_all_that_can_be_said_of_an_item(q, clock):
    """Due time, attempts, name and metadata too; metadata are added to those there are."""
    q.change(1, max_attempts=9, name="n", metadata={"line": 4, "new": [1]})
    item = q.change(1, only=Selection(key="report-1"), priority=7)
    assert (item.max_attempts, item.name, item.priority) == (9, "n", 7)
    assert item.metadata == q.get(1).metadata == {"line": 4, "site": "Jena", "new": [1]}
    assert q.change(3, at=clock() + 5).not_before == clock() + 5
    assert q.change(2, name="at work").claims == 1 and q.done("2.1").name == "at work"
    with pytest.raises(NoLongerFitsError):
        q.change(1, priority=1, only=Selection(priority=1))
    with pytest.raises(UsageError, match="metadata"):
        q.change(1, metadata={"more": "x" * 300_000})


# -- the command line --------------------------------------------------------------


@pytest.fixture
def filled(pq: Pq) -> Pq:
    """Three items with keys and metadata, a failed one, and one at work."""
    for number in (1, 2, 3):
        words = ("-p", number, "--key", f"r{number}", "-m", f"n={number}", "--name", "x")
        pq("enqueue", *words, stdin=b"x")
    pq("fail", "--dead", pq("next", "--claim").text.strip(), "--error", "HTTP 500")
    pq("next", "--claim")
    return pq


def test_ls_selects_and_prints_ids(filled: Pq) -> None:
    """-q prints ids only; what is chosen fits all that is said; exit 1 when nothing does."""
    assert filled("ls", "-q").words == ["2", "3", "1"]
    for words, found in {
        ("--error", "HTTP*"): ["1"], ("--name", "x", "--priority", "3"): ["3"],
        ("-m", "n=2"): ["2"], ("--key", "r[12]", "--state", "active,failed"): ["2", "1"],
    }.items():  # fmt: skip
        assert filled("ls", "-q", *words).words == found
    filled("ls", "-q", "-m", "n=9", expect=1)
    assert "-q excludes" in filled("ls", "-q", "--json", expect=2).err


ACTS = {
    "hold": (("--key", "r*"), "3", "held"), "rm": (("--older-than", "0"), "3 1", "removed"),
    "retry": (("--error", "HTTP*"), "1", "pending again"),
    "release": (("--name", "x"), "2", "released"),
    "cancel": (("-m", "n=2"), "2", "cancelled"),
    "set": (("--of-priority", "3", "-p1"), "3", "changed"),
}  # fmt: skip


@pytest.mark.parametrize("verb", ACTS)
def test_what_ls_selects_verbs_act_on(filled: Pq, verb: str) -> None:
    """--dry-run prints the ids and changes nothing; then how many there are is said, and done."""
    words, found, did = ACTS[verb]
    many = f"{len(found.split())} item{'s' if ' ' in found else ''}"
    before = filled.tree()
    ran = filled(verb, *words, "--dry-run")
    assert (ran.words, ran.err) == (found.split(), f"pq: {many} would be {did}\n")
    assert filled.tree() == before
    ran = filled(verb, *words)
    assert (ran.out, ran.err) == (b"", f"pq: {many} {'are' if ' ' in found else 'is'} {did}\n")
    assert filled.tree() != before
    assert filled(verb, "--key", "none", *(("-p1",) if verb == "set" else ())).err == (
        f"pq: 0 items are {did}\n"
    )


def test_a_choice_is_not_mixed_with_items(filled: Pq) -> None:
    """ITEMs or a choice, and --dry-run only with a choice; a state must be one for the verb."""
    for words, said in {
        ("hold",): "give ITEMs, or say which", ("hold", 3, "--key", "x"): "exclude each other",
        ("rm", 3, "--dry-run"): "--dry-run goes with a choice",
        ("hold", "--state", "done"): "only pending, delayed items can be held",
        ("set", "--key", "x"): "nothing to set",
    }.items():  # fmt: skip
        assert said in filled(*words, expect=2).err


def test_set_takes_what_enqueue_takes(filled: Pq) -> None:
    """--at, --max-attempts, --name and -m, of ITEMs too."""
    words = ("--max-attempts", 7, "--name", "y", "-m", "k=v")
    filled("set", 3, "--at", "2099-01-01T00:00:00Z", *words)
    shown = filled("show", 3).text
    for line in ("state\tdelayed", "max_attempts\t7", "name\ty", "not_before\t2099-01-01"):
        assert line in shown
    assert filled("ls", "-q", "-m", "k=v", "-m", "n=3").words == ["3"]
