"""`main`: the one place where an error becomes an exit status.

Commands load lazily: only the module of the command that was asked for is imported. typer is most
of pq's start-up time: the plain forms of `enqueue`, `next` and `done`, which scripts run a million
times a day, are parsed by the few rules of option parsing that need no help text, from the options
that they declare. Whatever is not certainly plain (an unknown option, a missing value, `--`,
`--help`) goes the full way. A property test holds both ways to the same options.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from pq_cli import host
from pq_cli.errors import OutputError, PqError, UsageError
from pq_cli.options import plain
from pq_cli.screen import Screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from pq_cli.options import Options


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `pq` and exit with the status that pq(1) lists."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None and any("://" in word for word in arguments):
        host.hide_secrets()
    _guard_standard_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup(1) means it
            signal.signal(number, _terminate)
    screen = Screen()
    host.say = screen.warn  # a wait of more than a second is told
    status = 70
    try:
        status = _run(arguments, screen)
        screen.flush()
    except KeyboardInterrupt:
        # One that came out of a text that was executed, as a library's import may do, CPython takes
        # for unhandled whatever becomes of it, and would die of SIGINT: until it executes another.
        exec("")
        status = 130
    except BaseException as error:
        status = _report(error, screen)
    else:
        sys.exit(status)
    _leave(status, screen)


def _run(arguments: list[str], screen: Screen) -> int:
    if not arguments:
        from pq_cli.help import short_help

        screen.emit(short_help())
        return 0
    spool, (name, *rest) = _leading_spool(arguments)
    screen.command = name
    try:
        return _command(name, spool, rest, screen)
    except OSError as error:
        if error.filename is None and not isinstance(error, BrokenPipeError):
            error.filename = name  # about no file, but this process: it has no descriptor left
        raise


def _command(name: str, spool: list[str], rest: list[str], screen: Screen) -> int:
    planned = plan(name, [*spool, *rest], os.environ, default_spool())
    if planned is not None:
        host.brief = True
        command, options = planned
        return command(options, screen)
    if name in ("--version", "-V"):
        from pq_cli import __version__

        screen.emit(f"pq {__version__}")
        return 0
    if name == "__complete":  # asked by the completion scripts at every Tab
        from pq_cli.commands.complete import complete

        return complete(rest, os.environ.get("PQ_SPOOL") or default_spool(), screen)
    if name in ("--help", "-h") or (name == "help" and not rest):
        from pq_cli.help import full_help

        screen.emit(full_help())
        return 0
    if name == "help":
        name, rest = rest[0], ["--help"]
    return _invoke(name, [*spool, *rest], screen)


def _leading_spool(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split `-s DIR` off the front: it may also stand before the command. Raises UsageError."""
    count = 0
    while count < len(arguments):
        word = arguments[count]
        if word in ("-s", "--spool"):
            count += 2
        elif word.startswith("--spool=") or (word.startswith("-s") and len(word) > 2):
            count += 1
        else:
            return arguments[:count], arguments[count:]
    raise UsageError("a command is missing; `pq help` lists them")


def _invoke(name: str, arguments: list[str], screen: Screen) -> int:
    """Go the full way. Raises UsageError when there is no such command."""
    from pq_cli.commands.table import COMMANDS, find

    if name not in COMMANDS:
        from pq_cli.help import unknown

        raise UsageError(unknown(name))
    from pq_cli.commands.typed import parser as parser_of

    # Not `main`: it turns a broken pipe into exit 1, and Ctrl-C into an exception of its own.
    command = find(name)
    parser = parser_of(name, command)
    settings: dict[str, Any] = {"default_map": {"spool": default_spool()}}
    if {"--help", "-h"} & set(arguments):
        from pq_cli.render.terminal import stdout_width

        # By itself it is never narrower than 50 columns.
        settings["terminal_width"] = min(80, stdout_width() or 80) - 2
    with parser.make_context(f"pq {name}", arguments, **settings) as context:
        options = parser.invoke(context)
    return command(options, screen)


def default_spool() -> str:
    """Return the spool that is used when neither -s nor PQ_SPOOL names one."""
    state_home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state_home):  # the XDG specification: then it does not count
        state_home = os.path.expanduser("~/.local/state")
    return os.path.join(state_home, "pq", "default")


# -- the plain forms, without typer ----------------------------------------------


def plan(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], default_spool: str
) -> tuple[Callable[[Any, Screen], int], Options] | None:
    """Return (command, options) of a plain command line, or None: go the full way.

    Raises UsageError for a value that is not acceptable.
    """
    command = _plain(name)
    if command is None:
        return None
    options = plain(command, arguments, environ.get("PQ_SPOOL") or default_spool)
    return None if options is None else (command, options)


def _plain(name: str) -> Callable[[Any, Screen], int] | None:
    """Return the function of a command that has a plain form."""
    module: Any
    if name == "enqueue":
        from pq_cli.commands import enqueue as module
    elif name == "next":
        from pq_cli.commands import next as module
    elif name == "done":
        from pq_cli.commands import done as module
    else:
        return None
    return module.command  # type: ignore[no-any-return]


# -- from errors to exit statuses ------------------------------------------------


def _report(error: BaseException, screen: Screen) -> int:
    """Say what went wrong in one line on stderr; return the exit status."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE
    if isinstance(error, PqError | OSError):
        return screen.report(error)
    if type(error).__module__.partition(".")[0] in ("click", "typer"):
        return _report_click(error, screen)
    if isinstance(error, MemoryError | RecursionError):
        what = "memory" if isinstance(error, MemoryError) else "stack"
        screen.warn(f"out of {what}; `ulimit -a` tells how much is allowed")
        return 74
    said = f"{type(error).__name__}: {error}"
    screen.warn(f"internal error, please report it, with what `pq doctor` says: {said}")
    return 70


def _report_click(error: Any, screen: Screen) -> int:
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        where = f"{context.command_path.removeprefix('pq ')}: " if context is not None else ""
        said = error.format_message()
        if context is not None and hasattr(error, "possibilities"):
            from pq_cli.help import unknown_option

            known = [word for p in context.command.params for word in (*p.opts, *p.secondary_opts)]
            said = unknown_option(error.option_name, known, context.command.name)
        return screen.report(UsageError(f"{where}{said.removesuffix('.')}"))
    if type(error).__name__ == "Abort":
        return 130
    return int(getattr(error, "exit_code", 1))


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Let SIGTERM and SIGHUP unwind, so that what is half done is undone."""
    raise SystemExit(128 + number)


def _guard_standard_streams() -> None:
    """Keep closed descriptors 0 to 2 from being reused for files of the spool.

    Nor those of a command. What is written to a stdout that was closed fails as it should.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_WRONLY if fd == 2 else os.O_RDONLY)
                os.set_inheritable(fd, True)


def _leave(status: int, screen: Screen) -> NoReturn:
    """Exit after an error; what stdout still holds was reported already, and is not retried."""
    try:
        screen.flush()
    except (OSError, OutputError) as error:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        if status == 0:
            status = _report(error, screen)
    if status == 128 + signal.SIGPIPE:
        os._exit(status)
    sys.exit(status)
