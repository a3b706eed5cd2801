"""Commands on a queue in a database, as processes."""

from __future__ import annotations

import pytest
from database import need_postgres, server
from support import Pq


@pytest.fixture
def url():
    """A queue that nobody has used."""
    need_postgres()
    return server().url()


@pytest.fixture
def pq(tmp_path, url):
    """The command `pq`, on that queue."""
    made = Pq(tmp_path)
    made.env["PQ_SPOOL"] = url
    return made
