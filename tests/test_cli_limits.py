"""Limits on the command line: said, shown, chosen by, changed, and set in the policy."""

from __future__ import annotations

import json
import tomllib

import pytest
from support import Pq

from pq_cli import ConfigError, UsageError
from pq_cli.core.policy import config_from
from pq_cli.queue.policytext import changed_policy, parse_policy, policy_lines


def test_an_item_with_a_limit_from_enqueue_to_explain(pq: Pq) -> None:
    """enqueue, config, ls, explain, stats and set say one thing; submit does not run past it."""
    assert pq("enqueue", "--lines", "--limit", "api", stdin=b"a\nb\n").text == "1\n2\n"
    assert pq("submit", "--limit", "api", "--", "true", stdin=b"c").text == ""
    assert pq("next", "--claim").text == "1.1\n"
    tried = pq("submit", "--limit", "api", "--", "false", stdin=b"d")
    assert tried.text == "4\n" and "limit api is full: nothing was run: queued" in tried.err
    assert pq("next", "--claim", expect=1).text == ""
    assert "waits for limit api: 1 of 1 item is at work" in pq("explain", 4).text
    told = json.loads(pq("stats", "--json").text)["limits"]
    assert told == [{"limit": "api", "active": 1, "most": 1, "waiting": 2}]
    assert "pq_limit_pending_items{spool=" in pq("stats", "--prometheus").text
    assert pq("ls", "-q", "--limit", "none", expect=1).text == ""
    pq("config", "set", "limits.api=2")
    assert "limits.api = 2\n" in pq("config").text
    assert pq("next", "--claim").text == "2.1\n"
    pq("release", 2)
    pq("set", "--of-limit", "api", "--state", "pending", "--limit", "none")
    assert json.loads(pq("show", "--json", 2).text)["limit"] is None


def test_what_is_no_limit_is_refused_with_what_is_allowed(pq: Pq) -> None:
    """A bad name is 2, a policy that is wrong 78 with file, key and what is allowed."""
    assert "64 of A-Z" in pq("enqueue", "--limit", "a/b", stdin=b"", expect=2).err
    assert "1 to 1000000" in pq("config", "set", "limits.api=0", expect=2).err
    (pq.spool / "queue.toml").write_text("[limits]\napi = 0\n")
    said = pq("ls", expect=78).err
    assert "queue.toml: limits.api = 0: allowed is a whole number from 1 to 1000000" in said


@pytest.mark.parametrize(
    "text",
    [
        "", 'lease = "5m"\n', "[limits]\napi = 2\n", 'limits.api = 2\nlease = "1m"\n',
        "limits = { api = 2 }\n", 'lease="5m"\n\n[limits]\nlease = 3\n\n',
        '[limits] #\n"a.b" = 3\n',
    ],
)  # fmt: skip
def test_a_limit_is_set_in_the_way_in_which_people_wrote_the_others(text):
    """As a table, with dots or in one line; a field of the same name is not mistaken for one."""
    settings = {"limits.api": "5", "limits.a.b": "7", "lease": "10m", "limits.lease": "2"}
    config = parse_policy(changed_policy(text, settings, "queue.toml"), "queue.toml")
    assert config.lease == 600
    assert config.limits == {"api": 5, "a.b": 7, "lease": 2}
    again = "\n".join(f"{name} = {value}" for name, value in policy_lines(config))
    assert config_from(tomllib.loads(again), "shown") == config


@pytest.mark.parametrize(
    "text",
    [
        "limits = 3",
        "[limits]\na = 0",
        "[limits]\na = true",
        "[limits]\na.b = 2",
        '[limits]\n"/" = 2',
    ],
)
def test_a_table_of_limits_that_is_none_is_named(text):
    """What is wrong with it stands in the error."""
    with pytest.raises(ConfigError, match="limits"):
        parse_policy(text, "queue.toml")


@pytest.mark.parametrize("name", ["limits", "limits.", "limits.none"])
def test_only_a_limit_that_has_a_name_is_set(name):
    """The table as a whole has no value."""
    with pytest.raises(UsageError, match="limit"):
        changed_policy("", {name: "3"}, "queue.toml")
