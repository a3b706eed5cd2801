"""JSON of users: what was written comes back as it was written, or is refused."""

from __future__ import annotations

import json
import sys
from decimal import Context, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Pq

from pq_cli import MemoryQueue, UsageError
from pq_cli.core.jsonio import (
    MAX_DEPTH,
    JsonError,
    parse_edited,
    parse_kept,
    parse_own,
    parse_strict,
    to_json,
)

DIGITS = st.text("0123456789", min_size=1, max_size=25)
WHOLE = st.builds(
    str.__add__, st.sampled_from(["", "-"]), DIGITS.map(lambda d: d.lstrip("0") or "0")
)
FRACTIONS = st.builds(
    "{}{}{}".format,
    WHOLE,
    st.just("") | DIGITS.map(lambda digits: "." + digits),
    st.sampled_from(["", "", "e5", "E-7", "e+22", "e300", "e-310", "e-320", "e400", "e-400"]),
)
SHORTEST = st.floats(allow_nan=False, allow_infinity=False).map(repr)
LONG = st.floats(-1e20, 1e20).map(lambda value: f"{value:.17g}")
TEXTS = st.text(st.characters(exclude_characters='"\\', min_codepoint=32)).map(json.dumps)
VALUES = st.recursive(
    WHOLE | FRACTIONS | SHORTEST | LONG | TEXTS
    | st.sampled_from(["null", "true", "-0", "-0.0", '"\\ud800"', "NaN", "-Infinity"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda all_: f"[{','.join(all_)}]")
    | st.lists(st.tuples(st.sampled_from(["a", "b"]), inner), max_size=3).map(
        lambda members: "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"
    ),
    max_leaves=6,
)  # fmt: skip


def written(text: str, back: str) -> bool:
    """Tell whether the number `back` is `text`, in as many digits as that was written with."""
    there, here = Decimal(text), Decimal(back)
    if there.is_signed() != here.is_signed():
        return False
    if there == here:
        return True
    digits = len(there.as_tuple().digits)
    return Context(prec=digits).plus(Decimal(float(back))) == there


def same(there: object, here: object) -> bool:
    """Compare two values of `exactly`."""
    if isinstance(there, tuple) and isinstance(here, tuple):
        return written(there[0], here[0])
    if isinstance(there, list) and isinstance(here, list):
        return len(there) == len(here) and all(map(same, there, here))
    return there == here


class Member(list):
    """A member of an object: a name and a value."""


def exactly(text: str | bytes) -> object:
    """Read JSON and keep all of it: numbers as texts in a tuple, objects as members."""
    return json.loads(
        text,
        parse_int=lambda digits: (digits,),
        parse_float=lambda digits: (digits,),
        object_pairs_hook=lambda members: [Member(member) for member in members],
    )


@given(VALUES)
def test_what_is_taken_comes_back_as_it_was_written(text: str) -> None:
    """Whatever the numbers, names and characters: read and written, all is there; or refused."""
    try:
        value = parse_strict(text)
    except JsonError:
        return
    assert same(exactly(text), exactly(to_json(value)))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8,
))  # fmt: skip
def test_what_python_writes_is_taken(value: object) -> None:
    """Every value that JSON has, as Python's json writes it, is read as that value."""
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert parse_strict(text) == parse_kept(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN"), ("[-Infinity]", "-Infinity"), ("1e400", "larger"), ("-1e400", "larger"),
        ("1e-400", "more digits"), ("12345678901234567.89", "more digits"),
        ("9007199254740993.5", "more digits"), ("1e-99999999999999999999", "more digits"),
        ("0." + "1" * 100_000, "more digits"), ("1" * 5000, "5000 digits"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "'c' comes twice"), ('{"a": 1, "\\u0061": 2}', "twice"),
        ("[" * 100_000, "nested"), (b"\xff", "UTF-8 at byte 1"), (b"\xff\xfe1\0", "UTF-8"),
        ("\ufeff1", "not JSON"), ("[1,]", "not JSON"), ("'a'", "not JSON"), ('"\t"', "not JSON"),
        ("", "not JSON"), ("1 2", "not JSON"), ("01", "not JSON"), (".5", "not JSON"),
    ],
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_refused(text: str | bytes, why: str) -> None:
    """Each with a text that says what is wrong, of a length for people."""
    with pytest.raises(JsonError) as error:
        parse_strict(text)
    assert why in str(error.value) and len(str(error.value)) < 200


def test_what_another_queue_wrote_is_kept_as_it_read_it() -> None:
    """NaN and Infinity are kept; a number that became infinite, or a name twice, is not."""
    assert (
        str(parse_kept(b'{"a": [NaN, -Infinity, 1e-07, 0.1000]}'))
        == "{'a': [nan, -inf, 1e-07, 0.1]}"
    )
    assert parse_kept("12345678901234567890123") == 12345678901234567890123
    for bad in ("1e400", '{"a": 1, "a": 1}', "[" * 100_000, "1" * 5000, b"\xff"):
        with pytest.raises(JsonError):
            parse_kept(bad)


