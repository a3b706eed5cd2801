"""done, fail, release, renew, retry, set, hold, rm, purge, age, init, show, cat: real processes."""

from __future__ import annotations

import json
import os
import pwd
from typing import Any

import pytest
from support import Pq, tree

from pq_cli import Spool


def shown(pq: Pq, item: int) -> dict[str, Any]:
    """Return what `show --json` says."""
    found: dict[str, Any] = json.loads(pq("show", "--json", item).out)
    return found


# -- naming items --------------------------------------------------------------------


def test_item_by_id_claim_path_and_stdin(pq: Pq) -> None:
    """An ITEM is an id, a claim, a path of the item in the spool (payload or meta), or on stdin."""
    ids = pq.fill(b"a", b"b", b"c", b"d", b"e")
    claims = [pq("next", "--claim").text.strip() for _ in ids]
    with pq.api() as spool:
        payload, meta = spool.get(3).path, f"{spool.get(4).path}.meta.json"
    ran = pq("done", ids[0], claims[1], payload, meta, "-", stdin=b"\n 5.1 \n")
    assert (ran.out, ran.err) == (b"", "")
    assert pq.states() == {}


def test_relative_path(pq: Pq) -> None:
    """A path may be relative, as a shell completes it."""
    pq.fill(b"a")
    with pq.api() as spool:
        path = spool.get(1).path or ""
    relative = path.removeprefix(str(pq.folder) + "/")
    assert pq("cat", relative, cwd=pq.folder).out == b"a"


def test_spool_option_before_and_after(pq: Pq) -> None:
    """`-s DIR` stands before or after the command, and wins over PQ_SPOOL."""
    other = pq.folder / "other"
    for args in (
        ("-s", other, "enqueue"), ("enqueue", "-s", other), ("--spool", other, "enqueue"),
        (f"--spool={other}", "enqueue"), ("enqueue", f"--spool={other}"), (f"-s{other}", "enqueue"),
    ):  # fmt: skip
        pq(*args, stdin=b"x")
    assert not pq.spool.exists()
    with Spool(other) as spool:
        assert len(spool) == 6
    assert "command is missing" in pq("-s", other, expect=2).err
    assert "command is missing" in pq("-s", expect=2).err


def test_default_spool(pq: Pq) -> None:
    """Without -s and PQ_SPOOL the spool is XDG_STATE_HOME's, else ~/.local/state's; a relative
    XDG_STATE_HOME does not count."""
    del pq.env["PQ_SPOOL"]
    pq("init")
    assert (pq.folder / ".local/state/pq/default/state.json").exists()
    pq.env["XDG_STATE_HOME"] = str(pq.folder / "state")
    pq("init")
    assert (pq.folder / "state/pq/default/state.json").exists()
    pq.env["XDG_STATE_HOME"] = "relative"
    assert "stays as it is" in pq("init").err


VERBS = ["done", "fail", "release", "renew", "hold", "cancel", "rm", "retry", "show", "cat",
         "explain"]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_one_bad_item_does_not_stop_the_others(pq: Pq, verb: str) -> None:
    """Of several ITEMs the good ones are treated; each bad one gets a line; the first's status."""
    state = {"retry": "held", "hold": "pending", "rm": "pending"}.get(verb, "active")
    with pq.api() as spool:
        for payload in (b"a", b"b"):
            spool.enqueue(payload)
            if state == "active":
                spool.claim(bound=False)
            elif state == "held":
                spool.hold(spool.get(len(spool)))
    before = pq.tree()
    ran = pq(verb, 1, 99, "high", 2, expect=3)
    assert ran.err == (
        f"pq: there is no item 99 in {pq.spool}; `pq ls` lists those that are there\n"
        "pq: high is not an item: give an id (1742) or a claim (1742.2); "
        f"`pq help {verb}` tells what it takes\n"
    )
    if verb == "cat":
        assert ran.out == b"ab"
    assert (pq.tree() == before) == (verb in ("show", "cat", "explain"))


