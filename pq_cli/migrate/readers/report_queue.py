"""pyWATS ReportQueueService: `{pending,failed,completed}/UUID.json` envelopes."""

from __future__ import annotations

from functools import partial

from pq_cli.migrate.readers.envelopes import Layout, read_envelopes
from pq_cli.migrate.traces import Evidence, Format, Traces

_LAYOUT = Layout(("completed", "failed", "pending"), "report_data", "created_at")


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    folders = sorted(traces.known_folders & set(_LAYOUT.folders))
    if any("report_data" in obj for name in folders for obj in traces.peek_objects(name)):
        return Evidence(True, f"envelopes with report_data in {', '.join(folders)}")
    if {"pending", "completed"} <= traces.known_folders:
        return Evidence(False, f"folders {', '.join(folders)}")
    return None


FORMAT = Format("report_queue", looks_like, partial(read_envelopes, _LAYOUT))
