"""URLs of databases as people are shown them: without what is secret."""

from __future__ import annotations

import re

_URL = re.compile(r"(postgres(?:ql)?:/+)(.*)", re.DOTALL)
_OPTION = re.compile(r"([?&])([^=&#]*)=([^&#]*)")
_NO_PORT = re.compile(r"^([^\[/?#]*?):(?!\d*(?:[,/?#]|$)).*", re.DOTALL)
_SECRETS = (
    "password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"
)  # fmt: skip
"""The options of libpq that are; the file in which one stands (`passfile`) is none."""


def without_secrets(text: str) -> str:
    """Return a word of a command line or a message; no URL in it shows a password any more.

    Rather too much is left out than too little: a password that nobody encoded may hold `@`, `/`,
    `#` and blanks, so all is left out from the first `:` up to the last @ of the text.
    """
    return _URL.sub(lambda found: found[1] + _shown(found[2]), text)


def _shown(rest: str) -> str:
    rest = _OPTION.sub(_without_value, rest)
    before, at, behind = rest.rpartition("@")
    if at:
        return before.partition(":")[0] + at + behind
    return _NO_PORT.sub(r"\1...", rest)  # a message was cut in the middle of a password


def _without_value(option: re.Match[str]) -> str:
    name = option[2]
    if "%" in name:
        from urllib.parse import unquote

        name = unquote(name)
    if name.lower() not in _SECRETS:
        return option[0]
    return f"{option[1]}{option[2]}=..." + ("@" if "@" in option[3] else "")