CHANGES = (
    ("renew 1.1", "active"), ("release 1.1", "pending"), ("hold 1 2", "held held"),
    ("retry --state held", "pending pending"), ("set 1 -p 2", "pending"),
    ("cancel --name report --dry-run", "pending pending pending"), ("cancel 1", "failed"),
    ("rm 1", "removed"), ("undo", "failed"), ("purge --state failed --dry-run", "failed"),
    ("purge --state failed", "removed"), ("fail 2.1", "delayed"), ("done 3.1", "done"),
)  # fmt: skip
"""Command lines, one after another, and in which state each leaves those that it is about."""


def test_what_a_change_has_made_of_items_is_told_as_json(pq: Pq) -> None:
    """--json of each verb that changes items: a line an item, as `ls --json` would show it then."""
    pq.fill(b"a", b"b", b"c", name="report")
    pq("next", "--claim")
    for words, wanted in CHANGES:
        if words.startswith("fail"):
            pq("next", "--claim")
            pq("next", "--claim")
        records = [json.loads(line) for line in pq(*words.split(), "--json").text.splitlines()]
        assert [record["state"] for record in records] == wanted.split(), words
        assert {record["name"] for record in records} == {"report"}
        gone = records[0]["state"] == "done"
        listed = pq("ls", "--json", "--state", records[0]["state"], expect=int(gone)).text
        for record in records:
            if gone:
                assert record["path"] is None and not listed
            else:
                assert record in [json.loads(line) for line in listed.splitlines()], words
    [record] = [json.loads(line) for line in pq("undo", "--list", "--json").text.splitlines()]
    assert record["id"] == 1 and record["kept_until"].endswith("Z")


def test_a_change_that_nobody_can_be_told_of_is_not_made(pq: Pq) -> None:
    """With --json and no stdout the items stay as they are."""
    pq.fill(b"a")
    assert pq.shell("pq hold 1 --json >&-", expect=74).err
    assert pq("ls").text.split("\t")[1] == "pending"


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_item_changes_nothing(pq: Pq, verb: str) -> None:
    """Things that name no item: exit 2 or 3, one line, and the spool stays as it was."""
    pq.fill(b"a")
    before = pq.tree()
    for word, status in (
        ("", 2),
        ("0x1", 2),
        ("1.", 2),
        ("1.x", 2),
        ("١", 2),
        ("/etc/passwd", 2),
        ("0", 3),
        ("1" * 18, 3),
        ("1" * 30, 2),
        (str(pq.spool / "lock"), 2),
    ):
        ran = pq(verb, word, expect=status)
        assert len(ran.err.splitlines()) == 1
    assert pq.tree() == before


# -- ending claims -------------------------------------------------------------------


def test_done_removes_or_keeps(pq: Pq) -> None:
    """`done` removes the item; with keep_done it stays, in state done, until `purge`."""
    pq.fill(b"a")
    pq("done", pq("next", "--claim").text.strip())
    assert pq.states() == {}
    (pq.spool / "queue.toml").write_text('keep_done = "1d"\n')
    pq.fill(b"b")
    pq("done", pq("next", "--claim").text.strip())
    assert pq.states() == {2: "done"}
    pq("purge")
    assert pq.states() == {2: "done"}
    assert pq("purge", "--state", "done").text == "2\n"


@pytest.mark.parametrize("verb", ["done", "fail", "release", "renew"])
def test_verbs_on_what_is_not_claimed(pq: Pq, verb: str) -> None:
    """Ending a claim that nobody has: exit 4, one line with the item's state, nothing changed."""
    pq.fill(b"a")
    before = pq.tree()
    for ref in ("1", "1.1"):
        assert (
            pq(verb, ref, expect=4).err
            == f"pq: {ref} is not claimed: item 1 is pending; `pq show 1` tells how it stands\n"
        )
    assert pq.tree() == before


