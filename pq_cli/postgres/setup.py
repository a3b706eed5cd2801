"""What `pq init URL` does: tables, a queue, rights."""

from __future__ import annotations

from pq_cli.postgres import schema
from pq_cli.postgres.address import Address
from pq_cli.postgres.link import Link


def set_up(url: str, *, lock_timeout: float = 30.0) -> None:
    """Make or upgrade the tables in the database of this URL.

    Raises UsageError, ConfigError, PermissionDeniedError, TryAgainError.
    """
    link = Link(Address(url), lock_timeout)
    try:
        schema.make(link)
    finally:
        link.close()
