"""docs/guarantees.md: each promise says how it is kept, which test shows it, and where it ends."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
PROMISES = [name for name in SECTIONS if name != "What durability costs"]
PARTS = ("**Claim.**", "**Mechanism.**", "**Shown by**", "**Ends**")


def functions(path):
    """Return the names of the functions of a module of tests."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("name", PROMISES)
def test_each_promise_says_four_things(name):
    """Claim, mechanism, tests, and its end, in this order and once."""
    found = re.findall(r"^- (\*\*.+?\*\*)", SECTIONS[name], re.M)
    assert tuple(found) == PARTS


@pytest.mark.parametrize("name", SECTIONS)
def test_the_tests_that_are_named_exist(name):
    """A test that is renamed or removed takes its place on the page with it."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECTIONS[name])
    assert named
    assert [f"{path}::{test}" for path, test in named if test not in functions(path)] == []


def test_there_are_promises_and_the_readme_leads_to_them():
    """An empty list would pass every test above; and nobody reads a page that nobody names."""
    assert len(PROMISES) >= 10
    assert "(docs/guarantees.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def budget():
    """Return {command: syncs} that tests/safety/test_sync_budget.py holds, by words alone."""
    tree = ast.parse((ROOT / "tests" / "safety" / "test_sync_budget.py").read_text("utf-8"))
    [value] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "BUDGET"
    ]
    found = {}
    for command, syncs in ast.literal_eval(value).items():
        keyed = " --key" if "--key" in command else ""
        found.setdefault(command.split()[0] + keyed, set()).add(syncs)
    return found


def test_the_cost_is_the_one_that_is_counted():
    """The table of syncs has every command of the budget, with the number that its test allows."""
    told = {}
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", SECTIONS["What durability costs"], re.M)
    for commands, syncs in rows:
        for command in re.findall(r"`(.+?)`", commands):
            told[command] = {int(syncs)}
    assert told == budget()
