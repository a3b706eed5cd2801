"""The public API explains itself: every name, every method, the errors that are raised."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import pq_cli
from pq_cli import PqError


def public_members(cls):
    """Return (name, member) of what a class offers, inherited from our own classes included."""
    return [
        (name, member)
        for name, member in inspect.getmembers_static(cls)
        if not name.startswith("_")
        and any(name in base.__dict__ for base in cls.__mro__ if base.__module__[:6] == "pq_cli")
    ]


@pytest.mark.parametrize("name", pq_cli.__all__)
def test_every_public_name_is_explained(name):
    """Class, function, method and property each have a docstring that begins with a sentence."""
    thing = getattr(pq_cli, name)
    assert thing.__doc__, name
    if not inspect.isclass(thing):
        return
    assert not any(thing.__doc__ == base.__doc__ for base in thing.__mro__[1:]), name
    for member_name, member in public_members(thing):
        if callable(member) or isinstance(member, property):
            text = inspect.getdoc(member)
            assert text, f"{name}.{member_name}"
            assert text.split("\n\n")[0].rstrip()[-1] in ".:", f"{name}.{member_name}"


@pytest.mark.parametrize("name", ["Spool", "MemoryQueue", "Item", "QueueConfig"])
def test_the_fields_are_explained(name):
    """Everything that a class takes or holds is named in its docstring."""
    cls = getattr(pq_cli, name)
    fields = getattr(cls, "FIELDS", None)
    if fields is None:
        fields = [p for p in inspect.signature(cls).parameters if p not in ("kwargs",)]
    text = inspect.getdoc(cls)
    assert [field for field in fields if not re.search(rf"\b{field}\b", text)] == []


def test_every_error_is_a_pq_error_with_a_status():
    """Whoever catches PqError catches all, and each says what it is."""
    for name in pq_cli.__all__:
        thing = getattr(pq_cli, name)
        if name.endswith("Error"):
            assert issubclass(thing, PqError)
            assert 1 <= thing.exit_code <= 127


def test_pydoc_begins_with_what_a_newcomer_needs():
    """How to use it, then the queues, then what they give and take; never the rarest name first."""
    command = [sys.executable, "-m", "pydoc", "pq_cli"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "from pq_cli import Spool" in shown
    assert "spool.enqueue(" in shown
    for name in ("Spool(path)", "MemoryQueue()", "work(queue, handler)", "drain(queue, handler)"):
        assert name in shown.partition("CLASSES")[0]
    classes = re.findall(r"^    class (\w+)", shown, re.MULTILINE)
    order = [name for name in pq_cli.__all__ if inspect.isclass(getattr(pq_cli, name))]
    assert classes == order and classes[:3] == ["Spool", "MemoryQueue", "Queue"]
    functions = re.findall(
        r"^    (?:async )?(\w+)\(", shown.partition("FUNCTIONS")[2], re.MULTILINE
    )
    assert functions[:2] == ["work", "drain"]


def test_dir_lists_what_is_public():
    """What is loaded only when it is named can be found by completion all the same."""
    assert set(pq_cli.__all__) <= set(dir(pq_cli))
