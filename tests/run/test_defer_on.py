"""Exit statuses that a command's user calls "later, uncounted": `--defer-on` and `defer_on`."""

from __future__ import annotations

import pytest

from pq_cli import QueueConfig
from pq_cli.core.policy import config_from
from pq_cli.errors import ConfigError

RUNNERS = {"run": ("run",), "run -j2": ("run", "-j2"), "next": ("next",)}


@pytest.mark.parametrize("words", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("status", [22, 100, 124, 143])
def test_named_statuses_put_off(bench, words, status):
    """A status that --defer-on names puts the item off and costs no attempt, whatever it is."""
    bench.spool(max_attempts=1).enqueue(b"x")
    done = bench.pq(*words, "--defer-on", f"6, 7,{status}", "--", "sh", "-c", f"exit {status}")
    assert done.returncode == 6
    item = bench.spool().get(1)
    assert (str(item.state), item.attempts) == ("delayed", 0)
    assert item.history[-1]["outcome"] == "deferred"
    assert item.history[-1]["exit"] == status


@pytest.mark.parametrize("words", RUNNERS.values(), ids=RUNNERS)
def test_the_policy_names_statuses_too(bench, words):
    """`defer_on` in queue.toml means the same; an option takes its place as a whole."""
    spool = bench.spool(max_attempts=1, defer_on=[7, 22])
    spool.enqueue(b"one")
    bench.pq(*words, "--", "sh", "-c", "exit 22")
    assert bench.states() == {1: "delayed"}
    spool.enqueue(b"two")
    bench.pq(*words, "--defer-on", "28", "--", "sh", "-c", "exit 22")
    assert bench.states() == {1: "delayed", 2: "failed"}


def test_submit_keeps_what_may_yet_arrive(bench):
    """A status that says "for good" elsewhere leaves submit's payload in the queue if named."""
    bench.spool(defer_on=[99])
    done = bench.pq("submit", "--defer-on", "100", "--", "sh", "-c", "exit 100", stdin=b"x")
    assert (done.returncode, done.stdout) == (0, b"1\n")
    item = bench.spool().get(1)
    assert (str(item.state), item.attempts) == ("pending", 0)


@pytest.mark.parametrize("command", ["run", "next", "submit"])
@pytest.mark.parametrize("given", ["", "0", "256", "-1", "6,", "6;7", "x", "126", "127", "9" * 30])
def test_bad_statuses_are_refused(bench, command, given):
    """What cannot be an exit status of a command, or means that none ran, is named: exit 2."""
    bench.fill(1)
    done = bench.pq(command, f"--defer-on={given}", "--", "true", stdin=b"x")
    assert done.returncode == 2
    assert b"--defer-on" in done.stderr
    assert b"1 to 255" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert bench.states() == {1: "pending"}
    assert bench.spool().get(1).claims == 0


def test_next_without_a_command_has_no_status(bench):
    """`next --defer-on` without CMD is an error, not a claim."""
    bench.fill(1)
    done = bench.pq("next", "--defer-on", "6")
    assert done.returncode == 2
    assert b"CMD" in done.stderr
    assert bench.spool().get(1).claims == 0


@pytest.mark.parametrize("value", [6, "6", [0], [126], [256], [True], ["6"], [6.0], {}])
def test_bad_policy_is_refused(value):
    """queue.toml names file, key and what is allowed."""
    with pytest.raises(ConfigError, match=r"^queue\.toml: defer_on = .*1 to 255"):
        config_from({"defer_on": value}, "queue.toml")


def test_policy_round_trip():
    """A list of TOML is a tuple in Python, and what Python gives is taken as well."""
    assert config_from({"defer_on": [6, 22]}, "queue.toml") == QueueConfig(defer_on=(6, 22))
    assert config_from({"defer_on": (6,)}, "QueueConfig").defer_on == (6,)