def test_fail_retries_with_backoff_then_dead_letter(pq: Pq) -> None:
    """`fail` delays by backoff * factor ** (attempts - 1), capped, less at most a tenth of jitter;
    at max_attempts the item is a dead letter."""
    pq("init")
    (pq.spool / "queue.toml").write_text('backoff = "100s"\nmax_backoff = "150s"\n')
    pq.fill(b"a", max_attempts=3)
    for attempt, wait in ((1, 100), (2, 150)):
        claim = pq("next", "--claim").text.strip()
        pq("fail", claim, "--error", f"problem {attempt}")
        item = shown(pq, 1)
        assert (item["state"], item["last_error"]) == ("delayed", f"problem {attempt}")
        with pq.api() as spool:
            found = spool.get(1)
        assert 0.9 * wait <= (found.not_before or 0) - found.updated_at <= wait
        pq("set", 1, "--delay", 0)
    pq("fail", pq("next", "--claim").text.strip())
    assert shown(pq, 1)["state"] == "failed"


def test_fail_dead(pq: Pq) -> None:
    """`fail --dead` makes no further attempt, whatever is left of them."""
    pq.fill(b"a")
    pq("fail", "--dead", "--error", "hopeless", pq("next", "--claim").text.strip())
    item = shown(pq, 1)
    assert (item["state"], item["attempts"], item["last_error"]) == ("failed", 1, "hopeless")


def test_release_is_uncounted_and_in_place(pq: Pq) -> None:
    """`release` gives the item back as the head of its lane, and the attempt does not count."""
    pq.fill(b"a", b"b")
    pq("release", pq("next", "--claim").text.strip())
    assert shown(pq, 1)["attempts"] == 0
    assert pq("next", "--claim").text == "1.2\n"


def test_renew(pq: Pq) -> None:
    """`renew --lease D` prolongs the claim to D from now; a lease of 0 is a usage error."""
    pq.fill(b"a")
    claim = pq("next", "--claim", "--lease", "10s").text.strip()
    pq("renew", claim, "--lease", "2h")
    with pq.api() as spool:
        item = spool.get(1)
        assert (item.lease_until or 0) - item.updated_at == pytest.approx(7200)
    pq("renew", claim, "--lease", "0", expect=2)


# -- changes by people ----------------------------------------------------------------


def test_retry_keeps_id_place_and_history(pq: Pq) -> None:
    """`retry` sends a dead letter back to its place by id, attempts 0, its history kept."""
    pq.fill(b"a", b"b")
    pq("fail", "--dead", "--error", "no", pq("next", "--claim").text.strip())
    pq("retry", 1)
    item = shown(pq, 1)
    assert (item["state"], item["attempts"], len(item["history"])) == ("pending", 0, 1)
    assert pq("next", "--claim").text.startswith("1.")


def test_set_priority_and_delay(pq: Pq) -> None:
    """`set -p` moves an item to its place by id in another lane; `set --delay` says when."""
    pq.fill(b"a", b"b", priority=5)
    pq.fill(b"c", priority=2)
    pq("set", 1, "-p", 2)
    assert pq("next", "--claim").text == "1.1\n"
    pq("set", 3, "--delay", "1h")
    assert shown(pq, 3)["state"] == "delayed"
    pq("set", 3, "--delay", "0")
    assert shown(pq, 3)["state"] == "pending"
    pq("set", 3, expect=2)


def test_hold_until_retry(pq: Pq) -> None:
    """A held item is not served until it is retried; an active one cannot be held (exit 4)."""
    pq.fill(b"a")
    pq("hold", 1)
    pq("hold", 1)
    pq("next", expect=1)
    pq("retry", 1)
    pq("next", "--claim")
    pq("hold", 1, expect=4)


def test_cancel(pq: Pq) -> None:
    """`cancel` lets items fail and says who did it; or holds them, or removes them together.

    What has ended is refused (exit 4).
    """
    pq.fill(b"a", b"b", b"c", b"d")
    pq("next", "--claim")
    pq("cancel", 1)
    who = pwd.getpwuid(os.getuid()).pw_name
    assert f"cancelled by {who}" in pq("show", 1).text
    pq("next", "--claim")
    pq("cancel", "--hold", 2)
    assert pq.states() == {1: "failed", 2: "held", 3: "pending", 4: "pending"}
    pq("next", "--claim")
    pq("cancel", "--remove", 3, 4)
    assert pq.states() == {1: "failed", 2: "held"}
    assert "item 1 is failed" in pq("cancel", 1, expect=4).err
    assert "exclude each other" in pq("cancel", "--hold", "--remove", 2, expect=2).err
    pq("undo")
    assert pq.states() == {1: "failed", 2: "held", 3: "failed", 4: "pending"}


