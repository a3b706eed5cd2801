"""The soak, for PQ_SOAK_SECONDS; see tests/soak.py."""

from __future__ import annotations

import os
from pathlib import Path

import soak
from database import need_postgres, server


def test_soak(tmp_path: Path, capsys) -> None:
    """Under kills and stops each told item is done, run again only for a reason, never by two."""
    default = 40.0 if os.environ.get("CI") else 10.0
    seconds = float(os.environ.get("PQ_SOAK_SECONDS", default))
    figures = soak.Soak(str(tmp_path / "spool"), seconds, int(os.environ.get("PQ_SEED", "1"))).run()
    with capsys.disabled():
        print("\nsoak: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    assert not {name: figures[name] for name in soak.MUST_BE_ZERO if figures[name]}
    assert figures["done"] >= figures["ids told"] > 100
    assert figures["kills"] > 5 and figures["stops"] > 2


def test_soak_of_a_database(tmp_path: Path, capsys) -> None:
    """The same on PostgreSQL: for PQ_SOAK_SECONDS, else until it says something."""
    need_postgres()
    seconds = float(os.environ.get("PQ_SOAK_SECONDS", "2"))
    seed = int(os.environ.get("PQ_SEED", "1"))
    figures = soak.Soak(server().url(), seconds, seed, tmp_path / "events").run()
    with capsys.disabled():
        print("\nsoak of a database: " + ", ".join(f"{n} {value}" for n, value in figures.items()))
    assert not {name: figures[name] for name in soak.MUST_BE_ZERO if figures[name]}
    assert figures["done"] >= figures["ids told"] > 100


def test_the_figures_can_be_bad() -> None:
    """Each figure that must be zero is not, when it should not be."""
    twice = [
        ["begin", "1", "1", "10", "1000"],
        ["begin", "1", "2", "11", "1500"],
        ["end", "1", "1", "10", "2000"],
        ["end", "1", "2", "11", "2500"],
        ["done", "1", "1"],
        ["begin", "1", "3", "12", "3000"],
    ]
    assert soak.overlaps(twice, set()) == 1 and soak.overlaps(twice, {10}) == 0
    assert soak.needless(twice, set()) == 1 and soak.needless(twice, {10}) == 0
    assert soak.after_done(twice) == 1
    late = [["done", "1", "2"], ["begin", "1", "1", "10", "1000"]]
    assert soak.after_done(late) == 0
