"""Addresses: the URL of a queue, what of it libpq is given, and what of it people are shown."""

from __future__ import annotations

from pq_cli.core.item import printable
from pq_cli.core.urls import without_secrets
from pq_cli.errors import UsageError

MAX_QUEUE_BYTES = 200


class Address:
    """postgresql://USER@HOST:PORT/DATABASE?OPTIONS#QUEUE, taken apart.

    url: the whole of it. conninfo: what is before `#`, for libpq, untouched. queue: the name behind
    it, `default` when there is none. shown: for people, without what is secret. Raises UsageError.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.conninfo, _, name = url.partition("#")
        self.queue = _valid_name(name or "default")
        self.shown = printable(without_secrets(f"{self.conninfo}#{self.queue}"))

    @property
    def unclear(self) -> bool:
        """Whether libpq may take a piece of a password for something else, and repeat it.

        It ends the password at the first `@` of the authority, and takes a later one as it is.
        """
        authority = self.conninfo.partition("://")[2].partition("/")[0]
        return self.url.count("@") > ("@" in authority)


def _valid_name(name: str) -> str:
    size = len(name.encode("utf-8", "replace"))
    if size > MAX_QUEUE_BYTES:
        raise UsageError(f"a queue's name has at most {MAX_QUEUE_BYTES} bytes, this one has {size}")
    if not name.isprintable():
        shown = printable(name.rpartition("@")[2])  # before it, a password with a `#`
        raise UsageError(f"queue '{shown}': control characters are not allowed")
    return name
