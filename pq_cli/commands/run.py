"""`pq run`: its options; see `actions.run` for what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.run import run
from pq_cli.actions.run_options import RunOptions
from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    CommandAfterDashes,
    DeferOnOption,
    LockTimeoutOption,
    SpoolOption,
)

PARSER = CommandAfterDashes


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- CMD...", help="Run on each item; {} becomes the payload's path."
        ),
    ] = None,
    jobs: Annotated[
        str, typer.Option("-j", "--jobs", metavar="N", help="At most N at once.")
    ] = "1",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, for ever.")] = False,
    max_items: Annotated[
        str | None, typer.Option("--max", metavar="N", help="Claim at most N items.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option("--max-time", metavar="D", help="Claim nothing after D.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="D", help="Stop CMD after D (exit 124).")
    ] = None,
    kill_after: Annotated[
        str, typer.Option("--kill-after", metavar="D", help="From TERM to KILL.")
    ] = "10s",
    halt_after: Annotated[
        str | None,
        typer.Option("--halt-after", metavar="N", help="Stop after N failures in a row."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="N/s", help="Start at most N a second (m, h, d)."),
    ] = None,
    nice: Annotated[
        str | None, typer.Option("--nice", metavar="N", help="Run at this niceness, 0 to 19.")
    ] = None,
    when: Annotated[
        str | None, typer.Option("--when", metavar="CMD", help="Claim only while CMD exits 0.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Keep CMD's output with the item.")] = False,
    tag: Annotated[bool, typer.Option("--tag", help="Put the id before each line.")] = False,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Show how far it has come.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON Lines.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run.")] = False,
    defer_on: DeferOnOption = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="D", help="Renewed while CMD runs.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Run CMD on the items, the most urgent first, until none is pending (or for ever: --follow).

    The payload is CMD's stdin. Exit 0 ends the item, 75 or 111 puts it off, 100 fails it for good,
    anything else retries it until max_attempts. Exit 6: some attempt failed.
    """
    return run(
        RunOptions(
            cmd=tuple(cmd or ()), jobs=jobs, follow=follow, max_items=max_items, max_time=max_time,
            timeout=timeout, kill_after=kill_after, halt_after=halt_after, rate=rate, nice=nice,
            when=when, log=log, tag=tag, progress=progress, as_json=as_json, dry_run=dry_run,
            lease=lease, defer_on=defer_on, spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip
