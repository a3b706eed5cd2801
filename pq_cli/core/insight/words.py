"""Small numbers as people read them."""

from __future__ import annotations


def human_size(size: int) -> str:
    """Return a number of bytes in three digits or so: `17`, `4.2k`, `310M`."""
    value = float(size)
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 999.5 or unit == "P":
            return f"{value:.0f}{unit}" if not unit or value >= 9.95 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError("unreachable")


def counted(number: int, noun: str) -> str:
    """Return `1 item`, `2 items`; thousands are set apart."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def way_back(error: str) -> str:
    """Return what brings back the item that another fell with, by the error of that other."""
    verb = "undo" if error.endswith("was removed") else "retry"
    _, item, *_ = [*error.split(), "ID", "ID"]  # a stream may bring any error
    return f"pq {verb} {item}"


def lie_in_quarantine(number: int) -> str:
    """Return what is told of things that a repair has set aside, and what to do about them."""
    one = number == 1
    what = f"{number:,} {'lies' if one else 'lie'} in quarantine/"
    return f"{what} (`pq check` lists {'it' if one else 'them'}, --restore NAME brings one back)"


def wait_in_new(number: int) -> str:
    """Return what is told of files in the drop box that are no items yet."""
    one = number == 1
    files = f"{counted(number, 'file')} {'waits' if one else 'wait'} in new/"
    return f"{files}: the next claim makes {'an item of it' if one else 'items of them'}"
