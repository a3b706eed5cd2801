"""`pq stats --prometheus`: the text format that node_exporter's textfile collector reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pq_cli.core.insight.workers import STATES
from pq_cli.core.item import printable
from pq_cli.render.stats import Stats

Family = tuple[str, str, list[tuple[dict[str, str], float]]]
"""A metric's name, what it says, and its samples: labels and value."""


def metrics(stats: Stats) -> Iterator[str]:
    """Yield the lines of the exposition format, version 0.0.4; every sample names the spool."""
    for name, text, samples in _families(stats):
        if samples:
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} gauge"
        for labels, value in samples:
            pairs = {"spool": stats.path} | labels
            inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in pairs.items())
            yield f"{name}{{{inside}}} {value!r}"


def _families(stats: Stats) -> Iterator[Family]:
    lanes = [({"priority": str(lane.priority)}, lane) for lane in stats.lanes]
    slots = [({"limit": name}, each) for name, each in stats.slots.items()]
    workers = Counter(worker.state(stats.now) for worker in stats.workers)
    nobody = any(reason.kind == "nobody" for reason in stats.trouble)
    yield (
        "pq_items", "Items in the spool by state.",
        [({"state": state}, count) for state, count in stats.counts.items()],
    )  # fmt: skip
    yield (
        "pq_pending_items", "Pending items by base priority.",
        [(label, lane.total) for label, lane in lanes],
    )  # fmt: skip
    yield (
        "pq_oldest_pending_age_seconds", "Age of the oldest pending item of a lane.",
        [(label, lane.oldest_age) for label, lane in lanes],
    )  # fmt: skip
    yield (
        "pq_starving_items", "Pending items at the aging cap.",
        [(label, lane.starving) for label, lane in lanes],
    )  # fmt: skip
    yield (
        "pq_workers", "Workers by what they are at.",
        [({"state": state}, workers[state]) for state in STATES],
    )  # fmt: skip
    yield "pq_unattended", "1 while something waits and nobody is there.", [({}, int(nobody))]
    yield (
        "pq_limit_active_items", "Items at work by their limit.",
        [(label, each.active) for label, each in slots],
    )  # fmt: skip
    yield (
        "pq_limit_pending_items", "Pending items by their limit.",
        [(label, each.waiting) for label, each in slots],
    )  # fmt: skip
    yield "pq_paused", "1 while nothing is claimed.", [({}, int(stats.pause is not None))]
    yield "pq_quarantined", "Things that a repair has set aside.", [({}, stats.quarantined)]
    yield "pq_drop_box_files", "Files in new/ that are no items yet.", [({}, stats.dropped)]
    yield from _last_hour(stats)


def _last_hour(stats: Stats) -> Iterator[Family]:
    flows = [({"priority": str(flow.priority)}, flow) for flow in stats.history.flows]
    yield (
        "pq_last_hour_attempts", "Attempts that ended in the last hour, from the log.",
        [
            (label | {"outcome": outcome}, count)
            for label, flow in flows
            for outcome, count in (("done", flow.done), ("failed", flow.failed))
        ],
    )  # fmt: skip
    yield (
        "pq_last_hour_wait_seconds", "From enqueue to first claim in the last hour.",
        [
            (label | {"quantile": quantile}, value)
            for label, flow in flows
            for quantile, value in (("0.5", flow.waited_median), ("0.95", flow.waited_p95))
            if value is not None
        ],
    )  # fmt: skip


def _escaped(text: str) -> str:
    clean = "\n".join(map(printable, text.encode("utf-8", "replace").decode().split("\n")))
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
