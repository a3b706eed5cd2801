"""`pq stats --prometheus`: the text format that node_exporter's textfile collector reads."""

from __future__ import annotations

from collections import Counter

from pq_cli.core.insight.workers import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.render.stats import Stats

Sample = tuple[dict[str, str], float]


def metrics(stats: Stats) -> Iterator[str]:
    """Yield the lines of the exposition format, version 0.0.4; every sample names the spool."""
    lanes, flows = stats.lanes, stats.history.flows
    yield from _family(
        stats, "pq_items", "Items in the spool by state.",
        [({"state": state}, count) for state, count in stats.counts.items()],
    )  # fmt: skip
    yield from _family(
        stats, "pq_pending_items", "Pending items by base priority.",
        [({"priority": str(lane.priority)}, lane.total) for lane in lanes],
    )  # fmt: skip
    yield from _family(
        stats, "pq_oldest_pending_age_seconds", "Age of the oldest pending item of a lane.",
        [({"priority": str(lane.priority)}, lane.oldest_age) for lane in lanes],
    )  # fmt: skip
    yield from _family(
        stats, "pq_starving_items", "Pending items at the aging cap.",
        [({"priority": str(lane.priority)}, lane.starving) for lane in lanes],
    )  # fmt: skip
    yield from _attended(stats)
    paused = 0 if stats.pause is None else 1
    yield from _limited(stats)
    yield from _family(stats, "pq_paused", "1 while nothing is claimed.", [({}, paused)])
    yield from _family(
        stats, "pq_quarantined", "Things that a repair has set aside.", [({}, stats.quarantined)]
    )
    yield from _family(
        stats, "pq_drop_box_files", "Files in new/ that are no items yet.", [({}, stats.dropped)]
    )
    yield from _family(
        stats, "pq_last_hour_attempts", "Attempts that ended in the last hour, from the log.",
        [
            ({"priority": str(flow.priority), "outcome": outcome}, count)
            for flow in flows
            for outcome, count in (("done", flow.done), ("failed", flow.failed))
        ],
    )  # fmt: skip
    yield from _family(
        stats, "pq_last_hour_wait_seconds", "From enqueue to first claim in the last hour.",
        [
            ({"priority": str(flow.priority), "quantile": quantile}, value)
            for flow in flows
            for quantile, value in (("0.5", flow.waited_median), ("0.95", flow.waited_p95))
            if value is not None
        ],
    )  # fmt: skip


def _limited(stats: Stats) -> Iterator[str]:
    yield from _family(
        stats, "pq_limit_active_items", "Items at work by their limit.",
        [({"limit": name}, slots.active) for name, slots in stats.slots.items()],
    )  # fmt: skip
    yield from _family(
        stats, "pq_limit_pending_items", "Pending items by their limit.",
        [({"limit": name}, slots.waiting) for name, slots in stats.slots.items()],
    )  # fmt: skip


def _attended(stats: Stats) -> Iterator[str]:
    states = Counter(worker.state(stats.now) for worker in stats.workers)
    yield from _family(
        stats, "pq_workers", "Workers by what they are at.",
        [({"state": state}, states[state]) for state in STATES],
    )  # fmt: skip
    nobody = any(reason.kind == "nobody" for reason in stats.trouble)
    yield from _family(
        stats, "pq_unattended", "1 while something waits and nobody is there.", [({}, int(nobody))]
    )


def _family(stats: Stats, name: str, text: str, samples: list[Sample]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        pairs = {"spool": stats.path} | labels
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in pairs.items())
        yield f"{name}{{{inside}}} {value!r}"


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