def test_rm(pq: Pq) -> None:
    """`rm` removes an item in any state but active (exit 4)."""
    pq.fill(b"a", b"b")
    pq("next", "--claim")
    assert "active" in pq("rm", 1, 2, expect=4).err
    assert pq.states() == {1: "active"}


def test_what_was_removed_is_listed_shown_and_comes_back(pq: Pq) -> None:
    """`removed` is a state: `ls` lists it if asked, `show` says what it was, `undo` reverts it."""
    pq.fill(b"a", b"b", b"c")
    pq("hold", 2)
    pq("rm", 2, 3)
    assert [line.split("\t")[:2] for line in pq("ls").text.splitlines()] == [["1", "pending"]]
    listed = pq("ls", "--state", "removed").text.splitlines()
    assert [line.split("\t")[:2] for line in listed] == [["2", "removed"], ["3", "removed"]]
    shown = json.loads(pq("show", "--json", 2).text)
    assert (shown["state"], shown["was"]) == ("removed", "held") and shown["kept_until"]
    assert pq("cat", 2).out == b"b"
    pq("rm", 2, expect=4)
    assert pq("undo").text == "2\n3\n"
    assert pq.states() == {1: "pending", 2: "held", 3: "pending"}
    pq("undo", expect=1)


def test_purge_of_what_was_removed_is_for_good(pq: Pq) -> None:
    """It goes alone, so that nothing is removed and let go at once by a slip."""
    pq.fill(b"a", b"b")
    pq("rm", 1)
    for more in (("--state", "failed"), ("--older-than", "1h"), ("--dry-run",)):
        pq("purge", "--state", "removed", *more, expect=2)
    assert "1 item is gone" in pq("purge", "--state", "removed").err
    pq("undo", 1, expect=3)
    assert pq.states() == {2: "pending"}


def test_purge(pq: Pq) -> None:
    """`purge` sweeps by state and age, says what with --dry-run, and never what is active."""
    pq.fill(b"a", b"b", b"c")
    pq("fail", "--dead", pq("next", "--claim").text.strip())
    pq("hold", 2)
    before = pq.tree()
    assert pq("purge").out == b""  # keep_failed is 30 days
    assert pq("purge", "--dry-run", "--state", "failed,held").text == "2\n1\n"
    assert pq.tree() == before
    assert pq("purge", "--state", "failed", "--older-than", "1h").out == b""
    assert pq("purge", "--state", "failed", "--older-than", "0").text == "1\n"
    assert pq("purge", "--state", "held").text == "2\n"
    pq("next", "--claim")
    pq("purge", "--state", "active", expect=2)
    pq("purge", "--older-than", "1h", expect=2)
    assert pq.states() == {3: "active"}


def test_age_live(pq: Pq) -> None:
    """`age` reports priority, effective, count and oldest id of what has aged, and moves nothing
    when the clock is live."""
    pq.fill(b"a", b"b", priority=8)
    before = pq.tree()
    assert pq("age").out == b""
    assert pq("age", "--at", "2099-01-01T00:00:00Z").text == "8\t4\t2\t1\n"
    (line,) = pq("age", "--json", "--at", "2099-01-01").out.splitlines()
    assert json.loads(line) == {"priority": 8, "effective": 4, "count": 2, "oldest_id": 1}
    assert pq.tree() == before


def test_age_manual(pq: Pq) -> None:
    """With the manual clock the order changes when `age` says so, and not with --dry-run."""
    pq("init")
    (pq.spool / "queue.toml").write_text('aging_clock = "manual"\nmax_priority_boost = 9\n')
    with Spool(pq.spool, clock=lambda: 1_000_000_000.0) as spool:
        spool.enqueue(b"old", priority=9)
    pq.fill(b"new", priority=3)
    pq("age", "--dry-run")
    assert pq("ls").words[0] == "2"
    pq("age")
    assert pq("ls").words[0] == "1"
    assert pq("next", "--ack").out == b"old"


