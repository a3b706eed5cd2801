"""The queue of the pyWATS UI framework: `{pending,failed,sent}/ID.json` envelopes."""

from __future__ import annotations

from functools import partial

from pq_cli.migrate.readers.envelopes import Layout, read_envelopes
from pq_cli.migrate.traces import Evidence, Format, Traces

_LAYOUT = Layout(("sent", "failed", "pending"), "data", "created")


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    folders = sorted(traces.known_folders & set(_LAYOUT.folders))
    objects = (obj for name in folders for obj in traces.peek_objects(name))
    # Envelopes of report_queue may hold a stray `data` as well, but never this pair.
    if any("data" in obj and "operation_type" in obj for obj in objects):
        return Evidence(True, f"envelopes with operation_type in {', '.join(folders)}")
    if {"pending", "sent"} <= traces.known_folders:
        return Evidence(False, f"folders {', '.join(folders)}")
    return None


FORMAT = Format("ui_queue", looks_like, partial(read_envelopes, _LAYOUT))
