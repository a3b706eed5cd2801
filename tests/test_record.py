"""Values: equal ones are one value in a set or a dictionary, however they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import items, text

from pq_cli import Item
from pq_cli.core.record import Record
from pq_cli.queue.request import Request

numbers = st.integers(-3, 3) | st.booleans() | st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.5])
values = st.recursive(
    st.none() | numbers | text | st.binary(max_size=2).map(bytearray),
    lambda v: (
        st.lists(v, max_size=3)
        | st.lists(v, max_size=3).map(tuple)
        | st.dictionaries(text | numbers, v, max_size=3)
        | st.sets(numbers, max_size=3)
    ),
    max_leaves=8,
)


class Pair(Record):
    """Two fields of any kind."""

    one: object
    two: object = None


def other_form(value: object) -> object:
    """Return an equal value that is written otherwise: other numbers, another order."""
    if isinstance(value, int):
        return float(value) if float(value) == value else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {other_form(k): other_form(v) for k, v in reversed(value.items())}
    if isinstance(value, set):
        return frozenset(map(other_form, value))
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, list | tuple):
        return type(value)(map(other_form, value))
    return value


@given(values, values)
def test_equal_values_have_equal_hashes(one: object, two: object) -> None:
    """What is equal has one hash: other numbers, other orders, other order of the fields."""
    first = Pair(one=one, two=two)
    second = Pair(two=other_form(two), one=other_form(one))
    assert first == second and hash(first) == hash(second)
    assert {first, second} == {first} and {first: 1}[second] == 1


@given(items())
def test_an_item_is_one_value_however_it_was_made(item: Item) -> None:
    """An item, with all its fields, is the same in a set after its fields were put in again."""
    again = Item(**{name: other_form(value) for name, value in reversed(item.__dict__.items())})
    assert item == again and len({item, again}) == 1


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"delay": 5}, {"delay": 5.0}),
        ({"priority": 1, "key": "k"}, {"key": "k", "priority": 1}),
        ({"metadata": {"a": 1, "b": [2]}}, {"metadata": {"b": [2.0], "a": True}}),
    ],
)
def test_the_same_request_in_two_forms(one: dict, two: dict) -> None:
    """Requests that ask for the same are one key of a dictionary."""
    assert Request(**one) == Request(**two) and hash(Request(**one)) == hash(Request(**two))


def test_a_copy_has_the_same_fields() -> None:
    """What is changed is changed in the copy alone, and a field that there is not is an error."""
    request = Request(priority=2, key="k")
    assert request.replace(priority=3) == Request(priority=3, key="k")
    assert request == Request(priority=2, key="k") == request.replace()
    with pytest.raises(TypeError, match="Request: missing or unknown fields: colour"):
        request.replace(colour="red")
