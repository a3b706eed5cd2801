"""`pq config`: the policy of a queue, shown, set and edited, wherever it is kept."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import printable
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import CommandFailedError, PqError, UsageError
from pq_cli.options import AS_JSON, Options, option
from pq_cli.queue.policytext import CONFIG_TEMPLATE, policy_lines
from pq_cli.queue.verbs import Queue
from pq_cli.screen import Screen
from pq_cli.worker.contract import not_runnable


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
    """Let a person edit the text; return the policy that holds then.

    When it is not taken, a person on a terminal is asked whether to edit it again; what they wrote
    is kept in a file that is named. Raises what `replace_policy` raises, CommandFailedError,
    CommandNotFoundError, NotExecutableError, UsageError for an $EDITOR that is no command line.
    """
    before = queue.policy_text()
    text = before or CONFIG_TEMPLATE
    folder = tempfile.mkdtemp(prefix="pq-edit-")  # ours alone; the editor may leave files beside
    path = os.path.join(folder, "queue.toml")
    private = partial(os.open, mode=0o600)
    with open(path, "x", encoding="utf-8", newline="", opener=private) as file:
        file.write(text)
    keep = False
    try:
        while True:
            _run_editor(path)
            keep = True
            try:
                now = _read(path)
                config = queue.config if now == text else queue.replace_policy(before, now)
            except (PqError, OSError) as error:
                if isinstance(error, UsageError) and _again(error, screen):
                    continue
                screen.warn(f"nothing was changed; what you wrote is in {path}")
                raise
            if now == text:
                screen.warn("nothing was changed")
            keep = False
            return config
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _run_editor(path: str) -> None:
    """Run the editor to its end. It has the terminal: Ctrl-C is for it to heed, not for us."""
    said = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        argv = shlex.split(said)
    except ValueError as error:
        raise UsageError(f"$VISUAL or $EDITOR {printable(said)!r}: {error}") from None
    if not argv:
        raise UsageError("$VISUAL or $EDITOR is empty: EDITOR=vi")
    try:
        process = subprocess.Popen([*argv, path])
    except OSError as error:
        raise not_runnable(argv[0], error) from None
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise CommandFailedError(
            f"{printable(argv[0])} ended with status {status}: nothing was changed"
        )


def _again(error: PqError, screen: Screen) -> bool:
    """Tell whether there is somebody who wants to edit it once more."""
    if sys.stdin is None or not (os.isatty(0) and os.isatty(2)):
        return False
    screen.warn(error)
    os.write(2, b"Edit it again? [Y/n] ")
    answer = sys.stdin.readline()
    return bool(answer) and not answer.strip().lower().startswith("n")


def _read(path: str) -> str:
    with open(path, "rb") as file:  # by its name: many editors put another file in its place
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise UsageError("queue.toml: what was written is no text in UTF-8") from None
