"""The benchmarks: not their figures, but that they run and say what they promise to say."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from filelock import FileLock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = [
    "inprocess",
    "commands",
    "bulk",
    "scale",
    "contention",
    "durable",
    "ends",
    "memory",
    "pool",
    "crossings",
    "postgres-claims",
    "postgres-lines",
    "postgres-cycles",
    "postgres-commands",
    "postgres-growth",
    "postgres-peers",
]
ROW_FIELDS = {
    "group", "what", "median", "unit", "runs", "ratio", "to", "target", "met", "size",
}  # fmt: skip


def run(*arguments, **environment):
    """Run the benchmarks as a person would, from the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory, worker_id):
    """One small run of everything: (what it printed, its JSON, what it left behind).

    One for all processes that run tests.
    """
    mine = tmp_path_factory.getbasetemp()
    folder = (mine if worker_id == "master" else mine.parent) / "bench"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            (folder / "queues").mkdir(parents=True)
            done = run("--small", "--dir", folder / "queues", "--json", folder / "figures.json")
            assert done.returncode == 0, done.stderr
            (folder / "printed").write_text(done.stdout)
    left = sorted(path.name for path in (folder / "queues").iterdir())
    return (folder / "printed").read_text(), json.loads((folder / "figures.json").read_text()), left


ROOMS = {"enqueue": (33, 123), "next": (31, 136), "done": (30, 103), "ls": (29, 121)}
"""The modules that a plain command enters, and the calls from one into another, at the most."""


def test_a_plain_command_walks_through_few_rooms(small):
    """Who follows a command has no more files to open, nor more often to look elsewhere.

    A change that needs more says why in its message, and raises the number here.
    """
    rows = {(row["what"], row["unit"]): row["median"] for row in small[1]["rows"]}
    for name, (modules, crossings) in ROOMS.items():
        assert rows[f"pq {name}", "modules"] <= modules, name
        assert rows[f"pq {name}", "crossings"] <= crossings, name


def test_every_group_runs_and_every_row_has_its_fields(small):
    """A small run of all groups yields rows of each, whole ones, and cleans up behind itself."""
    printed, document, left = small
    assert {row["group"] for row in document["rows"]} == set(GROUPS)
    for row in document["rows"]:
        assert set(row) == ROW_FIELDS
        assert row["median"] > 0 and row["runs"] >= 1 and row["unit"]
        assert (row["ratio"] is None) == (row["to"] is None)
        assert row["what"] in printed
    assert document["size"] == "small"
    assert left == []


def test_every_target_of_the_issue_has_a_row(small):
    """No target can drop out of sight: each has a row; a small run judges none of them."""
    rows = [row for row in small[1]["rows"] if row["target"]]
    assert all(row["met"] is None for row in rows)
    targets = {(row["group"], row["target"]) for row in rows}
    expected = {
        ("inprocess", "priorities cost at most 10 %"),
        ("commands", "at most 1.15 times the usual imports"),
        ("commands", "the prize: at most 3 times bare Python"),
        ("durable", "at least 2.2 times the rate of one"),
        ("durable", "never slower than one, in no round"),
        ("durable", "at least 2 times the rate of one"),
        ("durable", "within 3 times the cost of the same as lines"),
        ("durable", "within 1.2 times the cost with none"),
        ("scale", "at 1,000,000 at most 1.2 times the cost at 1,000"),
        ("scale", "at 1,000,000 at most 2 times the cost at 1,000"),
        ("scale", "ls -n 20 at 1,000,000 within 1.5 times its cost at 1,000"),
        ("contention", "at most half the throughput lost"),
        ("memory", "enqueue and next of 4 GiB within 40 MiB"),
        ("pool", "at most 1.4 times xargs, as it was"),
        ("pool", "at most 1.6 times xargs"),
        ("pool", "at least 2,000 items a second"),
        ("memory", "ls, check, purge, migrate of 1,000,000 within 100 MiB"),
    }
    versions = {peer["name"]: peer["version"] for peer in small[1]["peers"]}
    for peer, group, target in (
        ("localqueue durable", "inprocess", "at least 3 times localqueue's durable get + ack"),
        ("localqueue durable", "bulk", "at least twice the rate"),
        (
            "localqueue durable",
            "ends",
            "at least 3 times localqueue's durable get + ack, taking turns",
        ),
        ("nq", "bulk", "at least 10 times the rate"),
        ("dirq", "bulk", "at least the rate"),
    ):
        if versions[peer] != "not installed":
            expected.add((group, target))
    assert expected <= targets


def test_what_is_not_installed_is_said_and_skipped(tmp_path):
    """A peer that is missing is listed as `not installed`, has no row, and breaks nothing."""
    tools = tmp_path / "bin"  # no nq and no tsp on this PATH
    tools.mkdir()
    for name in ("sh", "rm"):
        (tools / name).symlink_to(shutil.which(name))
    file = tmp_path / "figures.json"
    done = run("commands", "--small", "--dir", tmp_path, "--json", file, PATH=str(tools))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    versions = {peer["name"]: peer["version"] for peer in document["peers"]}
    assert versions["nq"] == versions["tsp"] == "not installed"
    assert not [r for r in document["rows"] if r["to"] == "nq" or r["what"].startswith("nq ")]
    assert [r for r in document["rows"] if r["what"].startswith("pq enqueue")]


def test_an_unknown_name_is_refused():
    """A name that is no benchmark is named, with what is allowed, and nothing runs."""
    done = run("nonsense")
    assert done.returncode == 2
    assert "'nonsense'" in done.stderr and "inprocess" in done.stderr
    assert done.stdout == ""


def judge(values, reference, *, size="full", limit=2.0, full=False, of="ratio"):
    """Return the one row that a bench of this size reports."""
    from benchmarks.harness import Bench, Target

    bench = Bench.__new__(Bench)
    bench.size, bench.rows = size, []
    target = Target("a promise", limit, of=of, full=full)
    bench.report("g", "w", values, "ms", to="other", reference=reference, target=target)
    (row,) = bench.rows
    return row


def test_a_ratio_is_of_the_same_round_and_judged_honestly():
    """Ratios pair what ran in the same round; a target missed is reported as missed."""
    row = judge([2.0, 60.0, 8.0], [1.0, 20.0, 5.0])
    assert (row.median, row.ratio, row.met) == (8.0, 2.0, True)
    assert judge([2.1, 21.0, 210.0], [1.0, 10.0, 100.0]).met is False
    assert judge([50.0], [1.0], limit=40, of="median").met is False


def test_a_run_too_small_for_a_target_judges_nothing():
    """`met` is open for all targets in a small run, and for full-size ones in a usual run."""
    assert judge([9.0], [1.0], size="small").met is None
    assert judge([9.0], [1.0], size="usual", full=True).met is None
    assert judge([9.0], [1.0], size="usual").met is False
