"""Alias tables for the rows of a weighted graph: one random word and one memory access draw a neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernel

# Columns of a table's entry: 16 bytes, so that no draw straddles two cache lines.
THRESHOLD, OWN, ALIAS, ALIAS_PLACE = 0, 1, 2, 3
FULL = -1  # as a uint32, 2**32 - 1


@kernel()
def build_alias_rows(start: int, stop: int, indptr: Any, indices: Any, weights: Any, table: Any) -> None:
    """Vose (1991), "A linear algorithm for generating random numbers with a given distribution", row by row.

    indptr (n + 1,) int64, indices (nnz,) int32, weights (nnz,) float64 > 0 -> table (nnz, 4) int32. Entry k of a
    row holds the chance to keep its own neighbour, as a uint32 fraction of 2**32, that neighbour, the other one,
    and the other one's place in the row. A full entry is its own alias, so the fraction's rounding can't touch it.
    """
    widest = 0
    for row in range(start, stop):
        widest = max(widest, indptr[row + 1] - indptr[row])
    share = np.empty(widest, dtype=np.float64)
    light = np.empty(widest, dtype=np.int64)  # light ones from the left, heavy ones from the right
    for row in range(start, stop):
        first = indptr[row]
        degree = indptr[row + 1] - first
        weight, own, out = weights[first : first + degree], indices[first : first + degree], table[first:]
        _scale(weight, share)
        n_light, n_heavy = 0, 0
        for k in range(degree):
            # Written to both lists and counted in one: no branch, half of which would be mispredicted.
            is_light = share[k] < 1.0
            light[n_light] = light[degree - 1 - n_heavy] = k
            n_light += is_light
            n_heavy += not is_light
            out[k, THRESHOLD], out[k, OWN], out[k, ALIAS], out[k, ALIAS_PLACE] = FULL, own[k], own[k], k
        while n_light > 0 and n_heavy > 0:
            n_light -= 1
            small, big = light[n_light], light[degree - n_heavy]
            out[small, THRESHOLD] = np.int32(np.uint32(min(share[small] * 4294967296.0, 4294967295.0)))
            out[small, ALIAS], out[small, ALIAS_PLACE] = own[big], big
            share[big] -= 1.0 - share[small]
            is_light = share[big] < 1.0
            light[n_light] = big  # where `small` was
            n_light += is_light
            n_heavy -= is_light


@kernel()
def _scale(weight: Any, share: Any) -> None:
    """share[k] = weight[k] over the mean of all; divided by the largest first, so that no sum overflows."""
    top, total = 0.0, 0.0
    for k in range(len(weight)):
        top = max(top, weight[k])
    for k in range(len(weight)):
        share[k] = weight[k] / top
    for k in range(len(weight)):
        total += share[k]
    for k in range(len(weight)):
        share[k] = share[k] / total * len(weight)
