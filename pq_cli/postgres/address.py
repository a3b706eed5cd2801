"""Addresses: the URL of a queue, what of it libpq is given, and what of it people are shown."""

from __future__ import annotations

import re

from pq_cli.core.item import printable
from pq_cli.errors import UsageError

MAX_QUEUE_BYTES = 200
_SECRETS = re.compile(r"(?i)([?&](?:ssl)?password=)[^&#]*")


class Address:
    """postgresql://USER@HOST:PORT/DATABASE?OPTIONS#QUEUE, taken apart.

    url: the whole of it. conninfo: what is before `#`, for libpq, untouched. queue: the name behind
    it, `default` when there is none. shown: for people, without what is secret. Raises UsageError.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.conninfo, _, name = url.partition("#")
        self.queue = _valid_name(name or "default")
        self.shown = _without_secrets(self.conninfo) + f"#{self.queue}"


def _valid_name(name: str) -> str:
    size = len(name.encode("utf-8", "replace"))
    if size > MAX_QUEUE_BYTES:
        raise UsageError(f"a queue's name has at most {MAX_QUEUE_BYTES} bytes, this one has {size}")
    if not name.isprintable():
        raise UsageError(f"queue '{printable(name)}': control characters are not allowed")
    return name


def _without_secrets(conninfo: str) -> str:
    scheme, _, rest = conninfo.partition("://")
    # A password may hold what it should not, `/` among it: up to the last @ all is hidden.
    before, at, behind = rest.rpartition("@")
    if at:
        rest = before.partition(":")[0] + at + behind
    return printable(f"{scheme}://" + _SECRETS.sub(r"\1...", rest))
