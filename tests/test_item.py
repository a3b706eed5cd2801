"""The text of a `.meta.json`: nothing is lost in it, and nothing in it can break the reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import KNOWN, counts, holders, items, text, times, values

from pq_cli import DamagedItemError, Holder, Item, State, UsageError
from pq_cli.core import transitions
from pq_cli.core.item import parse_reference, printable, valid_key, whole
from pq_cli.core.meta import SECTOR, as_dict, claim_over, decode, encode


def read(data, item):
    """Read a meta in the item's place."""
    return decode(data, item_id=item.id, state=item.state, priority=item.priority, where="p")


@given(items())
def test_an_item_survives_as_text(item):
    """Lone surrogates, integers of any size, unknown fields: all come back, and are text again."""
    data = encode(item)
    assert data.decode("utf-8").endswith("}\n") and data.count(b"\n") == 2
    again = read(data, item)
    assert again == item.replace(path=None)
    assert encode(again) == data


PIECES = (
    b',"not_before":null', b',"not_before":', b'"id":7,', b',"size":8', b'{"a":{"b":1', b"[", b"}",
    b'"', b"\\", b",", b" ", b"\n", b"}\n", b',"state":"active",', b"\xff", b"true", b"NaN",
    b"null", b'"key":"\\u0007"', b',"extra":1', b',"history":[{}]', b',"metadata":{"a":1}', b"-1",
    b"9" * 30,
)  # fmt: skip


@st.composite
def edited_metas(draw):
    """The meta of an item, most often a new one, as somebody's editor may have left it."""
    item = draw(items())
    if draw(st.integers(0, 3)):
        changes = {"metadata": {}, "history": (), "holder": None, "extra": {}, "last_error": None}
        item = item.replace(state=State.PENDING, lease_until=None, not_before=None, **changes)
    data = encode(item)
    for _ in range(draw(st.integers(0, 3))):
        borders = [i for i, byte in enumerate(data) if byte in b',:{}"']
        start = draw(st.sampled_from(borders) | st.integers(0, len(data)))
        end = start + draw(st.sampled_from([0, 0, 1, 20]))
        data = data[:start] + draw(st.sampled_from(PIECES)) + data[end:]
    return item, data


NEW = Item(id=7, priority=3, created_at=0.0, updated_at=0.0)
HOLDER = Holder(host="h", pid=1, boot=None, started=None, since=0.0)


@settings(max_examples=500)
@given(edited_metas())
@example((NEW, encode(NEW.replace(key="\a"))))
@example((NEW, encode(NEW).replace(b'"id"', b'"new":1,"id"')))
@example((NEW, encode(NEW).replace(b'"state":"pending",', b"")))
@example((NEW.replace(state=State.ACTIVE), encode(NEW.replace(state=State.ACTIVE, holder=HOLDER))))
def test_an_edited_meta_is_an_item_or_damage(edited):
    """Whatever somebody's editor did to it: an item that can be written again, or damage."""
    item, data = edited
    try:
        found = read(data, item)
    except DamagedItemError as error:
        assert str(error).startswith(f"item {item.id}: p")
        return
    assert read(encode(found), found) == found


def test_items_that_were_read_share_nothing():
    """Somebody who writes into the metadata of one item changes no other."""
    for data in (encode(NEW), minimal().encode()):
        first, second = read(data, NEW), read(data, NEW)
        first.metadata["a"] = first.extra["b"] = 1
        assert (second.metadata, second.extra) == ({}, {})
        unread = Item(id=8, priority=3, created_at=0.0, updated_at=0.0)
        assert (read(data, NEW).metadata, unread.metadata) == ({}, {})


def only_once(pairs):
    """Return an object, if no name comes twice in it."""
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@given(items(), counts, holders, times)
def test_a_claim_is_one_sector_of_the_meta(item, claims, holder, until):
    """What a claim changes is the last sector, and all of it: the rest of the file stays.

    Any reader of JSON, the strictest, reads the same before, then, and after a renewal.
    """
    before = item.replace(state=State.PENDING, not_before=None, lease_until=None, holder=None)
    claimed = before.replace(
        state=State.ACTIVE, attempts=10**17, claims=claims or 1, lease_until=until,
        holder=holder.replace(host=holder.host[:64]),
    )  # fmt: skip
    renewed = claimed.replace(updated_at=0.0)
    for old, new in ((before, claimed), (claimed, renewed), (renewed, before)):
        offset, line = claim_over(encode(old), new)
        assert (offset % SECTOR, len(line), encode(old)[offset - 1]) == (0, SECTOR, ord("\n"))
        text = encode(old)[:offset] + line
        assert text == encode(new) and read(text, new) == new.replace(path=None)
        values = json.loads(text, object_pairs_hook=only_once)
        assert as_dict(new).items() <= values.items()