def test_what_an_editor_left_is_read() -> None:
    """With a mark before it, in UTF-16; of a name that comes twice the last; no number guessed."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert parse_edited('{"a": 1, "a": "ø"}'.encode(encoding)) == {"a": "ø"}
    for bad in (b"1e400", b"1.00000000000000000001"):
        with pytest.raises(ValueError, match="number"):
            parse_edited(bad)


def test_what_pq_wrote_is_read_with_names_that_are_not_utf_8() -> None:
    """orjson refuses these; a record of the log must not be lost for it."""
    record = {"name": "caf\udce9", "took": 0.25}
    assert parse_own(to_json(record)) == record
    assert "orjson" in sys.modules
    with pytest.raises(ValueError, match="nested too deep"):
        parse_own("[" * 4000)


KEPT = (
    '{"big": 123456789012345678901234567890, "minus": -9223372036854775809, "zero": -0.0,'
    ' "half": "\\udce9", "tiny": 5e-324, "long": 0.30000000000000004, "deep": [[[{"x": null}]]]}'
)


def member(value: object, *names: str) -> object:
    """Return what lies under these names in an object as `exactly` gives it."""
    for name in names:
        assert isinstance(value, list)
        value = dict(value)[name]
    return value


def test_the_users_numbers_come_back_by_every_door(pq: Pq, tmp_path: Path) -> None:
    """--jsonl, a sidecar, an older queue, export and import, both kinds: the same values."""
    pq("enqueue", "--jsonl", stdin=f'{{"payload": "", "metadata": {KEPT}}}'.encode())
    (pq.spool / "new" / "a.meta.json").write_text(f'{{"metadata": {KEPT}}}')
    (pq.spool / "new" / "a").write_text("x")
    pq("release", pq("next", "--claim").words[0])  # what looks for work picks the file up
    old = tmp_path / "old"
    (old / "pending").mkdir(parents=True)
    envelope = f'{{"data": {KEPT}, "operation_type": "x", "more": {KEPT}}}'
    (old / "pending" / "1.json").write_text(envelope.replace("\\udce9", "e"))
    pq("migrate", "--force", old)
    payload = exactly(pq("cat", 3).out)
    assert isinstance(payload, list)
    wanted = exactly(KEPT)
    legacy = exactly(KEPT.replace("\\udce9", "e"))
    assert same(sorted(exactly(KEPT.replace("\\udce9", "e"))), payload)  # type: ignore[type-var]
    for kind in ("", "--jsonl", "--tar"):
        spool = pq.spool if not kind else tmp_path / kind
        if kind:
            stream = pq("export", *[kind] * (kind == "--tar")).out
            pq("import", "-s", spool, stdin=stream)
        first, second, third = (
            exactly(x) for x in pq("ls", "--json", "-s", spool).text.splitlines()
        )
        assert same(wanted, member(first, "metadata")) and same(wanted, member(second, "metadata"))
        assert same(legacy, member(third, "metadata", "legacy", "more"))


def test_an_envelope_that_cannot_be_kept_stays(pq: Pq, tmp_path: Path) -> None:
    """`migrate` leaves and names what would come out as something else: 1e400, a name twice."""
    (tmp_path / "old" / "pending").mkdir(parents=True)
    for number, data in enumerate(('{"n": 1e400}', '{"n": 1, "n": 2}', '{"n": 1}')):
        text = f'{{"data": {data}, "operation_type": "x"}}'
        (tmp_path / "old" / "pending" / f"{number}.json").write_text(text)
    ran = pq("migrate", "--force", tmp_path / "old", expect=65)
    assert "'1e400' is larger" in ran.err and "'n' comes twice" in ran.err
    assert pq.states() == {1: "pending"}


def test_a_stream_that_cannot_be_kept_is_refused(pq: Pq, tmp_path: Path) -> None:
    """`import` names the line of a name that comes twice, and of a number that cannot be."""
    pq("enqueue", stdin=b"x")
    stream = pq("export").out
    for said, text in (("'n' comes twice", b'{"n":1,"n":2}'), ("'1e400'", b'{"n":1e400}')):
        changed = stream.replace(b'"metadata":{}', b'"metadata":' + text)
        assert changed != stream
        ran = pq("import", "-s", tmp_path / "b", stdin=changed, expect=65)
        assert f"line 2: {said}" in ran.err


def test_metadata_of_python_comes_back_or_is_refused() -> None:
    """What JSON would change without a word is refused: keys that are no texts, however deep."""
    queue = MemoryQueue()
    kept = {"n": 2**200, "m": -(2**70), "z": -0.0, "s": "\ud800", "t": [1.5, None, True]}
    assert queue.enqueue(b"", metadata=kept).metadata == kept
    deep: list[object] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    for bad in ({1: 2}, {"a": {1: 2}}, {"a": [{None: 1}]}, {"a": deep}, {"a": float("inf")},
                {"a": {1}}, {"a": 10**5000}):  # fmt: skip
        with pytest.raises(UsageError, match="metadata"):
            queue.enqueue(b"", metadata=bad)  # type: ignore[arg-type]
