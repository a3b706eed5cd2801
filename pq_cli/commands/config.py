"""`pq config`: the policy of a queue, shown, set and edited, wherever it is kept."""

from __future__ import annotations

from pq_cli.commands.spools import open_spool
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import UsageError
from pq_cli.options import AS_JSON, Options, option
from pq_cli.queue.policytext import policy_lines
from pq_cli.queue.verbs import Queue
from pq_cli.screen import Screen


class ConfigOptions(Options):
    """The command line of `pq config`, as typed."""

    words: tuple[str, ...] = option(
        "show|set K=V...|edit", "Show it, set K to V, or edit its text.", many=True
    )
    as_json: bool = AS_JSON


def command(o: ConfigOptions, screen: Screen) -> int:
    """Show the policy of the queue, every field of it, or set some: `pq config set lease=10m`.

    A folder has it in its queue.toml, a database in the queue's row; what is set there stays as
    people wrote it but for these lines. `edit` opens the whole text in $VISUAL or $EDITOR and takes
    it back if it is right. Whoever has the queue open goes on with what it read.
    """
    verb, *settings = o.words or ("show",)
    if verb not in ("show", "set", "edit") or bool(settings) != (verb == "set"):
        raise UsageError("give `show`, `edit`, or `set` and what to set: set lease=10m")
    pairs = [word.partition("=") for word in settings]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{name}: give KEY=VALUE")
    queue = open_spool(o, screen, create=verb != "show")
    config = queue.config
    if verb == "set":
        config = queue.change_policy({name: value for name, _, value in pairs})
    if verb == "edit":
        config = _edit(queue, screen)
    if o.as_json:
        screen.emit_json(dict(config.__dict__))
        return 0
    if verb == "show":
        for name, value in policy_lines(config):
            screen.emit(f"{name} = {value}")
    return 0


def _edit(queue: Queue, screen: Screen) -> QueueConfig:
    """Let a person edit the text; return the policy that holds then."""
    from pq_cli.commands.editing import edited  # start-up
    from pq_cli.queue.policytext import CONFIG_TEMPLATE

    before = queue.policy_text()
    taken = [queue.config]

    def take(text: str) -> None:
        taken.append(queue.replace_policy(before, text))

    if not edited(before or CONFIG_TEMPLATE, "queue.toml", take, screen):
        screen.warn("nothing was changed")
    return taken[-1]
