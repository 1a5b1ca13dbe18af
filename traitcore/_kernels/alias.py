"""Alias tables for the rows of a weighted graph: one random word and one memory access draw a neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernel

# Columns of a table's entry: 16 bytes, so that no draw straddles two cache lines.
THRESHOLD, OWN, ALIAS, ALIAS_PLACE = 0, 1, 2, 3


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
        top = 0.0  # weights are scaled by the largest, so that no sum overflows
        for k in range(degree):
            top = max(top, weights[first + k])
        total = 0.0
        for k in range(degree):
            total += weights[first + k] / top
        n_light, n_heavy = 0, 0
        for k in range(degree):
            share[k] = weights[first + k] / top / total * degree
            if share[k] < 1.0:
                light[n_light] = k
                n_light += 1
            else:
                n_heavy += 1
                light[degree - n_heavy] = k
        while n_light > 0 and n_heavy > 0:
            n_light -= 1
            small, big = light[n_light], light[degree - n_heavy]
            _put(table, first, small, share[small], big)
            share[big] -= 1.0 - share[small]
            if share[big] < 1.0:
                n_heavy -= 1
                light[n_light] = big
                n_light += 1
        for i in range(n_light):
            _put(table, first, light[i], 1.0, light[i])
        for i in range(n_heavy):
            k = light[degree - 1 - i]
            _put(table, first, k, 1.0, k)
        for k in range(degree):
            table[first + k, OWN] = indices[first + k]
            table[first + k, ALIAS] = indices[first + table[first + k, ALIAS_PLACE]]


@kernel()
def _put(table: Any, first: int, place: int, keep: float, alias: int) -> None:
    table[first + place, THRESHOLD] = np.int32(np.uint32(min(keep * 4294967296.0, 4294967295.0)))
    table[first + place, ALIAS_PLACE] = alias
