"""The two plots for the README, from the rows of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Row

SIZE_PLOT = "cost-against-size.png"
PEERS_PLOT = "peers.png"
_SERIES = {
    "pq next: in ten lanes": "pq next, a process",
    "pq done: in ten lanes": "pq done, a process",
    "pq enqueue: in ten lanes": "pq enqueue, a process",
    "claim + done, 100 in a row with opening: in ten lanes": "claim + done, in process",
}


def draw(rows: Sequence[Row], folder: str, file_system: str) -> list[str]:
    """Write the plots that the rows have figures for; return their paths.

    file_system: the type of the one that was measured on, for the titles.
    """
    import matplotlib

    matplotlib.use("Agg")
    drawn = []
    for name, plot in ((SIZE_PLOT, _cost_against_size), (PEERS_PLOT, _peers)):
        path = f"{folder}/{name}"
        if plot(rows, path, f"on {file_system}"):
            drawn.append(path)
    return drawn


def _cost_against_size(rows: Sequence[Row], path: str, where: str) -> bool:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=120)
    any_points = False
    for start, label in _SERIES.items():
        points = {
            row.size: row.median / (1000 if row.unit == "us" else 1)
            for row in rows
            if row.size is not None and row.what.startswith(start)
        }
        if points:
            any_points = True
            axes.plot(list(points), list(points.values()), marker="o", label=label)
    axes.set(
        xscale="log", yscale="log", xlabel="items pending, in ten lanes",
        ylabel="milliseconds", title=f"What one item costs, by the size of the queue ({where})",
    )  # fmt: skip
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    if any_points:
        figure.savefig(path)
    pyplot.close(figure)
    return any_points


def _peers(rows: Sequence[Row], path: str, where: str) -> bool:
    from matplotlib import pyplot

    figures: dict[str, dict[str, float]] = {"put": {}, "take": {}}
    for row in rows:
        kind, _, name = row.what.partition(": ")
        if row.group == "inprocess" and kind in figures:
            figures[kind][name] = row.median
    names = list(figures["put"])
    if not names:
        return False
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=120)
    for offset, (kind, label) in enumerate((("put", "put"), ("take", "get, read, end"))):
        places = [place + 0.4 * offset for place in range(len(names))]
        axes.barh(places, [figures[kind][n] for n in names], height=0.4, label=label)
    axes.set_yticks([place + 0.2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.set(xlabel="microseconds an item", title=f"In process, beside peers ({where})")
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return True
