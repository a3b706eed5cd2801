"""HTML that cannot be broken by what it shows: every text is escaped unless it is markup."""

from __future__ import annotations

from html import escape

from pq_cli.core.item import printable

VOID = frozenset(("meta", "link", "path"))
"""Elements that have no content and no end tag."""


class Markup(str):
    """A text that is HTML already; only `el`, `join` and what pq itself has written are."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as it is read: escaped, with nothing that turns or hides what is beside it."""
    return Markup(escape(printable(str(value))))


def join(*parts: object) -> Markup:
    """Return parts one behind the other: markup as it is, anything else as text, None left out."""
    shown = (each if isinstance(each, Markup) else text(each) for each in parts if each is not None)
    return Markup("".join(shown))


def el(name: str, /, *parts: object, **attributes: object) -> Markup:
    """Return an element; `class_` is its class, None leaves an attribute out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{join(*parts)}</{name}>")
