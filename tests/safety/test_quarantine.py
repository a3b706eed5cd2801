"""Quarantine: what a repair took out of the queue is told of, and can be brought back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import Pq

from pq_cli.errors import ConflictError, KeyTakenError, NoSuchItemError, QueueFullError

HOMES = {
    "pending": "pending/02/0000000", "held": "held/0000000", "failed": "failed/0000000",
    "done": "done/0000000",
}  # fmt: skip
FIELDS = ("id", "priority", "key", "name", "metadata", "created_at", "max_attempts", "attempts",
          "history", "last_error", "claims")  # fmt: skip


def tear(pq: Pq, path: str) -> str:
    """Append to a payload and let a repair set the item aside; return its name in quarantine."""
    with open(pq.spool / path, "ab") as payload:
        payload.write(b" and more")
    (line,) = [w for w in pq("check", "--repair").text.splitlines() if "\ttorn\t" in w]
    severity, kind, number, where, detail = line.split("\t")
    assert (severity, kind, where) == ("mended", "torn", path) and number == str(int(path[-10:]))
    found = re.search(r"bytes, should have \d+; now quarantine/(\S+)$", detail)
    assert found is not None, detail
    return found[1]


def made(pq: Pq, state: str) -> None:
    """Make item 1 in this state, with everything that an item can have."""
    with pq.api(keep_done=1e6) as spool:
        spool.enqueue(
            b"payload", priority=2, key="k", name="n", metadata={"a": [1]}, max_attempts=7
        )
        spool.fail(spool.claim() or 0, "no", dead=True)
        spool.retry(1)
        if state == "held":
            spool.hold(1)
        elif state == "failed":
            spool.fail(spool.claim() or 0, "never", dead=True)
        elif state == "done":
            spool.done(spool.claim() or 0)


@pytest.mark.parametrize("state", HOMES)
def test_it_comes_back_as_it_was_with_the_bytes_that_it_has(pq: Pq, state: str) -> None:
    """Id, priority, key, history and state come back; size and checksum are those of now."""
    made(pq, state)
    with pq.api() as spool:
        before = spool.get(1)
    name = tear(pq, f"{HOMES[state]}/0000000001")
    assert pq("ls", "--state", state, expect=1).out == b""
    ran = pq("check", "--restore", name)
    assert ran.words == ["1"] and f"item 1 is back: {state}, 16 bytes" in ran.err
    with pq.api() as spool:
        after = spool.get(1)
        assert spool.payload(1) == b"payload and more"
        assert [r["event"] for r in spool.log()][-1] == "restored"
        if state in ("pending", "held"):
            assert spool.enqueue(b"x", key="k").id == 1
    assert {n: getattr(after, n) for n in FIELDS} == {n: getattr(before, n) for n in FIELDS}
    assert str(after.state) == state
    ran = pq("check")
    assert ran.out == b"" and ran.err == "pq: no damage; 0 mended, 0 harmless leftovers\n"
    assert not list((pq.spool / "quarantine").iterdir())


def test_everybody_who_looks_is_told(pq: Pq) -> None:
    """`check`, `doctor`, `ls` and `stats` say how many lie there, until none does."""
    pq.fill(b"one", b"two", b"three")
    assert "quarantine\tempty" in pq("doctor").text
    assert json.loads(pq("stats", "--json").text)["quarantined"] == 0
    names = [tear(pq, f"pending/05/0000000/000000000{n}") for n in (1, 2)]
    said = "2 lie in quarantine/"
    ran = pq("check")
    assert [line.split("\t")[:3] for line in ran.text.splitlines()] == [
        ["aside", "quarantine", "1"], ["aside", "quarantine", "2"]
    ]  # fmt: skip
    assert all(name in ran.text for name in names) and said in ran.err
    told = [json.loads(line) for line in pq("check", "--json").text.splitlines()]
    assert [record["aside"] for record in told] == [[name] for name in names]
    assert told[0]["finishes"] == f"`pq check --restore {names[0]}` makes an item of it"
    assert re.search(f"^quarantine\t2 things\tWRONG: {said}", pq("doctor", expect=1).text, re.M)
    assert said in pq("ls").err and said in pq("ls", "--json").err
    assert said in pq("stats").text
    assert json.loads(pq("stats", "--json").text)["quarantined"] == 2
    assert 'pq_quarantined{spool="' in pq("stats", "--prometheus").text
    ran = pq("check", *(word for name in names for word in ("--restore", name)))
    assert ran.words == ["1", "2"]
    assert pq("ls").err == "" and len(pq("ls").text.splitlines()) == 3
    assert "quarantine\tempty" in pq("doctor").text and "quarantine" not in pq("stats").text


def test_the_kinds_of_names_that_are_taken(pq: Pq) -> None:
    """NAME alone, with `quarantine/` before it, or the whole path; one that is wrong stops none."""
    pq.fill(b"one", b"two", b"three")
    names = [tear(pq, f"pending/05/0000000/000000000{n}") for n in (1, 2, 3)]
    words = ["nonsense", f"quarantine/{names[0]}", f"{pq.spool}/quarantine/{names[1]}", names[2]]
    ran = pq("check", *(part for word in words for part in ("--restore", word)), expect=3)
    assert ran.words == ["1", "2", "3"] and "nothing is called 'nonsense' in quarantine" in ran.err
    for bad in ("../state.json", "", ".", "..", names[0], f"{names[0]}.reason"):
        pq("check", "--restore", bad, expect=3)
    pq("check", "--restore", "x", "--repair", expect=2)
    pq("check", "--restore", "x", "--json", expect=2)


def test_without_a_meta_it_is_as_if_enqueued(pq: Pq) -> None:
    """A payload whose meta is damaged or was none comes back, and what is lost is said."""
    pq("enqueue", "-p", 2, "--key", "k", stdin=b"one")
    (pq.spool / "pending/02/0000000/0000000001.meta.json").write_bytes(b"{")
    stray = pq.spool / "pending/02/0000000/notes.txt"
    stray.write_bytes(b"mine")
    stray.chmod(0o600)
    pq("check", "--repair")
    with pq.api() as spool:
        asides = {aside.id: aside.name for aside in spool.quarantine().asides()}
    assert set(asides) == {1, None}
    ran = pq("check", "--restore", asides[1])
    assert ran.words == ["1"] and "its priority, key and name are lost" in ran.err
    assert pq("check", "--restore", asides[None]).words == ["2"]
    with pq.api() as spool:
        one, two = spool.get(1), spool.get(2)
        assert (spool.payload(1), one.priority, one.key, one.name) == (b"one", 5, None, None)
        assert (spool.payload(2), two.priority, two.name) == (b"mine", 5, "notes.txt")


def test_an_id_that_another_has_is_not_taken_from_it(pq: Pq) -> None:
    """Of an item that lay in two places the second comes back under an id of its own."""
    pq.fill(b"one")
    (pq.spool / "failed/0000000").mkdir(mode=0o700)
    for end in ("", ".meta.json"):
        file = pq.spool / f"failed/0000000/0000000001{end}"
        file.write_bytes((pq.spool / f"pending/05/0000000/0000000001{end}").read_bytes())
        file.chmod(0o600)
    pq("check", "--repair")
    with pq.api() as spool:
        (aside,) = spool.quarantine().asides()
        assert spool.quarantine().restore(aside.name).id == 2
        assert spool.payload(1) == spool.payload(2) == b"one"


def test_what_cannot_come_back_stays(pq: Pq) -> None:
    """A taken key, a full queue, a payload that is gone, a folder, a link: told, and it stays."""
    with pq.api() as spool:
        spool.enqueue(b"one", key="k")
        spool.enqueue(b"two")
        spool.enqueue(b"three")
    name = tear(pq, "pending/05/0000000/0000000001")
    pq.fill(b"again", key="k")
    gone = tear(pq, "pending/05/0000000/0000000002")
    keyless = tear(pq, "pending/05/0000000/0000000003")
    (pq.spool / "quarantine" / gone).unlink()
    for stray, make in (("folder", Path.mkdir), ("link", lambda p: p.symlink_to("/etc/passwd"))):
        make(pq.spool / "quarantine" / f"00000000-{stray}")
    before = pq.tree()
    with pq.api(max_items=1) as spool:
        quarantine = spool.quarantine()
        with pytest.raises(KeyTakenError, match="'k' is taken by item 4"), pq.api() as wide:
            wide.quarantine().restore(name)
        with pytest.raises(QueueFullError):
            quarantine.restore(keyless)
        with pytest.raises(ConflictError, match="its payload is gone"):
            quarantine.restore(gone)
        for stray in ("folder", "link"):
            with pytest.raises(ConflictError, match="by hand"):
                quarantine.restore(f"00000000-{stray}")
        with pytest.raises(NoSuchItemError):
            quarantine.restore("none")
        assert len(quarantine) == 5

    def aside(tree: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
        return {path: what for path, what in tree.items() if path.startswith("quarantine")}

    assert aside(pq.tree()) == aside(before)
    pq("check", "--restore", gone, expect=4)
    pq("check", "--restore", name, expect=4)
    assert pq("check").text.count("aside\t") == 5


def test_a_worker_of_before_does_not_end_a_claim_of_after(pq: Pq) -> None:
    """The number of its claims comes back too: `done 1.1` of long ago is refused."""
    with pq.api() as spool:
        spool.enqueue(b"one")
        old = spool.claim()
        spool.release(1)
    name = tear(pq, "pending/05/0000000/0000000001")
    with pq.api() as spool:
        spool.quarantine().restore(name)
        assert spool.claim().claim == "1.2"
        with pytest.raises(ConflictError, match="stale"):
            spool.done(old or 0)


def test_the_machines_own_state_is_no_payload(pq: Pq) -> None:
    """A damaged state.json that was set aside does not become an item."""
    pq.fill(b"one")
    (pq.spool / "state.json").write_bytes(b"?")
    pq("check", "--repair")
    (line,) = pq("check").text.splitlines()
    name = line.split("\t")[3].partition("/")[2]
    ran = pq("check", "--restore", name, expect=4)
    assert "was state.json, no payload" in ran.err


def test_on_a_terminal_it_is_told_too(pq: Pq) -> None:
    """The table of `ls` and the list of `check` say what lies there, in the words to type next."""
    pq.fill(b"one", b"two")
    name = tear(pq, "pending/05/0000000/0000000001")
    pq.env["COLUMNS"] = "200"
    assert "1 lies in quarantine/" in pq.on_terminal("ls")
    shown = pq.on_terminal("check")
    assert name in shown and "--restore NAME brings one back" in shown
