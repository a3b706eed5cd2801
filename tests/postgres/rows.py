"""A queue in a database as its rows show it, and answers of the server that get lost."""

from __future__ import annotations

from database import server

from pq_cli.postgres.wire.session import Refused, Session


def number_of(url):
    """Return the number of the queue of this URL."""
    ((number,),) = server().sql(
        "select number from pq.queue where name = %s", url.partition("#")[2]
    )
    return number


def cut_at_the_end(monkeypatch, error=None):
    """Let the next change of an item be made, and its answer be lost."""
    run = Session.run

    def cut(session, statements):
        rows = run(session, statements)
        if any("update pq.item" in text for text, _ in statements):
            monkeypatch.undo()
            session.close()
            raise error or Refused(None, "the connection was lost")
        return rows

    monkeypatch.setattr(Session, "run", cut)
