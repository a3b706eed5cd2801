"""From declared options to a parser of typer's; the one place where both are known."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pq_cli.core.item import printable
from pq_cli.core.shellwords import as_command
from pq_cli.core.shellwords import typed as as_typed
from pq_cli.errors import UsageError
from pq_cli.options import declared, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.options import Option


def parser(name: str, command: Callable[..., int]) -> Any:
    """Return what parses the words of a command, and when invoked returns the options they give."""
    options = options_of(command)
    known = declared(options)

    def read(**values: Any) -> Any:
        many = {field: tuple(values[field] or ()) for field in known if known[field].many}
        return options.of_words(values | many)

    parameters = [_parameter(field, option) for field, option in known.items()]
    read.__doc__ = command.__doc__
    read.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    read.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    kind = CommandAfterDashes if "cmd" in known else Parser
    app.command(name, cls=kind, context_settings={"help_option_names": ["-h", "--help"]})(read)
    made: Any = typer.main.get_command(app)
    optional = [each for each in known.values() if each.implied]
    made.implied = {word: each.implied for each in optional for word in each.names}
    return made


def _parameter(field: str, option: Option) -> inspect.Parameter:
    kind: Any = str if option.metavar else bool
    default: Any = option.default
    if option.many:
        kind, default = list[str], None
    if option.needs:
        default = inspect.Parameter.empty
    elif default is None:
        kind = kind | None
    if option.names:
        said = typer.Option(
            *option.names,
            metavar=option.metavar or None,
            envvar=option.envvar or None,
            show_default=not option.envvar,
            help=option.help,
        )
    else:
        said = typer.Argument(metavar=option.metavar, help=option.help)
    only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field, only, annotation=Annotated[kind, said], default=default)


class Parser(TyperCommand):
    """The parser of a pq command. In a usage line operands stand as in the manual: `ITEM...`.

    implied: the options, and what those imply that may stand without their value (`--wait`).
    """

    implied: dict[str, str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with the values that are implied."""
        return super().parse_args(ctx, self.whole(args))

    def whole(self, args: list[str]) -> list[str]:
        """Return the words of a command line with the values that are implied."""
        end = args.index("--") if "--" in args else len(args)
        before = [f"{w}={self.implied[w]}" if w in self.implied else w for w in args[:end]]
        return before + args[end:]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces, without typer's braces around what is required."""
        operands = (p.metavar or "" for p in self.params if p.param_type_name == "argument")
        return [self.options_metavar or "", *operands]


class CommandAfterDashes(Parser):
    """The parser of a pq command that ends in `-- CMD...`: without the `--` nothing is run.

    Else `next --wait 3` would wait, and then run `3`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse. Raises UsageError for words before `--` that belong to no option."""
        # From the first such word on all is the command's: its options are not taken for ours.
        ctx.allow_interspersed_args = False
        args = self.whole(args)
        after = len(args) - args.index("--") - 1 if "--" in args else 0
        rest = super().parse_args(ctx, list(args))
        words = list(ctx.params.get("cmd") or [])
        if words[:1] == [""]:  # a shell gives that for "$UPLOAD" where nothing sets it
            raise UsageError("-- '': give a command; the first word behind -- is empty")
        if len(words) > after:
            own = args[: len(args) - len(words)]
            raise UsageError(_misplaced((ctx.info_name or "").split()[-1], own, words))
        return rest


def _misplaced(command: str, own: list[str], words: list[str]) -> str:
    """Return what to say of words that stand where an option should, and what to type."""
    option, equals, _ = (own or [""])[-1].partition("=")
    if words[0][:1].isdigit() and equals:
        return f"{printable(words[0], 40)!r} belongs to no option: write `{option}={words[0]}`"
    line = as_command([word for word in words if word != "--"])
    typed = printable(f"pq {as_typed([command, *own])} -- {line}", 400)
    return f"put the command after --: `{typed}`"
