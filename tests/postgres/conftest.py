"""Commands on a queue in a database, as processes."""

from __future__ import annotations

import pytest
from database import need_postgres, server
from support import Pq

from pq_cli import PostgresQueue


@pytest.fixture
def url():
    """The URL of a queue that nobody has used."""
    need_postgres()
    return server().url()


@pytest.fixture
def queue(url):
    """A queue that nobody has used."""
    with PostgresQueue(url) as queue:
        yield queue


@pytest.fixture
def pq(tmp_path, url):
    """The command `pq`, on that queue."""
    made = Pq(tmp_path)
    made.env["PQ_SPOOL"] = url
    return made
