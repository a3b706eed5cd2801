"""Searching along a lane, whose items usually are the younger the higher their id. Pure.

Usually, because items that came from another queue, or under a clock that was set back, keep the
time at which they were created. So a lane is searched in pieces: a piece is looked at whole if
it is the only one, or if its ends show that the times do not rise along it, and else by bisection.
What is told of a lane longer than one piece is therefore inexact only where times fall and rise
again within a piece.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

Created = Callable[[int], float]
"""Gives the Unix second at which the item of an id was created."""

PIECE = 1000
"""Items of a lane that are looked at one by one rather than to guess."""


def pieces(ids: Sequence[int], created_at: Created) -> Iterator[tuple[Sequence[int], bool]]:
    """Yield a lane's ids (ascending) in pieces, and whether times rise along each."""
    for start in range(0, len(ids), PIECE):
        piece = ids[start : start + PIECE]
        if len(ids) > PIECE:
            yield piece, created_at(piece[0]) <= created_at(piece[-1])
        else:
            yield piece, all(created_at(a) <= created_at(b) for a, b in pairwise(piece))


def count_older(ids: Sequence[int], created_at: Created, moment: float) -> int:
    """Return how many of a lane's ids (ascending) were created at `moment` or before."""
    count = 0
    for piece, rising in pieces(ids, created_at):
        if rising:
            count += bisect_left(piece, True, key=lambda item_id: created_at(item_id) > moment)
        else:
            count += sum(created_at(item_id) <= moment for item_id in piece)
    return count


def count_until(ids: Sequence[int], created_at: Created, stops: Callable[[int], bool]) -> int:
    """Return how many of a lane's ids (ascending) come before the first that `stops`.

    The younger of two items must not stop later than the older one.
    """
    count = 0
    for piece, rising in pieces(ids, created_at):
        if rising:
            found = bisect_left(piece, True, key=stops)
        else:
            found = next((n for n, item_id in enumerate(piece) if stops(item_id)), len(piece))
        count += found
        if found < len(piece):
            break
    return count


def extremes(ids: Sequence[int], created_at: Created) -> tuple[int, int]:
    """Return the ids of the oldest and the youngest item of a lane; of equals the first."""
    seen: list[int] = []
    for piece, rising in pieces(ids, created_at):
        seen += (piece[0], piece[-1]) if rising else piece
    return min(seen, key=created_at), max(seen, key=created_at)
