"""From declared options to what typer reads; the one place where both are known."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.options import declared

if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.options import Declared, Option


def typed(option: Option) -> Any:
    """Return what typer is to know of an option, for use in `Annotated`."""
    if not option.names:
        return typer.Argument(metavar=option.metavar, help=option.help)
    return typer.Option(
        *option.names,
        metavar=option.metavar or None,
        envvar=option.envvar or None,
        show_default=not option.envvar,
        help=option.help,
    )


def signed(command: Callable[[Any], int], options: type[Declared]) -> Callable[..., int]:
    """Return the command as a function whose signature typer can read: one parameter an option."""
    known = declared(options)

    def call(**values: Any) -> int:
        many = {name: tuple(values[name] or ()) for name in known if known[name].many}
        return command(options(**values | many))

    parameters = [_parameter(name, option) for name, option in known.items()]
    call.__doc__ = command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _parameter(name: str, option: Option) -> inspect.Parameter:
    kind: Any = str | None
    default: Any = option.default
    if option.many:
        kind, default = list[str] | None, None
    elif isinstance(default, bool):
        kind = bool
    elif default is not None:
        kind = str
    if option.needs:
        kind, default = list[str], inspect.Parameter.empty
    said = Annotated[kind, typed(option)]
    only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, only, annotation=said, default=default)