ONE = Item(id=1, state=State.ACTIVE, priority=3, created_at=0.0, updated_at=0.0)


@pytest.mark.parametrize("text", [
    b"", b"{", b"{}\n", encode(ONE)[:-1], encode(ONE) + b" ", encode(ONE.replace(key="k")),
    encode(ONE).replace(b',"size":0', b',"size":1'), encode(ONE).replace(b"\n,", b" ,", 1),
    json.dumps(json.loads(encode(ONE)), indent=2).encode(),
    encode(ONE.replace(priority=4)),
])  # fmt: skip
def test_a_meta_that_others_wrote_is_not_written_into(text):
    """Where anything but the second line differs, a claim writes a new meta."""
    assert claim_over(text, ONE) is None


def test_a_holder_too_long_for_a_sector_is_not_written_over():
    """A claim whose line takes two sectors is a new meta, and is read like any other."""
    long = ONE.replace(claims=1, holder=HOLDER.replace(host="h" * 600))
    assert claim_over(encode(ONE), long) is claim_over(encode(long), long) is None
    assert read(encode(long), long) == long.replace(path=None)


JUNK = [
    True, False, -1, 0, 10**18, 1.5, 1e400, float("nan"), "", "x", [], {}, [1], [{}], "active",
    "done", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01", "\ud800", None,
    {"host": "h", "pid": True, "since": "2026-01-01T00:00:00Z"}, {"host": 1}, "a\0b\n",
    {"host": "h", "pid": 1, "boot": None, "started": None, "since": None}, [[]],
    {"host": "h", "pid": 10**30, "boot": "", "started": -1, "since": "2026-01-01T00:00:00Z"},
]  # fmt: skip


@pytest.mark.parametrize("field", sorted(KNOWN))
@pytest.mark.parametrize("state", State)
def test_a_wrong_field_is_damage_or_harmless(field, state):
    """Whatever a field holds: DamagedItemError, or an item that every verb can go on with."""
    item = Item(id=7, state=state, priority=3, created_at=0.0, updated_at=0.0)
    for junk in JUNK:
        data = json.dumps(json.loads(encode(item)) | {field: junk}).encode()
        try:
            found = read(data, item)
        except DamagedItemError as error:
            assert "item 7: p" in str(error) and str(error).isprintable()
            continue
        goes_on(found)


@pytest.mark.parametrize("field", ["id", "attempts", "max_attempts", "claims", "size"])
@pytest.mark.parametrize("number", [-1, 10**17 + 1, 10**30])
def test_a_number_that_fits_no_file_name_is_damage(field, number):
    """Counts are from 0 to 10^17: a claim beyond could not be found again by its name."""
    data = minimal(**{field: number}).encode()
    with pytest.raises(DamagedItemError, match=f"{field} is out of range"):
        decode(data, item_id=7, state=State.PENDING, priority=None, where="p")


def goes_on(item):
    """Bring an item that was read through a claim and a failure, and write it each time."""
    assert isinstance(item.created_at, float) and isinstance(item.updated_at, float)
    now = 1e9
    nobody = Holder(host="h", pid=1, boot=None, started=None, since=now)
    claimed = transitions.claimed(item.replace(state=State.PENDING), now, 5.0, nobody)
    for state in (item, claimed, transitions.completed(claimed, now, None)):
        again = read(encode(state), state)
        assert again.id == item.id and again.claims == state.claims


@given(st.binary() | values.map(lambda v: json.dumps(v).encode()))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"id":' + b"9" * 5000 + b"}")
@example(b'{"id": 1, "priority": 5, "created_at": "2026-01-01T00:00:00Z"')
@example('{"id": 1, "priority": 5, "created_at": "2026-01-01T00:00:00Z"}'.encode("utf-16"))
def test_any_bytes_are_an_item_or_damage(data):
    """Nothing but DamagedItemError ever comes out of a meta."""
    try:
        found = decode(data, item_id=1, state=State.PENDING, priority=5, where="pending/x")
    except DamagedItemError as error:
        assert "pending/x" in str(error)
        return
    goes_on(found)


def minimal(**fields):
    """Return the least that a meta must say."""
    return json.dumps({"id": 7, "priority": 3, "created_at": "2026-01-01T00:00:00Z"} | fields)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("around", ["{}", "\n {}\n\n", "{} \t\r\n"])