def test_init_writes_the_defaults_once(pq: Pq) -> None:
    """`init` writes a queue.toml that changes nothing, and never over one that is there."""
    pq("init")
    text = (pq.spool / "queue.toml").read_text()
    uncommented = [line[1:] for line in text.splitlines() if line.startswith("#") and " = " in line
                   and not line.startswith("# ")]  # fmt: skip
    (pq.spool / "queue.toml").write_text("\n".join(uncommented))
    from pq_cli import QueueConfig

    with Spool(pq.spool) as spool:
        assert spool.config == QueueConfig()
    before = tree(pq.spool, without=("counter",))
    assert "stays as it is" in pq("init").err
    assert tree(pq.spool, without=("counter",)) == before


# -- looking ---------------------------------------------------------------------------


def test_show(pq: Pq) -> None:
    """`show` prints field and value, one a line; `--json` one object a line, both of all items."""
    pq.fill(b"abc", name="n", key="k", metadata={"a": "b"})
    pq.fill(b"")
    fields = dict(line.split("\t") for line in pq("show", 1).text.splitlines())
    assert (fields["id"], fields["size"], fields["key"], fields["state"]) == (
        "1",
        "3",
        "k",
        "pending",
    )
    assert fields["metadata"] == '{"a":"b"}'
    names = {"id", "state", "priority", "effective", "created_at", "updated_at", "not_before",
             "attempts", "max_attempts", "key", "name", "size", "last_error", "metadata", "claim",
             "lease_until", "path"}  # fmt: skip
    items = [json.loads(line) for line in pq("show", "--json", 1, 2).out.splitlines()]
    assert [item["id"] for item in items] == [1, 2]
    assert all(names <= set(item) for item in items)


def test_looking_never_claims(pq: Pq) -> None:
    """`show`, `cat`, `ls`, `explain` and `stats` change nothing at all in the spool."""
    pq.fill(b"abc")
    before = tree(pq.spool)
    for args in (("show", 1), ("cat", 1), ("ls",), ("explain", 1), ("stats",), ("check",)):
        pq(*args)
    assert tree(pq.spool) == before


# -- help ------------------------------------------------------------------------------


def test_help_everywhere(pq: Pq) -> None:
    """`pq`, `pq help`, `pq help CMD`, `pq CMD --help` and `-h` explain, on stdout, exit 0."""
    assert "enqueue" in pq().text
    assert pq("help").out == pq("--help").out == pq("-h").out
    for name in ("enqueue", "next", "ls"):
        assert pq("help", name).out == pq(name, "--help").out == pq(name, "-h").out
        assert name in pq("help", name).text
    assert pq("--version").text.startswith("pq ")
    assert not pq.spool.exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("enqeue",), "did you mean `pq enqueue`?"),
        (("frobnicate",), "`pq help` lists them"),
        (("help", "frobnicate"), "`pq help` lists them"),
        (("--frobnicate",), "--frobnicate"),
        (("ls", "--frobnicate"), "ls: No such option: --frobnicate"),
        (("enqueue", "--prio", "3"), "enqueue: No such option: --prio"),
        (("done",), "done: Missing argument 'ITEM...'"),
        (("next", "--lease"), "Option '--lease' requires an argument"),
        (("ls", "extra"), "ls: Got unexpected extra argument"),
        (("enqueue", "-p"), "Option '-p' requires an argument"),
    ],
)
def test_usage_errors(pq: Pq, args: tuple[str, ...], said: str) -> None:
    """A wrong command line: exit 2, one line that says what is wrong, and nothing is made."""
    ran = pq(*args, expect=2)
    (line,) = ran.err.splitlines()
    assert line.startswith("pq: ")
    assert said in line
    assert ran.out == b""
    assert not pq.spool.exists()
