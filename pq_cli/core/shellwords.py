"""Lines that somebody wrote for a shell where none reads them. Pure.

pq runs argument vectors. A line with `&&` in it would be run as one command with odd arguments,
and `true && false` would succeed: so what only a shell understands is found, and said.
"""

from __future__ import annotations

import re
import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OPERATOR = re.compile(r"[;&|<>()]+|[\n`]")
_EXPANSION = re.compile(r"\$(?:\w+|[({*@#?$!-])")
_AT_WORD_START = re.compile(r"(?:(?<=\s)|^)(?:~|#|!(?=\s))")
_ONLY_SHELL = (_OPERATOR, _EXPANSION, _AT_WORD_START)
_FOR_A_SHELL = re.compile(r"\s-\w*c\s+$")
"""What precedes a quoted text that another shell will read: `sh -c`, `su -c`."""


def shell_only(text: str) -> str | None:
    """Return the first thing in a line that only a shell would understand, or None.

    Operators, expansions and comments, where quotes do not make them plain text. Within double
    quotes a shell would still expand; but not what is meant for another shell, as in `sh -c "..."`.
    """
    at, quote, passed_on = 0, "", False
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 2
            continue
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, passed_on = char, bool(_FOR_A_SHELL.search(text[:at]))
        elif found := _shell_only_at(text, at, quote, passed_on):
            return found
        at += 1
    return None


def _shell_only_at(text: str, at: int, quote: str, passed_on: bool) -> str | None:
    if quote == "'" or (quote and passed_on):
        return None
    if quote and text[at] not in "$`":
        return None
    found = next((match for kind in _ONLY_SHELL if (match := kind.match(text, at))), None)
    return found[0] if found else None


def through_shell(text: str) -> str:
    """Return the words that run a line by a shell, to be typed at a shell: `sh -c '...'`."""
    return f"sh -c {shlex.quote(text)}"


def quoted(text: str) -> str:
    """Return a text as one word to be typed at a shell, in the quotes that read the best."""
    return f'"{text}"' if "'" in text and not re.search(r'["$`\\!]', text) else shlex.quote(text)


def typed(words: Sequence[str]) -> str:
    """Return words to be typed at a shell; `{}` stands as it is."""
    return " ".join(
        word if _is_plain(word.replace("{}", "x")) else shlex.quote(word) for word in words
    )


def _is_plain(word: str) -> bool:
    return shlex.quote(word) == word


def as_command(words: Sequence[str]) -> str:
    """Return what to type for a command of which a whole line may have been given as one word."""
    if len(words) == 1 and not _is_plain(words[0]):
        line = words[0]
        if shell_only(line):
            return through_shell(line)
        try:
            return typed(shlex.split(line))
        except ValueError:
            return through_shell(line)
    return typed(words)