def test_a_meta_is_read_however_an_editor_left_it(encoding, around):
    """Spaces around it, a byte order mark and UTF-16 are no damage; a second value is."""
    place = {"item_id": 7, "state": State.PENDING, "priority": None, "where": "p"}
    text = around.format(minimal(name="ü"))
    assert decode(text.encode(encoding), **place).name == "ü"
    with pytest.raises(DamagedItemError, match="is not JSON"):
        decode(f"{text}{{}}".encode(encoding), **place)


@pytest.mark.parametrize("field", ["id", "priority", "created_at"])
def test_what_there_is_no_item_without_is_named(field):
    """A meta that lacks it says so, and so does one that says null."""
    place = {"item_id": 7, "state": State.PENDING, "priority": None, "where": "p"}
    null = json.loads(minimal()) | {field: None}
    for said in (null, {name: value for name, value in null.items() if name != field}):
        with pytest.raises(DamagedItemError, match=f"{field} is missing"):
            decode(json.dumps(said).encode(), **place)


@pytest.mark.parametrize("history", [[1], [{}, None], [[]], ["x"]])
def test_a_history_of_anything_but_attempts_is_damage(history):
    """Each entry is an object; the verbs look into the last."""
    with pytest.raises(DamagedItemError, match="history has a wrong type"):
        decode(
            minimal(history=history).encode(), item_id=7, state=State.FAILED, priority=3, where="p"
        )


def test_a_claim_that_never_came_about_counts_no_attempt():
    """A meta that says active, but lies elsewhere: its attempt is taken back, and never below 0."""
    place = {"item_id": 7, "state": State.PENDING, "priority": 3, "where": "p"}
    for attempts, expected in ((2, 1), (0, 0)):
        text = minimal(state="active", attempts=attempts).encode()
        assert decode(text, **place).attempts == expected
        assert decode(text, **place | {"state": State.ACTIVE}).attempts == attempts


def test_a_short_meta_by_hand_is_enough():
    """id, priority and created_at; the rest is as for a new item."""
    found = decode(minimal().encode(), item_id=7, state=State.PENDING, priority=None, where="p")
    assert (found.priority, found.attempts, found.max_attempts) == (3, 0, 3)
    assert found.updated_at == found.created_at


@pytest.mark.parametrize("field", ["id", "priority", "created_at"])
def test_what_must_be_said_is_named(field):
    """The error names the item, the file and the field."""
    values = json.loads(minimal())
    del values[field]
    with pytest.raises(DamagedItemError, match=rf"^item 7: a/b\.meta: {field} is missing$"):
        decode(json.dumps(values).encode(), item_id=7, state=State.HELD, priority=None,
               where="a/b.meta")  # fmt: skip


def test_the_place_wins_over_what_the_meta_says():
    """Lane and state are those of the folder; a claim that never came about is not counted."""
    data = minimal(state="active", attempts=2, claims=4, lease_until="2026-01-01T00:05:00Z")
    found = decode(data.encode(), item_id=7, state=State.PENDING, priority=9, where="p")
    assert (found.state, found.priority, found.attempts, found.claims) == (State.PENDING, 9, 1, 4)
    assert found.lease_until is None and found.claim is None


def test_the_meta_of_another_item_is_damage():
    """A meta whose id is not that of its name is never served."""
    with pytest.raises(DamagedItemError, match="says id 7"):
        decode(minimal().encode(), item_id=8, state=State.PENDING, priority=3, where="p")


@given(text)
def test_a_reference_is_an_id_or_a_claim_or_refused(word):
    """Only plain digits, with one dot at most; anything else is a UsageError of one line."""
    try:
        number, claim = parse_reference(word)
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert word.isascii() and int(word.partition(".")[0]) == number
    assert (claim is None) == ("." not in word)


@given(text)
def test_what_is_shown_cannot_drive_a_terminal(word):
    """Every character shown is printable; what was printable is unchanged."""
    assert printable(word).isprintable()
    assert printable(word) == word or not word.isprintable()
    assert len(printable(word, 5)) <= 5


@given(text)
def test_a_key_is_short_and_without_controls(word):
    """1 to 200 bytes of UTF-8, no control characters, no lone surrogates."""
    try:
        assert valid_key(word) == word
    except UsageError:
        return
    assert 1 <= len(word.encode()) <= 200 and "\n" not in word and "\0" not in word


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("", None), ("-1", None),
     ("+1", None), (" 1", None), ("1_0", None), ("1.0", None), ("٣", None), ("²", None)],
)  # fmt: skip
def test_a_whole_number_is_of_plain_digits(text: str, number: int | None) -> None:
    """One rule for all numbers that are typed, or name files: what `int` takes is too much."""
    assert whole(text) == number
