# mypy: allow-untyped-defs, allow-untyped-calls
"""Ranks of wanted items in dense rows of scores, in one pass."""

from __future__ import annotations

from . import kernel


@kernel()
def count_above(start, stop, scores, targets, above, equal):
    """Of rows [start, stop): how many scores lie above the target's own, and how many equal it (itself among them)."""
    for s in range(start, stop):
        wanted = scores[s, targets[s]]
        higher = 0
        level = 0
        for value in scores[s]:
            higher += value > wanted
            level += value == wanted
        above[s] = higher
        equal[s] = level
